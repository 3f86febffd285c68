"""`rnncli plot curves`."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import numpy as np

from rnncli.cli.figures import figure_options, save_figure
from rnncli.cli.help import INPUT, OUTPUT, Command, option
from rnncli.cli.options import runs_argument
from rnncli.errors import InputError, RunDirError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnncli.plots.figure import Figure, FigureOptions
    from rnncli.runs.listing import RunInfo

MAX_GROUPS, MAX_PANELS = 20, 6
TRAINED = "train_"
"""The beginning of the names of metrics on training data."""


class Curve(NamedTuple):
    """A metric of some runs, by epoch.

    Attributes:
        x: The end of each epoch, in the unit of the axis.
        mean: The mean over the runs that reached it.
        low: The least of them.
        high: The greatest of them.
        runs: Number of runs.
        even: True if all runs have the same number of epochs.
    """

    x: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]
    runs: int
    even: bool


@click.command(
    "curves",
    cls=Command,
    examples=(
        "rnncli plot curves latest -o curves.png",
        "rnncli plot curves RUN RUN2 RUN3 --metric exact_match -o compared.svg",
        "rnncli plot curves runs/lstm-* runs/gru-* --x seconds -o times.pdf",
    ),
)
@runs_argument
@option(
    "--metric",
    "names",
    group=INPUT,
    metavar="NAME",
    multiple=True,
    help="A number of metrics.jsonl; repeatable [default: the loss and the best metric].",
)
@option("--each", group=OUTPUT, is_flag=True, help="A line a run, not mean and range of seeds.")
@option(
    "--x",
    "unit",
    group=OUTPUT,
    type=click.Choice(["epoch", "step", "seconds"]),
    default="epoch",
    show_default=True,
    help="The horizontal axis.",
)
@option("--log", group=OUTPUT, is_flag=True, help="Draw losses on a logarithmic scale.")
@figure_options
def command(
    runs: tuple[Path, ...], names: tuple[str, ...], each: bool, unit: str, log: bool, options: FigureOptions
) -> None:
    """Plot the metrics of each epoch of one or more RUNs.

    Runs that differ in their seed only are one line, the mean, in a band from the least to the greatest. A dashed
    line is measured on training data. Needs no TensorFlow.
    """
    from rnncli.runs.listing import describe_run
    from rnncli.runs.seeds import group_by_settings

    infos = [describe_run(run) for run in dict.fromkeys(runs)]
    logs = {info.path: log_of(info) for info in infos}
    panels = choose_panels(infos, logs, names)
    groups = group_by_settings(infos, by_seed=not each)
    if len(groups) > MAX_GROUPS:
        raise InputError(f"{len(groups)} settings; a figure shows at most {MAX_GROUPS}", "plot fewer runs")
    save_figure(draw(groups, logs, panels, unit, log, options), options)


def log_of(info: RunInfo) -> list[dict[str, float]]:
    """Return the metrics of each epoch of a run.

    Raises:
        RunDirError: They cannot be read, or no epoch has ended.
    """
    from rnncli.runs.directory import RunDir
    from rnncli.runs.metrics_log import read_metrics

    if info.config is None:
        raise RunDirError(info.reason)
    if not (epochs := read_metrics(RunDir(info.path))):
        raise RunDirError(f"{info.path}: no epoch has ended yet")
    return epochs


def choose_panels(
    infos: Sequence[RunInfo], logs: dict[Path, list[dict[str, float]]], names: Sequence[str]
) -> list[list[str]]:
    """Return the metrics of each panel, those of training data behind the same of held-out data.

    Raises:
        InputError: No run has a metric of that name.
    """
    from rnncli.runs.metrics_log import losses_of

    known = list(dict.fromkeys(name for epochs in logs.values() for values in epochs for name in values))
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"choose from {', '.join(known)}"
            raise InputError(f"--metric {name}: no run has it", hint)
    if names:
        panels = [[name] for name in dict.fromkeys(names)]
    else:
        losses = losses_of(known)
        shown = [info.shown_metric if info.shown_metric in known else info.best_metric for info in infos]
        best = [name for name in dict.fromkeys(shown) if name in known]
        panels = [losses, *([name] for name in best if name not in losses)]
    panels = [panel for panel in panels if panel]
    if len(panels) > MAX_PANELS:
        raise InputError(f"{len(panels)} metrics; a figure has at most {MAX_PANELS} panels")
    return [[*panel, *(f"{TRAINED}{name}" for name in panel if f"{TRAINED}{name}" in known)] for panel in panels]


def curve_of(members: Sequence[RunInfo], logs: dict[Path, list[dict[str, float]]], name: str, unit: str) -> Curve:
    """Return a metric of some runs; epochs that no run has it for are left out."""
    epochs = [logs[member.path] for member in members]
    curve = Curve([], [], [], [], len(members), len({len(each) for each in epochs}) == 1)
    for number in range(max(map(len, epochs))):
        reached = [each[number] for each in epochs if len(each) > number and name in each[number]]
        if not reached:
            continue
        values = [values[name] for values in reached]
        curve.x.append(float(np.mean([place_of(each, number, unit) for each in epochs if len(each) > number])))
        curve.mean.append(float(np.mean(values)))
        curve.low.append(min(values))
        curve.high.append(max(values))
    return curve


def place_of(epochs: Sequence[dict[str, float]], number: int, unit: str) -> float:
    """Return the place of an epoch's end on the horizontal axis."""
    if unit == "seconds":
        return sum(values.get("seconds", 0.0) for values in epochs[: number + 1])
    return epochs[number].get(unit, number + 1)


def draw(
    groups: dict[str, list[RunInfo]],
    logs: dict[Path, list[dict[str, float]]],
    panels: Sequence[Sequence[str]],
    unit: str,
    log: bool,
    options: FigureOptions,
) -> Figure:
    """Plot each panel's metrics, a line and a band for each group of runs."""
    from rnncli.plots.figure import Figure, colours, plain_legend

    figure = Figure(options, 4.6 * len(panels), 3.4, len(panels))
    for axes, names in zip(figure.axes, panels, strict=True):
        for (label, members), colour in zip(groups.items(), colours(len(groups)), strict=True):
            for name in names:
                curve = curve_of(members, logs, name, unit)
                draw_curve(axes, curve, line_label(label, name, names), colour, is_of_training(name, names))
                if not curve.even:
                    figure.notes.append(f"{label}: mean of the runs that reached the epoch")
        scale_axes(axes, names, unit, log)
        if len(groups) > 1 or len(names) > 1:
            plain_legend(axes.legend(frameon=False, fontsize=7))
    figure.notes[:] = list(dict.fromkeys(figure.notes))
    if any(len(members) > 1 for members in groups.values()):
        figure.notes.append("band: from the least to the greatest run")
    alone = next(iter(groups)) if len(groups) == 1 else ""
    figure.set_title(alone)
    return figure


def draw_curve(axes: Any, curve: Curve, label: str, colour: Any, dashed: bool) -> None:
    """Draw one line with its band."""
    marker = "o" if len(curve.x) == 1 else None
    style = "--" if dashed else "-"
    axes.plot(curve.x, curve.mean, style, color=colour, linewidth=1.6, marker=marker, label=label)
    if curve.runs > 1:
        axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.15, linewidth=0)


def is_of_training(name: str, names: Sequence[str]) -> bool:
    """Return True if a line is of training data, beside one of held-out data."""
    return len(names) > 1 and name.startswith((TRAINED, "loss"))


def line_label(group: str, name: str, names: Sequence[str]) -> str:
    """Return the label of a line: the group, and where a panel has several metrics, which data it is of."""
    if len(names) == 1:
        return group
    return f"{group}, {'training' if is_of_training(name, names) else 'held-out'}"


def scale_axes(axes: Any, names: Sequence[str], unit: str, log: bool) -> None:
    """Name and scale the axes of a panel, shares as percentages."""
    from rnncli.metrics import MONITORED
    from rnncli.plots.figure import show_percent, show_whole_numbers

    quantity = MONITORED.get(names[0])
    label = quantity.label if quantity is not None else names[0].replace("_", " ")
    axes.set_xlabel({"epoch": "epoch", "step": "training step", "seconds": "seconds of training"}[unit])
    axes.set_ylabel(label.removeprefix("held-out ") if len(names) > 1 else label)
    if unit == "epoch":
        show_whole_numbers(axes.xaxis)
    if quantity is not None and quantity.number_format.endswith("%"):
        show_percent(axes.yaxis)
    elif log:
        axes.set_yscale("log")
    axes.grid(alpha=0.25, linewidth=0.6)
