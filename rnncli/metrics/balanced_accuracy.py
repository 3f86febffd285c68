"""Balanced accuracy: the mean over classes of the share of its examples that are predicted right.

Every class has the same weight, however few examples it has (Brodersen et al. 2010, "The Balanced Accuracy and Its
Posterior Distribution").
"""

from __future__ import annotations

from rnncli.metrics.base import CLASSIFIERS, Counts, Metric, Predictions
from rnncli.metrics.class_counts import ClassCounts, mean_over_classes


def count(predictions: Predictions) -> Counts:
    """Count the right predictions over the examples of each class."""
    counts = ClassCounts.of(predictions)
    return Counts(counts.target * counts.predicted, counts.target)


BALANCED_ACCURACY = Metric(
    label="balanced accuracy",
    higher_is_better=True,
    count=count,
    aggregate=mean_over_classes,
    models=CLASSIFIERS,
    in_group_tables=False,
)
