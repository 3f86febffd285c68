"""The weights of classes in the loss: `training.class_weight`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Config
from rnncli.data.examples import Examples
from rnncli.data.vocabulary import Vocabulary
from rnncli.errors import InputError
from rnncli.text import quote, shorten


def class_weights(config: Config, examples: Examples, vocabulary: Vocabulary) -> NDArray[np.float32] | None:
    """Return the weight of each class in the loss; None where the config asks for none.

    Balanced weights are n / (k * n_c), for n examples of k classes, n_c of them of class c (King & Zeng 2001,
    "Logistic Regression in Rare Events Data", as in scikit-learn): all classes together then weigh as much as without
    weights.

    Args:
        config: The validated config.
        examples: The training examples.
        vocabulary: The target vocabulary, whose symbols are the labels.

    Returns:
        float32 [classes], by id.

    Raises:
        InputError: The config has a weight for a label that the training data does not have.
    """
    wanted = config.training.class_weight
    if wanted is None:
        return None
    weights = np.ones(len(vocabulary))
    if isinstance(wanted, dict):
        if unknown := [label for label in wanted if label not in vocabulary.ids]:
            known = shorten(", ".join(vocabulary.symbols[:10]), 200)
            raise InputError(
                f"training.class_weight: a label that the training data does not have: {quote(unknown[0])}",
                f"it has {known}",
            )
        for label, weight in wanted.items():
            weights[vocabulary.ids[label]] = weight
    else:
        counts = np.bincount(examples.target[:, 0], minlength=len(vocabulary))
        there = counts > 0
        weights[there] = len(examples) / (there.sum() * counts[there])
    return weights.astype(np.float32)


def mean_weight(weights: NDArray[np.float32] | None, examples: Examples) -> float:
    """Return the mean weight of examples; 1 without weights."""
    return 1.0 if weights is None else float(weights[examples.target[:, 0]].mean())
