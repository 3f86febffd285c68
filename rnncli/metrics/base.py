"""The parts of a metric: predictions beside targets, counts per example, and how they are aggregated and shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncli.metrics.edit_distance import edit_distances

Ids = NDArray[np.integer]

CLASSIFIERS = frozenset({"classifier"})
"""Types of models that predict a class."""
SEQUENCE_MODELS = frozenset({"encoder_decoder", "repeat_vector", "next_step"})
"""Types of models that predict symbols, one or several."""
LANGUAGE_MODEL = "language_model"
"""A model that predicts the next symbol at every place of a text: no window of it is ever right in every symbol."""
LANGUAGE_MODELS = frozenset({LANGUAGE_MODEL})


@dataclass(frozen=True)
class Predictions:
    """Predicted and target ids of a set of examples.

    Attributes:
        predicted: int [examples, steps], padded with 0.
        target: int [examples, steps], padded with 0.
        target_lengths: Symbols of each target, end-of-sequence included; int [examples].
        predicted_content: Symbols of each prediction before its end-of-sequence; int64 [examples].
        target_content: Symbols of each target before its end-of-sequence; int64 [examples].
        log_probabilities: Natural-log probability of each symbol of the targets, given the symbols before it, 0 at
            padding; float32 [examples, steps]. None if it was not computed.
        target_characters: Characters of each target; int64 [examples]. None if a symbol is a character.
    """

    predicted: Ids
    target: Ids
    target_lengths: Ids
    predicted_content: NDArray[np.int64]
    target_content: NDArray[np.int64]
    log_probabilities: NDArray[np.float32] | None = None
    target_characters: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.target)

    @cached_property
    def exact(self) -> NDArray[np.bool_]:
        """True for examples that are predicted right in every symbol; bool [examples]."""
        exact: NDArray[np.bool_] = (self.predicted == self.target).all(axis=1)
        return exact

    @cached_property
    def edits(self) -> NDArray[np.int64]:
        """Levenshtein distance of each prediction to its target, without end-of-sequence; int64 [examples]."""
        edits = np.zeros(len(self), np.int64)
        wrong = np.flatnonzero(~self.exact)
        edits[wrong] = edit_distances(
            self.target[wrong], self.target_content[wrong], self.predicted[wrong], self.predicted_content[wrong]
        )
        return edits


def content_lengths(ids: Ids, end: int | None) -> NDArray[np.int64]:
    """Return the number of symbols in each row before its end, int64 [rows].

    Args:
        ids: int [rows, steps], padded with 0.
        end: Id of end-of-sequence; None if rows end at their padding.
    """
    steps = ids.shape[1]
    if end is None:
        used = ids != 0
        lengths = np.where(used.any(axis=1), steps - np.argmax(used[:, ::-1], axis=1), 0)
    else:
        ends = ids == end
        lengths = np.where(ends.any(axis=1), np.argmax(ends, axis=1), steps)
    return lengths.astype(np.int64)


class Counts(NamedTuple):
    """A metric's counts per example, which are summed before they are divided.

    Attributes:
        numerators: int or float [examples], or [examples, classes].
        denominators: The same shape; all 1 for a mean over examples.
    """

    numerators: NDArray[Any]
    denominators: NDArray[Any]

    def of(self, rows: list[int]) -> Counts:
        """Return the counts of some of the examples."""
        return Counts(self.numerators[rows], self.denominators[rows])


def ratio(numerator: Any, denominator: Any) -> Any:
    """Divide sums of counts; a denominator of 0 counts as 1, so that edits of empty targets are not lost."""
    return numerator / np.maximum(denominator, 1)


def complement(numerator: Any, denominator: Any) -> Any:
    """Return 1 - ratio, from counts of the opposite."""
    return (denominator - numerator) / np.maximum(denominator, 1)


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A number by which epochs are compared.

    Attributes:
        label: The name that people read.
        higher_is_better: False for errors and losses.
        number_format: Format of its values: `.2%`, `.4f`.
    """

    label: str
    higher_is_better: bool
    number_format: str = ".2%"

    def show(self, value: float) -> str:
        """Return a value as people read it."""
        return format(value, self.number_format)

    def show_difference(self, value: float) -> str:
        """Return a difference of two values as people read it, with its sign."""
        return format(value, f"+{self.number_format}")


@dataclass(frozen=True, kw_only=True)
class Metric(Quantity):
    """A metric on held-out examples.

    Attributes:
        count: Computes the counts of each example.
        aggregate: Makes the metric of the sums of both counts; takes scalars, and arrays of equal shape, whose last
            axis is that of the classes if the counts have one.
        models: The types of models that it is measured for; None is all.
        shown_for: Those of these types that people are shown it for; None is all. Files have it in any case.
        every_epoch: True if training always measures it, False if only when early stopping watches it.
        in_group_tables: True if `evaluate --by` has a column for it; its JSON has all metrics.
        in_progress: True if the line of an epoch shows it.
        of_targets: True if it measures the probabilities of the targets, not the predictions.
    """

    count: Callable[[Predictions], Counts]
    aggregate: Callable[[Any, Any], Any] = ratio
    models: frozenset[str] | None = None
    shown_for: frozenset[str] | None = None
    every_epoch: bool = True
    in_group_tables: bool = True
    in_progress: bool = True
    of_targets: bool = False

    def total(self, counts: Counts) -> float:
        """Return the metric over the examples that were counted."""
        return float(self.aggregate(counts.numerators.sum(axis=0), counts.denominators.sum(axis=0)))

    def is_measured_for(self, model: str) -> bool:
        """Return True if the metric exists for a type of models."""
        return self.models is None or model in self.models

    def is_known(self, predictions: Predictions) -> bool:
        """Return True if it can be computed from predictions: those of targets need log probabilities."""
        return not self.of_targets or predictions.log_probabilities is not None

    def is_shown_for(self, model: str) -> bool:
        """Return True if people are shown the metric for a type of models."""
        return self.is_measured_for(model) and (self.shown_for is None or model in self.shown_for)

    def equals(self, other: Metric) -> bool:
        """Return True if both always have the same values."""
        return (self.count, self.aggregate) == (other.count, other.aggregate)
