"""Bits per character: the cross entropy of a text in bits, divided by its characters, whatever its symbols are.

So models of characters, bytes and words can be compared on the same text.
"""

from __future__ import annotations

import math

from rnncli.metrics import validation_loss
from rnncli.metrics.base import LANGUAGE_MODELS, Counts, Metric, Predictions


def count(predictions: Predictions) -> Counts:
    """Count the bits of each target over its characters."""
    nats, symbols = validation_loss.count(predictions)
    characters = predictions.target_characters
    return Counts(nats / math.log(2), symbols if characters is None else characters)


BITS_PER_CHARACTER = Metric(
    label="bits/character",
    higher_is_better=False,
    number_format=".3f",
    count=count,
    models=LANGUAGE_MODELS,
    in_group_tables=False,
    of_targets=True,
)
