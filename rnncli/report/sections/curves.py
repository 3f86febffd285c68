"""Learning curves: a chart a metric, a line a run."""

from __future__ import annotations

from collections.abc import Callable, Collection

from rnncli.metrics import MONITORED, shown_metrics
from rnncli.report.charts import Line, line_chart
from rnncli.report.data import ReportData
from rnncli.report.markup import letter
from rnncli.runs.listing import kind_of
from rnncli.runs.metrics_log import HELD_OUT_LOSS, losses_of

OTHERS = ("learning_rate", "gradient_norm")
"""Numbers of an epoch that are no metrics, and worth a chart."""
MAX_CHARTS = 8


def section(data: ReportData) -> str:
    """Return a chart for each metric that has been measured; nothing before the first epoch has ended."""
    known = dict.fromkeys(name for epochs in data.logs for values in epochs for name in values)
    losses = losses_of(known)
    charts = [chart(data, losses)] if losses else []
    for name in [*metrics_of(data, known), *OTHERS]:
        if name in known and name not in losses:
            names = [name, f"train_{name}"] if f"train_{name}" in known else [name]
            if len({values[name] for epochs in data.logs for values in epochs if name in values}) > 1:
                charts.append(chart(data, names))
            losses = [*losses, *names]
    if not charts:
        return ""
    return f'<div class="charts">{"".join(charts[:MAX_CHARTS])}</div>{legend(data)}'


def metrics_of(data: ReportData, known: Collection[str]) -> list[str]:
    """Return the metrics that people are shown, that which selects the best epoch first."""
    best = [info.shown_metric if info.shown_metric in known else info.best_metric for info in data.infos]
    kinds = [kind_of(info.config) for info in data.infos if info.config is not None]
    return list(dict.fromkeys([*best, *(name for kind in kinds for name in shown_metrics(kind))]))


def chart(data: ReportData, names: list[str]) -> str:
    """Return the chart of a metric on held-out data, and on training data where that is measured too."""
    lines = []
    for run, epochs in enumerate(data.logs):
        for place, name in enumerate(names):
            points = [(values["epoch"], values[name]) for values in epochs if name in values]
            if points:
                x, y = zip(*points, strict=True)
                which = "" if len(names) == 1 else ", training data" if place else ", held-out data"
                lines.append(Line(run, f"{letter(run)}{which}", x, y, dashed=place > 0))
    quantity = MONITORED.get(names[0])
    label = quantity.label if quantity is not None else names[0].replace("_", " ")
    show: Callable[[float], str] = short_number
    if quantity is not None and quantity.number_format.endswith("%"):
        show = percent
    return line_chart(f"{label} by epoch", "epoch", lines, show)


def percent(value: float) -> str:
    """Return a share with as many digits as a chart needs."""
    return f"{100 * value:.4g}%"


def short_number(value: float) -> str:
    """Return a number with as many digits as a chart needs."""
    return f"{value:.3g}"


def legend(data: ReportData) -> str:
    """Return what the lines mean, where that is not plain."""
    dashed = any(name.startswith("train_") or name == "loss" for epochs in data.logs for name in (epochs or [{}])[0])
    held_out = any(HELD_OUT_LOSS in values for epochs in data.logs for values in epochs[:1])
    note = " Dashed lines are measured on training data." if dashed and held_out else ""
    return f'<p class="note">Each line has the colour of its run in the first table.{note}</p>'
