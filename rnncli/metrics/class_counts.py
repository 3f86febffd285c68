"""Counts of classes, which the metrics of classifiers are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncli.metrics.base import Predictions, ratio


class ClassCounts(NamedTuple):
    """The class of each example in one-hot form; only classes that occur have a column.

    Attributes:
        ids: The id of each column's class, int [classes].
        target: 1 in the column of the right class, int8 [examples, classes].
        predicted: 1 in the column of the predicted class, int8 [examples, classes].
    """

    ids: NDArray[np.integer]
    target: NDArray[np.int8]
    predicted: NDArray[np.int8]

    @classmethod
    def of(cls, predictions: Predictions) -> ClassCounts:
        """Count the classes of predictions of one step."""
        target, predicted = predictions.target[:, 0], predictions.predicted[:, 0]
        ids = np.union1d(target, predicted)
        return cls(ids, *((side[:, None] == ids).astype(np.int8) for side in (target, predicted)))


def mean_over_classes(numerators: Any, denominators: Any) -> Any:
    """Return the mean of the ratios of all classes that have a denominator.

    Args:
        numerators: Sums of counts [..., classes].
        denominators: The same shape.

    Returns:
        float [...].
    """
    counted = denominators > 0
    sums = np.where(counted, ratio(numerators, denominators), 0.0).sum(axis=-1)
    return ratio(sums, counted.sum(axis=-1))
