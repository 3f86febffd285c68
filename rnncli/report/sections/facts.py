"""The facts of each run, a column a run, metrics with their intervals."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rnncli.metrics import METRICS, MONITORED, shown_metrics
from rnncli.report.data import ReportData
from rnncli.report.markup import run_name, table, text
from rnncli.runs.listing import kind_of

if TYPE_CHECKING:
    from rnncli.metrics.base import Quantity
    from rnncli.runs.listing import RunInfo


def section(data: ReportData) -> str:
    """Return a table of facts and metrics."""
    heads = ["fact", *(run_name(number, name) for number, name in enumerate(data.names))]
    rows = fact_rows(data, FIRST) + metric_rows(data) + fact_rows(data, FACTS)
    what = (
        f"Runs, and their metrics on {data.examples}" if data.answers else "Runs, and the metrics of the best epoch"
    )
    return table(what, heads, rows, row_heads=True, kind="facts")


def fact_rows(data: ReportData, facts: dict[str, Callable[[RunInfo], str]]) -> list[list[str]]:
    """Return a row for each fact that is known of one of the runs."""
    rows = [[label, *(text(fact(info)) for info in data.infos)] for label, fact in facts.items()]
    return [row for row in rows if any(row[1:])]


def metric_rows(data: ReportData) -> list[list[str]]:
    """Return a row for each metric that is shown for one of the runs."""
    kinds = [kind_of(info.config) for info in data.infos if info.config is not None]
    shown = dict.fromkeys(name for kind in kinds for name in shown_metrics(kind))
    rows = []
    if data.answers:
        rows.append(["examples", *(f"{len(each.examples):,}" for each in data.answers)])
    for name in [key for key in METRICS if key in shown]:
        cells = [metric_cell(data, run, name) for run in range(len(data.infos))]
        if any(cells):
            rows.append([text(METRICS[name].label), *cells])
    losses = [info.best.get("loss") for info in data.infos]
    if any(loss is not None for loss in losses):
        shown_losses = ["" if loss is None else MONITORED["loss"].show(loss) for loss in losses]
        rows.append(["loss in training, best epoch", *shown_losses])
    return rows


def metric_cell(data: ReportData, run: int, name: str) -> str:
    """Return a metric of a run with its 95% interval: as measured for the report, else as recorded."""
    quantity, info = METRICS[name], data.infos[run]
    if data.answers:
        evaluation = data.answers[run].evaluation
        value, interval = evaluation.total.metrics.get(name), evaluation.intervals.get(name)
    else:
        value, interval = info.best.get(name), info.intervals.get(name)
    return "" if value is None else with_interval(quantity, value, interval)


def with_interval(quantity: Quantity, value: float, interval: tuple[float, float] | None) -> str:
    """Return a value with its interval."""
    if interval is None:
        return f"<b>{quantity.show(value)}</b>"
    low, high = map(quantity.show, interval)
    return f'<b>{quantity.show(value)}</b> <span class="interval">{low} to {high}</span>'


def time_text(info: RunInfo) -> str:
    """Return how long training took."""
    if info.seconds is None:
        return ""
    minutes, seconds = divmod(round(info.seconds), 60)
    hours, minutes = divmod(minutes, 60)
    spent = f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    return spent if len(info.sessions) == 1 else f"{spent} in {len(info.sessions)} sessions"


def model_text(info: RunInfo) -> str:
    """Return type, cell and size of the model."""
    if info.config is None:
        return ""
    count = info.manifest.get("parameters")
    size = f", {count:,} parameters" if isinstance(count, int) else ""
    return f"{info.config.model.type}, {info.keys.get('model.cell', 'custom cell')}{size}"


def version_text(info: RunInfo) -> str:
    """Return the versions that trained it."""
    versions = info.manifest.get("versions")
    return ", ".join(f"{name} {version}" for name, version in versions.items()) if isinstance(versions, dict) else ""


def last_of(info: RunInfo, name: str) -> str:
    """Return a fact of the last session; empty where none is recorded."""
    return str(getattr(info.sessions[-1], name) or "") if info.sessions else ""


FIRST: dict[str, Callable[[RunInfo], str]] = {
    "state": lambda info: f"{info.state_text}: {info.reason}" if info.reason else info.state_text,
    "config": lambda info: info.config_name,
    "task": lambda info: "" if info.config is None else info.config.task.type,
    "model": model_text,
    "epochs": lambda info: info.epochs_text,
    "best epoch": lambda info: str(info.best.get("epoch", "")),
}
"""Facts of a run by their label, those above the metrics."""

FACTS: dict[str, Callable[[RunInfo], str]] = {
    "directory": lambda info: str(info.path),
    "began": lambda info: f"{info.sessions[0].start:%Y-%m-%d %H:%M}" if info.sessions else "",
    "training time": time_text,
    "host": lambda info: last_of(info, "host"),
    "command": lambda info: last_of(info, "command"),
    "device": lambda info: str(info.manifest.get("device", "")),
    "versions": version_text,
}
"""The other facts."""
