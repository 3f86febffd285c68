"""The table of metrics on held-out examples, a metric a file.

Early stopping, the best epoch, the progress line, `metrics.jsonl` and `rnncli evaluate` read their metrics from it.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping

from rnncli.metrics.accuracy import ACCURACY
from rnncli.metrics.balanced_accuracy import BALANCED_ACCURACY
from rnncli.metrics.base import Metric, Quantity
from rnncli.metrics.bits_per_character import BITS_PER_CHARACTER
from rnncli.metrics.exact_match import EXACT_MATCH
from rnncli.metrics.macro_f1 import MACRO_F1
from rnncli.metrics.perplexity import PERPLEXITY
from rnncli.metrics.symbol_accuracy import SYMBOL_ACCURACY
from rnncli.metrics.symbol_error_rate import SYMBOL_ERROR_RATE
from rnncli.metrics.validation_loss import VALIDATION_LOSS
from rnncli.metrics.word_error_rate import WORD_ERROR_RATE

METRICS: dict[str, Metric] = {
    "validation_loss": VALIDATION_LOSS,
    "bits_per_character": BITS_PER_CHARACTER,
    "perplexity": PERPLEXITY,
    "symbol_accuracy": SYMBOL_ACCURACY,
    "exact_match": EXACT_MATCH,
    "word_error_rate": WORD_ERROR_RATE,
    "symbol_error_rate": SYMBOL_ERROR_RATE,
    "accuracy": ACCURACY,
    "balanced_accuracy": BALANCED_ACCURACY,
    "macro_f1": MACRO_F1,
}

LOSS = Quantity(label="loss", higher_is_better=False, number_format=".4f")

MONITORED: Mapping[str, Quantity] = ChainMap({"loss": LOSS}, METRICS)  # type: ignore[arg-type]
"""Quantities that early stopping can watch: every metric, and the loss on the training data."""


def metrics_for(model: str) -> dict[str, Metric]:
    """Return the metrics that a type of models is measured by, by name."""
    return {name: metric for name, metric in METRICS.items() if metric.is_measured_for(model)}


def shown_metrics(model: str, monitored: str | None = None) -> dict[str, Metric]:
    """Return the metrics that people are shown for a type of models, by name.

    Args:
        model: The type.
        monitored: The metric that decides which epoch is the best, which is shown too; or the loss.
    """
    metrics = metrics_for(model)
    shown = {name: metric for name, metric in metrics.items() if metric.is_shown_for(model)}
    if monitored in metrics and shown_form(model, monitored) is metrics[monitored]:
        shown[monitored] = metrics[monitored]
    return shown


def shown_form(model: str, monitored: str) -> Quantity:
    """Return the quantity of a name as people are shown it for a type of models.

    That is the metric with the same values that has the usual name for such models, if there is one: a classifier's
    exact match is its accuracy.
    """
    metric = MONITORED[monitored]
    others = [other for other in metrics_for(model).values() if other.is_shown_for(model)]
    same = (other for other in others if isinstance(metric, Metric) and other.equals(metric))
    return metric if metric in others else next(same, metric)


def metrics_of_training(monitored: str, model: str) -> dict[str, Metric]:
    """Return the metrics that training measures after every epoch, by name.

    Args:
        monitored: The one that decides which epoch is the best; or the loss, which is no metric.
        model: The type of the model.
    """
    return {name: metric for name, metric in metrics_for(model).items() if metric.every_epoch or name == monitored}
