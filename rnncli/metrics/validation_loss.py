"""Held-out loss: the cross entropy of the targets with teacher forcing, in nats a symbol, end-of-sequence included.

Neither label smoothing, class weights nor dropout count, so that runs with and without them can be compared.
"""

from __future__ import annotations

import numpy as np

from rnncli.metrics.base import Counts, Metric, Predictions


def count(predictions: Predictions) -> Counts:
    """Count the nats of each target over its symbols.

    Raises:
        ValueError: The predictions have no log probabilities.
    """
    if predictions.log_probabilities is None:
        raise ValueError("the log probabilities of the targets were not computed")
    nats = -predictions.log_probabilities.sum(axis=1, dtype=np.float64)
    return Counts(nats, predictions.target_lengths.astype(np.int64))


VALIDATION_LOSS = Metric(
    label="held-out loss",
    higher_is_better=False,
    number_format=".4f",
    count=count,
    in_group_tables=False,
    of_targets=True,
)
