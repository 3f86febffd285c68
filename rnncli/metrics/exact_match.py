"""Exact match: the share of examples that are right in every symbol."""

from __future__ import annotations

import numpy as np

from rnncli.metrics.base import SEQUENCE_MODELS, Counts, Metric, Predictions


def count(predictions: Predictions) -> Counts:
    """Count 1 for each example that is right in every symbol."""
    return Counts(predictions.exact.astype(np.int64), np.ones(len(predictions), np.int64))


EXACT_MATCH = Metric(label="exact match", higher_is_better=True, count=count, shown_for=SEQUENCE_MODELS)
