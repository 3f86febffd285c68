"""Word error rate: the share of examples that are wrong in some symbol, as in SIGMORPHON's shared tasks."""

from __future__ import annotations

from rnncli.metrics import exact_match
from rnncli.metrics.base import SEQUENCE_MODELS, Metric, complement

WORD_ERROR_RATE = Metric(
    label="word error rate",
    higher_is_better=False,
    count=exact_match.count,
    shown_for=SEQUENCE_MODELS,
    aggregate=complement,
    every_epoch=False,
    in_group_tables=False,
)
