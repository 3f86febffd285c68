"""`rnncli plot states`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from rnncli.cli.figures import MAX_SHOWN, figure_options, save_figure
from rnncli.cli.help import INPUT, OUTPUT, Command, option
from rnncli.cli.options import PATH
from rnncli.cli.plots.state_files import choose_array, field_of
from rnncli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnncli.plots.figure import Figure, FigureOptions
    from rnncli.plots.pca import Floats
    from rnncli.states.reader import StateFile

MAX_POINTS, MAX_UNITS, MAX_STEPS = 5000, 32, 500
MAX_KINDS = 20
"""Values of a field that have a color of their own."""
MAX_DIGITS = 6
"""Digits of a unit's number: no layer has a million units."""


def parse_units(_ctx: click.Context, _param: click.Parameter, value: str | None) -> list[int] | None:
    """Return `0,5,8-11` as numbers."""
    if value is None:
        return None
    units: list[int] = []
    for part in value.split(","):
        first, dash, last = part.strip().partition("-")
        wrong = not first.isdecimal() or (dash and not last.isdecimal()) or max(len(first), len(last)) > MAX_DIGITS
        if wrong or int(last or first) < int(first):
            raise click.BadParameter(f"{part!r} is not a unit or a range of units, such as 8-11")
        units.extend(range(int(first), int(last or first) + 1))
    return units


OPTIONS_OF = {"row": "heatmap", "units": "heatmap", "errors": "pca", "field": "pca"}
"""Options of one kind of plot alone, by the name of their parameter."""


@click.command(
    "states",
    cls=Command,
    examples=(
        "rnncli export-states RUN --input data/sums.txt -o states.npz --which h,final",
        "rnncli plot states states.npz --row 28 --output heatmap.png",
        "rnncli plot states states.npz --kind pca --color-by carries -o pca.svg",
    ),
)
@click.argument("file", metavar="FILE", type=PATH)
@option("--array", "name", group=INPUT, metavar="NAME", help="Array to plot [default: h of the last encoder layer].")
@option(
    "--row",
    group=INPUT,
    type=click.IntRange(min=0),
    metavar="K",
    default=0,
    show_default=True,
    help="Heat map: example to plot, from 0.",
)
@option(
    "--units",
    group=INPUT,
    metavar="UNITS",
    callback=parse_units,
    help="Heat map: units, such as 0,5,8-11 [default: 0-31].",
)
@option(
    "--errors",
    group=INPUT,
    type=PATH,
    metavar="FILE2",
    help="PCA: wrong predictions by `evaluate --errors`, for right.",
)
@option(
    "--kind",
    group=OUTPUT,
    type=click.Choice(["heatmap", "pca"]),
    default="heatmap",
    show_default=True,
    help="Heat map of one example's states, or PCA of all final states.",
)
@option(
    "--color-by",
    "field",
    group=OUTPUT,
    metavar="FIELD",
    default="length",
    show_default=True,
    help="PCA: length, source-length, first-symbol, features, prediction, right, or a group of the task.",
)
@figure_options
@click.pass_context
def command(
    ctx: click.Context,
    file: Path,
    kind: str,
    name: str | None,
    row: int,
    units: list[int] | None,
    field: str,
    errors: Path | None,
    options: FigureOptions,
) -> None:
    """Plot the states in FILE, which export-states wrote as npz, HDF5 or safetensors."""
    from rnncli.states.reader import read_states

    for parameter in ctx.command.params:
        other = OPTIONS_OF.get(parameter.name or "", kind)
        if other != kind and ctx.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[0]} is for --kind {other}")
    states = read_states(file)
    if states.rows == 0:
        raise InputError(f"{file}: it has no examples")
    if kind == "heatmap":
        figure = draw_heat_map(states, choose_array(states, name, final=False), row, units, options)
    else:
        figure = draw_pca(states, choose_array(states, name, final=True), field, errors, options)
    save_figure(figure, options)


def draw_heat_map(states: StateFile, name: str, row: int, units: list[int] | None, options: FigureOptions) -> Figure:
    """Plot the states of one example, step by step."""
    if row >= states.rows:
        raise InputError(f"--row {row}: {states.path} has rows 0 to {states.rows - 1}")
    from rnncli.states.batch import as_vectors, is_reversed

    batch = states.read(row, row + 1, [name])
    steps, width = as_vectors(name, states.shapes[name])
    if units and max(units) >= width:
        raise InputError(f"--units {max(units)}: {name} has units 0 to {width - 1}")
    chosen = units or list(range(min(width, MAX_UNITS)))
    side = "target" if name.startswith("decoder/") else "source"
    tokens = batch.tokens(side)[0][:steps]
    if len(tokens) > MAX_STEPS:
        raise InputError(f"--row {row}: {len(tokens)} steps; a heat map shows at most {MAX_STEPS}")
    from rnncli.text import shorten

    source, prediction = shorten(batch.sources[0], MAX_SHOWN), shorten(batch.predictions[0], MAX_SHOWN)
    values = batch.arrays[name].reshape(steps, width)[: len(tokens), chosen]
    tokens = [shorten(token, MAX_SHOWN // 2) for token in tokens]
    text = batch.predictions[0] if side == "target" else batch.sources[0]
    symbols = f"symbol of the {side}{', read from its end' * is_reversed(batch.tokens(side)[0], text)}"
    figure = heat_map(values, tokens, chosen, f"{name}: {source} → {prediction}", options)
    figure.axes[0].set_xlabel(symbols)
    if len(chosen) < width:
        which = f"units 0-{len(chosen) - 1}" if units is None else f"{len(chosen)} units"
        figure.notes.append(f"{which} of {width}")
    return figure


def heat_map(
    states: Floats, tokens: Sequence[str], units: Sequence[int], title: str, options: FigureOptions
) -> Figure:
    """Plot selected units over the steps of one example.

    Args:
        states: float [steps, selected units].
        tokens: The symbol of each step.
        units: The number of each selected unit, for the axis.
        title: Title of the figure.
        options: Options of the figure.
    """
    from rnncli.plots.figure import Figure

    figure = Figure(options, max(4.5, 1.6 + 0.34 * len(tokens)), max(2.4, 1.2 + 0.14 * len(units)))
    (axes,) = figure.axes
    limit = max(1e-6, float(abs(states).max(initial=0)))
    image = axes.imshow(states.T, aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set_xticks(range(len(tokens)), tokens, parse_math=False)  # a $ is a symbol
    shown = range(0, len(units), max(1, len(units) // 16))
    axes.set_yticks(list(shown), [str(units[i]) for i in shown])
    axes.set(xlabel="symbol", ylabel="unit")
    figure.set_title(title)
    figure.add_colorbar(image, axes)
    return figure


def draw_pca(states: StateFile, name: str, field: str, errors: Path | None, options: FigureOptions) -> Figure:
    """Plot a PCA of the final states, at most `MAX_POINTS`."""
    if states.rows < 2:
        raise InputError(f"{states.path}: a PCA needs at least two examples")
    batch = states.read(0, min(states.rows, MAX_POINTS), [name])
    value = field_of(states, field, batch.sources[0], errors)
    from rnncli.plots.pca import principal_components

    points, shares = principal_components(batch.arrays[name].reshape(len(batch), -1))
    values = [value(batch, row) for row in range(len(batch))]
    figure = scatter(points, values, field, shares, f"{name}, {len(batch):,} examples", options)
    if states.rows > len(batch):
        figure.notes.append(f"the first {len(batch):,} of {states.rows:,} examples")
    return figure


def scatter(
    points: Floats,
    values: Sequence[Any],
    label: str,
    variances: Sequence[float],
    title: str,
    options: FigureOptions,
) -> Figure:
    """Plot states as points in the plane, coloured by a field.

    Args:
        points: float [examples, 2].
        values: Value of the field for each example.
        label: Name of the field.
        variances: Fraction of the variance along each axis.
        title: Title of the figure.
        options: Options of the figure.
    """
    from rnncli.plots.figure import Figure, colours, ordered_colours, plain_legend

    figure = Figure(options, 6.2, 4.6)
    (axes,), counts = figure.axes, Counter(values)
    kinds = sorted(kind for kind, _ in counts.most_common(MAX_KINDS))
    if others := len(counts) - len(kinds):
        figure.notes.append(f"grey: {others} other values of {label}")
        chosen = [row for row, value in enumerate(values) if value not in kinds]
        axes.scatter(*points[chosen].T, s=9, color="#c8c8c8", linewidths=0)
    palette = ordered_colours(len(kinds)) if all(isinstance(kind, int) for kind in kinds) else colours(len(kinds))
    for kind, colour in zip(kinds, palette, strict=True):
        chosen = [row for row, value in enumerate(values) if value == kind]
        axes.scatter(*points[chosen].T, s=24 if len(values) < 500 else 9, color=colour, label=str(kind), linewidths=0)
    plain_legend(axes.legend(title=label, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), markerscale=1.2))
    first, second = (f"{fraction:.0%} of the variance" for fraction in variances)
    axes.set(xlabel=f"first component, {first}", ylabel=f"second component, {second}")
    figure.set_title(title)
    return figure
