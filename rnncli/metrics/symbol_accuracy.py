"""Symbol accuracy: the share of target symbols, end-of-sequence included, that are predicted at their own step."""

from __future__ import annotations

import numpy as np

from rnncli.metrics.base import LANGUAGE_MODELS, SEQUENCE_MODELS, Counts, Metric, Predictions


def count(predictions: Predictions) -> Counts:
    """Count the correct symbols over all symbols of each target."""
    steps = np.arange(predictions.target.shape[1])
    counted = steps < predictions.target_lengths[:, None]
    correct = ((predictions.predicted == predictions.target) & counted).sum(axis=1)
    return Counts(correct, predictions.target_lengths.astype(np.int64))


SYMBOL_ACCURACY = Metric(
    label="symbol accuracy",
    higher_is_better=True,
    count=count,
    shown_for=SEQUENCE_MODELS | LANGUAGE_MODELS,
    in_group_tables=False,
)
