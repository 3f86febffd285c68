"""Plots of states and attention weights as PNG or SVG. The only module that imports matplotlib."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from rnncli.files import write_atomically

MORE_FONTS = ("Noto Sans", "Source Han Sans", "IPAGothic", "WenQuanYi", "Unifont")
"""Prefixes of installed fonts that are used for symbols that Matplotlib's own font does not have."""

Floats = NDArray[np.floating[Any]]

STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "rnncli",  # the same figure is the same file
}


def heat_map(states: Floats, tokens: Sequence[str], units: Sequence[int], title: str, path: Path) -> str:
    """Plot selected units over the steps of one example.

    Args:
        states: float [steps, selected units].
        tokens: The symbol of each step.
        units: The number of each selected unit, for the axis.
        title: Title of the figure.
        path: The file; its extension is the format.

    Returns:
        The symbols that no font has; the figure shows boxes for them.
    """
    figure, axes = _figure(max(4.5, 1.6 + 0.34 * len(tokens)), max(2.4, 1.2 + 0.14 * len(units)))
    limit = float(np.abs(states).max(initial=1e-6))
    image = axes.imshow(states.T, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set_xticks(range(len(tokens)), tokens, parse_math=False)  # a $ is a symbol
    shown = range(0, len(units), max(1, len(units) // 16))
    axes.set_yticks(list(shown), [str(units[i]) for i in shown])
    axes.set(xlabel="symbol", ylabel="unit")
    axes.set_title(title, parse_math=False)
    figure.colorbar(image, ax=axes, shrink=0.9)
    return _save(figure, path)


def attention_map(weights: Floats, source: Sequence[str], target: Sequence[str], title: str, path: Path) -> str:
    """Plot the attention weights of one prediction.

    Args:
        weights: float [target symbols, source symbols], 0 to 1.
        source: The source symbols, from left to right.
        target: The predicted symbols, from top to bottom.
        title: Title of the figure.
        path: The file; its extension is the format.

    Returns:
        The symbols that no font has; the figure shows boxes for them.
    """
    figure, axes = _figure(max(3.6, 1.8 + 0.34 * len(source)), max(2.4, 1.2 + 0.24 * len(target)))
    image = axes.imshow(weights, aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks(range(len(source)), source, parse_math=False)
    axes.set_yticks(range(len(target)), target, parse_math=False)
    axes.set(xlabel="source", ylabel="prediction")
    axes.set_title(title.replace("\t", "  "), parse_math=False)
    figure.colorbar(image, ax=axes, shrink=0.9)
    return _save(figure, path)


def scatter(
    points: Floats, values: Sequence[Any], label: str, variances: Sequence[float], title: str, path: Path
) -> str:
    """Plot states as points in the plane, coloured by a field.

    Args:
        points: float [examples, 2] of `principal_components`.
        values: Value of the field for each example.
        label: Name of the field.
        variances: Fraction of the variance along each axis.
        title: Title of the figure.
        path: The file; its extension is the format.

    Returns:
        The symbols that no font has; the figure shows boxes for them.
    """
    figure, axes = _figure(6.2, 4.6)
    kinds = sorted(set(values))
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.92, len(kinds)))
    for kind, colour in zip(kinds, colours, strict=True):
        chosen = np.array([value == kind for value in values])
        axes.scatter(*points[chosen].T, s=24 if len(values) < 500 else 9, color=colour, label=str(kind), linewidths=0)
    legend = axes.legend(title=label, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.2)
    for text in (legend.get_title(), *legend.get_texts()):
        text.set_parse_math(False)
    first, second = (f"{fraction:.0%} of the variance" for fraction in variances)
    axes.set(xlabel=f"first component, {first}", ylabel=f"second component, {second}")
    axes.set_title(title, parse_math=False)
    return _save(figure, path)


def sweep_course(
    trials: Sequence[int],
    values: Sequence[float],
    settings: Mapping[str, tuple[Sequence[Any], bool]],
    metric: str,
    higher_is_better: bool,
    title: str,
    path: Path,
) -> str:
    """Plot the metric of trials by their number, with the best so far, and by the value of each setting.

    Args:
        trials: The number of each trial.
        values: The metric of each.
        settings: For each key, its value in each trial, and True for a logarithmic axis.
        metric: The name of the metric.
        higher_is_better: Whether larger values are better.
        title: Title of the figure.
        path: The file; its extension is the format.

    Returns:
        The symbols that no font has; the figure shows boxes for them.
    """
    columns = min(3, 1 + len(settings))
    rows = -(-(1 + len(settings)) // columns)
    figure, panels = _figure(3.1 * columns, 2.5 * rows + 0.4, rows, columns)
    course, *others = panels = np.atleast_1d(panels).ravel()
    best = (np.maximum if higher_is_better else np.minimum).accumulate(values)
    course.plot(trials, best, drawstyle="steps-post", color="C1", label="best so far")
    course.plot(trials, values, ".", color="C0", label="trial")
    course.set(xlabel="trial", ylabel=metric)
    course.legend(frameon=False)
    for axes, (key, (given, log)) in zip(others, settings.items(), strict=False):
        numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in given)
        axes.plot(list(given) if numeric else [str(value) for value in given], values, ".", color="C0")
        axes.set_xlabel(key, parse_math=False)
        if log:
            axes.set_xscale("log")
    for axes in panels[1 + len(settings) :]:
        axes.set_axis_off()
    figure.suptitle(title, parse_math=False)
    return _save(figure, path)


def principal_components(states: Floats) -> tuple[Floats, list[float]]:
    """Project states onto the two directions of largest variance (Pearson 1901), by singular value decomposition.

    Args:
        states: float [examples, units], at least two examples.

    Returns:
        float [examples, 2], and the fraction of the variance along each direction. Signs are such that the largest
        entry of each direction is positive.
    """
    centred = np.asarray(states, np.float64) - states.mean(axis=0)
    _, singular, directions = np.linalg.svd(centred, full_matrices=False)
    if len(directions) < 2:
        directions, singular = np.pad(directions, ((0, 1), (0, 0))), np.pad(singular, (0, 1))
    directions = directions[:2]
    largest = np.abs(directions).argmax(axis=1)
    signs = np.where(directions[[0, 1], largest] < 0, -1.0, 1.0)
    variance = singular**2
    total = variance.sum() or 1.0
    return centred @ (directions * signs[:, None]).T, [float(v / total) for v in variance[:2]]


def _figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context({**STYLE, "font.sans-serif": _fonts()}):
        figure = Figure(figsize=(min(width, 24), min(height, 24)), dpi=150)
        FigureCanvasAgg(figure)
        return figure, figure.subplots(rows, columns)


def _save(figure: Any, path: Path) -> str:
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        metadata = {"Date": None} if path.suffix == ".svg" else {}
        figure.savefig(buffer, format=path.suffix[1:], metadata=metadata)
    write_atomically(path, buffer.getvalue())
    found = (re.match(r"Glyph (\d+) ", str(warning.message)) for warning in caught)
    return "".join(sorted({chr(int(match[1])) for match in found if match}))


@cache
def _fonts() -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *sorted(name for name in installed if name.startswith(MORE_FONTS))]
