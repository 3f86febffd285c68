"""Symbol error rate: edits (Levenshtein) of all predictions over symbols of all targets, end-of-sequence left out."""

from __future__ import annotations

from rnncli.metrics.base import SEQUENCE_MODELS, Counts, Metric, Predictions


def count(predictions: Predictions) -> Counts:
    """Count the edits over the symbols of each target."""
    return Counts(predictions.edits, predictions.target_content)


SYMBOL_ERROR_RATE = Metric(
    label="symbol error rate", higher_is_better=False, count=count, shown_for=SEQUENCE_MODELS, every_epoch=False
)
