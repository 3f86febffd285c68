"""Charts as SVG, small and without a library: curves, and matrices as heat maps."""

from __future__ import annotations

import html
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncli.report.markup import RUN_COLOURS, text

MAX_POINTS = 200
"""Points of a curve; of more epochs equally many are left out between two."""
LEVELS = 8
"""Shades of a heat map."""
CELL, LETTER, DIGIT = 22, 8, 8
"""Pixels of a cell at least, of a letter, and of a digit in a cell."""
MAX_LABEL = 12


class Line(NamedTuple):
    """A line of a chart.

    Attributes:
        run: The index of its run.
        name: Its name.
        x: Horizontal places.
        y: Values.
        dashed: True for one of training data.
    """

    run: int
    name: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False


def line_chart(title: str, x_label: str, lines: Sequence[Line], show: Callable[[float], str]) -> str:
    """Return a chart of lines with axes, and a description of where each line begins and ends.

    Args:
        title: Its name.
        x_label: Name of the horizontal axis.
        lines: The lines; at least one, each with a point at least.
        show: Returns a value as people read it.
    """
    width, height, left, bottom, top, right = 440, 240, 62, 40, 10, 14
    values = [value for line in lines for value in line.y]
    places = [place for line in lines for place in line.x]
    y_ticks, x_ticks = nice_ticks(min(values), max(values), 5), nice_ticks(min(places), max(places), 7, whole=True)
    low, high = min(*values, *y_ticks), max(*values, *y_ticks)
    first, last = min(places), max(places)

    def across(place: float) -> float:
        return left + (width - left - right) * ((place - first) / (last - first) if last > first else 0.5)

    def down(value: float) -> float:
        return top + (height - top - bottom) * (1 - ((value - low) / (high - low) if high > low else 0.5))

    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{describe(title, lines, show)}">']
    for tick in y_ticks:
        y = down(tick)
        parts.append(f'<path class="grid" d="M{left} {y:.1f}H{width - right}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{html.escape(show(tick))}</text>')
    x_text = f'y="{height - bottom + 16}" text-anchor="middle"'
    parts += [f'<text x="{across(tick):.1f}" {x_text}>{tick:g}</text>' for tick in x_ticks]
    middle = (left + width - right) / 2
    parts.append(f'<text x="{middle}" y="{height - 4}" text-anchor="middle">{html.escape(x_label)}</text>')
    for line in lines:
        points = thinned(line)
        shown = " ".join(f"{across(x):.1f},{down(y):.1f}" for x, y in points)
        name = f"line run{line.run % RUN_COLOURS}{' dashed' if line.dashed else ''}"
        parts.append(f'<polyline class="{name}" points="{shown}"><title>{text(line.name)}</title></polyline>')
        if len(points) == 1:
            parts.append(f'<circle class="{name}" cx="{across(line.x[0]):.1f}" cy="{down(line.y[0]):.1f}" r="3"/>')
    return _figure("".join([*parts, "</svg>"]), title)


def describe(title: str, lines: Sequence[Line], show: Callable[[float], str]) -> str:
    """Return what a chart of lines shows, in words."""
    ends = [f"{line.name}: from {show(line.y[0])} to {show(line.y[-1])}" for line in lines]
    return html.escape(f"{title}. {'; '.join(ends)}", quote=True)


def thinned(line: Line) -> list[tuple[float, float]]:
    """Return the points of a line, at most `MAX_POINTS` and the last."""
    step = max(1, math.ceil(len(line.y) / MAX_POINTS))
    rows = [*range(0, len(line.y) - 1, step), len(line.y) - 1]
    return [(line.x[row], line.y[row]) for row in rows]


def nice_ticks(low: float, high: float, count: int, whole: bool = False) -> list[float]:
    """Return about so many round numbers between two numbers."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw)
    step = max(1.0, math.ceil(step)) if whole else step
    begin = math.ceil(low / step - 1e-9)
    ticks = [round(number * step, 10) for number in range(begin, math.floor(high / step + 1e-9) + 1)]
    return ticks or [low]


def heat_map(
    title: str,
    values: NDArray[Any],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    axes: tuple[str, str],
    numbers: bool = False,
    highest: float | None = None,
) -> str:
    """Return a matrix as shades; cells of one shade are one path, so that large matrices stay small.

    Args:
        title: Its name.
        values: float [rows, columns], 0 at least.
        rows: Names of the rows.
        columns: Names of the columns.
        axes: Names of both axes: down and across.
        numbers: True to write the numbers too.
        highest: The value of the darkest shade; None is the greatest.
    """
    rows, columns = ([_short(name) for name in names] for names in (rows, columns))
    turned = max(map(len, columns), default=1) > 2
    digits = len(f"{values.max(initial=0):g}") if numbers else 0
    cell = max(CELL, DIGIT * digits + 6)
    left = 10 + LETTER * max(map(len, rows), default=1)
    top = 26 + (LETTER * max(map(len, columns)) if turned else 12)
    heading = f"{axes[0]} ↓  {axes[1]} →"
    width = max(left + cell * len(columns) + 6, LETTER * len(heading) + 8)
    height = top + cell * len(rows) + 6
    label = html.escape(f"{title}. Down: {axes[0]}; across: {axes[1]}.", quote=True)
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [f'<svg class="heat" {size} role="img" aria-label="{label}">']
    parts.append(f'<text class="axis" x="4" y="13">{html.escape(heading)}</text>')
    for place, name in enumerate(columns):
        x = left + cell * place + cell / 2
        turn = (
            f' transform="rotate(-90 {x:.0f} {top - 6})" text-anchor="start" dy="4"'
            if turned
            else ' text-anchor="middle"'
        )
        parts.append(f'<text x="{x:.0f}" y="{top - 6}"{turn}>{html.escape(name)}</text>')
    for place, name in enumerate(rows):
        y = top + cell * place + cell / 2 + 4
        parts.append(f'<text x="{left - 6}" y="{y:.0f}" text-anchor="end">{html.escape(name)}</text>')
    parts += _shades(values, (left, top, cell), highest or float(values.max(initial=0)) or 1.0)
    if numbers:
        parts += _numbers(values, (left, top, cell))
    return _figure("".join([*parts, "</svg>"]), title)


def _shades(values: NDArray[Any], grid: tuple[int, int, int], highest: float) -> list[str]:
    left, top, cell = grid
    paths: dict[int, list[str]] = defaultdict(list)
    for (row, column), value in np.ndenumerate(values):
        level = math.ceil(min(1.0, value / highest) * LEVELS - 0.25)
        if level > 0:
            paths[level].append(f"M{left + cell * column} {top + cell * row}h{cell - 1}v{cell - 1}h-{cell - 1}z")
    height, width = cell * values.shape[0], cell * values.shape[1]
    frame = f'<rect class="frame" x="{left}" y="{top}" width="{width - 1}" height="{height - 1}"/>'
    return [frame, *(f'<path class="level{level}" d="{"".join(found)}"/>' for level, found in sorted(paths.items()))]


def _numbers(values: NDArray[Any], grid: tuple[int, int, int]) -> list[str]:
    left, top, cell = grid
    highest = values.max(initial=0)
    parts = []
    for (row, column), value in np.ndenumerate(values):
        if value:
            x, y = left + cell * column + (cell - 1) / 2, top + cell * row + cell / 2 + 3
            dark = ' class="on"' if value / highest * LEVELS - 0.25 > LEVELS // 2 else ""
            parts.append(f'<text{dark} x="{x:.0f}" y="{y:.0f}" text-anchor="middle" font-size="9">{value:g}</text>')
    return parts


def _figure(svg: str, title: str) -> str:
    return f"<figure><figcaption>{text(title)}</figcaption>{svg}</figure>"


def _short(name: str) -> str:
    return name if len(name) <= MAX_LABEL else f"{name[: MAX_LABEL - 1]}…"
