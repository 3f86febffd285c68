"""Macro F1: the mean over classes of the harmonic mean of precision and recall."""

from __future__ import annotations

from rnncli.metrics.base import CLASSIFIERS, Counts, Metric, Predictions
from rnncli.metrics.class_counts import ClassCounts, mean_over_classes


def count(predictions: Predictions) -> Counts:
    """Count the right predictions twice, over the examples and the predictions of each class."""
    counts = ClassCounts.of(predictions)
    return Counts(2 * counts.target * counts.predicted, counts.target + counts.predicted)


MACRO_F1 = Metric(
    label="macro F1",
    higher_is_better=True,
    count=count,
    aggregate=mean_over_classes,
    models=CLASSIFIERS,
    in_group_tables=False,
)
