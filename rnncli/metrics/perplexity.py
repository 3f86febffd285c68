"""Perplexity: the exponential of the cross entropy, as if so many symbols were equally likely at every step."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncli.metrics import validation_loss
from rnncli.metrics.base import LANGUAGE_MODELS, Metric, ratio

MAX_NATS = 700.0
"""Nats whose exponential is still a number."""


def exponential(numerator: Any, denominator: Any) -> Any:
    """Return exp(ratio)."""
    return np.exp(np.minimum(ratio(numerator, denominator), MAX_NATS))


PERPLEXITY = Metric(
    label="perplexity",
    higher_is_better=False,
    number_format=".2f",
    count=validation_loss.count,
    aggregate=exponential,
    models=LANGUAGE_MODELS,
    in_group_tables=False,
    in_progress=False,
    of_targets=True,
)
