"""The course of a sweep: its metric by trial, and by the value of each setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rnncli.plots.figure import Figure, FigureOptions


def draw(
    trials: Sequence[int],
    values: Sequence[float],
    settings: Mapping[str, tuple[Sequence[Any], bool]],
    metric: str,
    higher_is_better: bool,
    title: str,
    options: FigureOptions,
) -> Figure:
    """Plot the metric of trials by their number, with the best so far, and by the value of each setting.

    Args:
        trials: The number of each trial.
        values: The metric of each.
        settings: For each key, its value in each trial, and True for a logarithmic axis.
        metric: The name of the metric.
        higher_is_better: Whether larger values are better.
        title: Title of the figure.
        options: Options of the figure.
    """
    panels = 1 + len(settings)
    columns = min(3, panels)
    figure = Figure(options, 3.1 * columns, 2.5 * -(-panels // columns) + 0.4, panels, columns)
    course, *others = figure.axes
    best = (np.maximum if higher_is_better else np.minimum).accumulate(values)
    course.plot(trials, best, drawstyle="steps-post", color="C1", label="best so far")
    course.plot(trials, values, ".", color="C0", label="trial")
    course.set(xlabel="trial", ylabel=metric)
    course.legend(frameon=False)
    for axes, (key, (given, log)) in zip(others, settings.items(), strict=True):
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in given)
        axes.plot(list(given) if numeric else [str(value) for value in given], values, ".", color="C0")
        axes.set_xlabel(key, parse_math=False)
        if log:
            axes.set_xscale("log")
    figure.set_title(title)
    return figure
