"""The table of metrics on held-out examples, a metric a file.

Early stopping, the best epoch, the progress line, `metrics.jsonl` and `rnncli evaluate` read their metrics from it.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping

from rnncli.metrics.base import Metric, Quantity
from rnncli.metrics.exact_match import EXACT_MATCH
from rnncli.metrics.symbol_accuracy import SYMBOL_ACCURACY
from rnncli.metrics.symbol_error_rate import SYMBOL_ERROR_RATE
from rnncli.metrics.word_error_rate import WORD_ERROR_RATE

METRICS: dict[str, Metric] = {
    "symbol_accuracy": SYMBOL_ACCURACY,
    "exact_match": EXACT_MATCH,
    "word_error_rate": WORD_ERROR_RATE,
    "symbol_error_rate": SYMBOL_ERROR_RATE,
}

LOSS = Quantity(label="loss", higher_is_better=False, number_format=".4f")

MONITORED: Mapping[str, Quantity] = ChainMap({"loss": LOSS}, METRICS)  # type: ignore[arg-type]
"""Quantities that early stopping can watch: every metric, and the loss on the training data."""


def metrics_of_training(monitored: str) -> dict[str, Metric]:
    """Return the metrics that training measures after every epoch, by name.

    Args:
        monitored: The one that decides which epoch is the best; or the loss, which is no metric.
    """
    return {name: metric for name, metric in METRICS.items() if metric.every_epoch or name == monitored}
