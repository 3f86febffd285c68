"""The confusion matrix of a classifier, and precision, recall and F1 of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncli.metrics.base import Predictions
from rnncli.metrics.class_counts import ClassCounts

LABEL = "label"
"""The kind of groups of a classifier's examples that have the same class."""


class ClassScores(NamedTuple):
    """The scores of one class.

    Attributes:
        examples: Examples of this class.
        predicted: Examples that this class is predicted for.
        precision: Share of `predicted` that is right; None if there are none.
        recall: Share of `examples` that is predicted right; None if there are none.
        f1: Harmonic mean of both: twice the right ones over `examples` and `predicted` together.
    """

    examples: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float


@dataclass(frozen=True)
class ClassReport:
    """Number of examples of each class by the class that is predicted for them.

    Attributes:
        labels: The classes that occur.
        confusion: Number of examples of each class (rows) by predicted class (columns), int64 [classes, classes].
    """

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]

    @classmethod
    def of(cls, predictions: Predictions, symbols: Sequence[str]) -> ClassReport:
        """Count predictions of one step; `symbols` are the labels by id."""
        counts = ClassCounts.of(predictions)
        confusion = counts.target.T.astype(np.int64) @ counts.predicted.astype(np.int64)
        return cls(tuple(symbols[index] for index in counts.ids), confusion)

    @property
    def scores(self) -> dict[str, ClassScores]:
        """The scores of each class, by label."""
        rows = zip(
            self.labels,
            np.diag(self.confusion).tolist(),
            self.confusion.sum(axis=1).tolist(),
            self.confusion.sum(axis=0).tolist(),
            strict=True,
        )
        return {
            label: ClassScores(
                examples,
                predicted,
                right / predicted if predicted else None,
                right / examples if examples else None,
                2 * right / (examples + predicted),
            )
            for label, right, examples, predicted in rows
        }

    def as_json(self) -> dict[str, Any]:
        """Return the scores of each class, and its non-zero predictions, as a JSON object."""
        confusion = {
            label: {self.labels[column]: int(row[column]) for column in np.flatnonzero(row)}
            for label, row in zip(self.labels, self.confusion, strict=True)
        }
        return {
            "classes": {label: scores._asdict() for label, scores in self.scores.items()},
            "confusion": confusion,
        }
