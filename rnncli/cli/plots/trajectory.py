"""`rnncli plot trajectory`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from rnncli.cli.figures import figure_options, save_figure
from rnncli.cli.help import INPUT, OUTPUT, Command, option
from rnncli.cli.options import PATH
from rnncli.cli.plots.state_files import choose_array, row_of
from rnncli.errors import InputError
from rnncli.text import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnncli.plots.figure import Figure, FigureOptions
    from rnncli.plots.pca import Floats
    from rnncli.states.reader import StateFile

MAX_PATHS, DEFAULT_PATHS, MAX_STEPS = 20, 3, 200
MAX_FITTED = 1000
"""Examples whose states decide the plane."""
MAX_LABEL = 30


@click.command(
    "trajectory",
    cls=Command,
    examples=(
        "rnncli export-states RUN --input data/sums.txt -o states.npz --which h",
        'rnncli plot trajectory states.npz --source "999+1" --source "8+64" -o path.png',
        "rnncli plot trajectory states.npz --row 0 --row 7 --fit chosen -o path.svg",
    ),
)
@click.argument("file", metavar="FILE", type=PATH)
@option(
    "--row",
    "rows",
    group=INPUT,
    type=click.IntRange(min=0),
    metavar="K",
    multiple=True,
    help="Example to plot, from 0; repeatable [default: the first 3].",
)
@option("--source", "sources", group=INPUT, metavar="TEXT", multiple=True, help="Plot this source; repeatable.")
@option("--array", "name", group=INPUT, metavar="NAME", help="Array to plot [default: h of the last encoder layer].")
@option(
    "--fit",
    group=OUTPUT,
    type=click.Choice(["all", "chosen"]),
    default="all",
    show_default=True,
    help="States whose principal components are the axes.",
)
@figure_options
def command(
    file: Path,
    rows: tuple[int, ...],
    sources: tuple[str, ...],
    name: str | None,
    fit: str,
    options: FigureOptions,
) -> None:
    """Plot the way of the states of some examples in FILE through the plane of largest variance, step by step.

    FILE is one of export-states. Each point is the state after the symbol beside it; a ring marks the first one.
    """
    from rnncli.states.reader import read_states

    states = read_states(file)
    array = choose_array(states, name, final=False)
    chosen = list(dict.fromkeys([*rows, *(row_of(states, source) for source in sources)]))
    chosen = chosen or list(range(min(states.rows, DEFAULT_PATHS)))
    if not chosen:
        raise InputError(f"{file}: it has no examples")
    if max(chosen) >= states.rows:
        raise InputError(f"--row {max(chosen)}: {file} has rows 0 to {states.rows - 1}")
    if len(chosen) > MAX_PATHS:
        raise InputError(f"{len(chosen)} examples; a figure shows at most {MAX_PATHS}")
    figure = draw(states, array, chosen, fit == "all", options)
    save_figure(figure, options)


def draw(states: StateFile, name: str, rows: Sequence[int], fit_all: bool, options: FigureOptions) -> Figure:
    """Plot the paths of some rows."""
    from rnncli.plots.figure import Figure, colours, plain_legend
    from rnncli.plots.pca import fit_plane

    paths = [path_of(states, name, row) for row in rows]
    fitted = all_steps(states, name) if fit_all else np.concatenate([values for values, _, _ in paths])
    if len(fitted) < 2:
        raise InputError(f"{states.path}: a PCA needs at least two steps")
    plane = fit_plane(fitted)
    figure = Figure(options, 7.2, 5.2)
    (axes,) = figure.axes
    for (values, tokens, label), colour in zip(paths, colours(len(paths)), strict=True):
        points = plane(values[:MAX_STEPS])
        axes.plot(*points.T, color=colour, linewidth=1, marker="o", markersize=3.5, label=label)
        axes.plot(*points[0], color=colour, marker="o", markersize=8, fillstyle="none")
        for point, token in zip(points, tokens, strict=False):
            axes.annotate(
                token, point, (4, 3), textcoords="offset points", color=colour, fontsize=8, parse_math=False
            )
        if len(values) > MAX_STEPS:
            figure.notes.append(f"the first {MAX_STEPS} of {len(values)} steps of {label}")
    plain_legend(axes.legend(frameon=False, loc="best"))
    first, second = (f"{fraction:.0%} of the variance" for fraction in plane.variances)
    axes.set(xlabel=f"first component, {first}", ylabel=f"second component, {second}")
    figure.set_title(name)
    if fit_all and states.rows > MAX_FITTED:
        figure.notes.append(f"axes: principal components of the first {MAX_FITTED:,} of {states.rows:,} examples")
    return figure


def path_of(states: StateFile, name: str, row: int) -> tuple[Floats, list[str], str]:
    """Return the states of a row, float [steps, units], the symbol of each step, and a name."""
    batch = states.read(row, row + 1, [name])
    side = "target" if name.startswith("decoder/") else "source"
    tokens = batch.tokens(side)[0]
    if not tokens:
        raise InputError(f"{states.path}: row {row} has no steps")
    values = batch.arrays[name][0].reshape(batch.arrays[name].shape[1], -1)[: len(tokens)]
    label = shorten(f"{batch.sources[0]} → {batch.predictions[0]}", MAX_LABEL)
    return values, [shorten(token, MAX_LABEL) for token in tokens], label


def all_steps(states: StateFile, name: str) -> Floats:
    """Return the states of all steps of the first examples, float [steps, units]."""
    batch = states.read(0, min(states.rows, MAX_FITTED), [name])
    array = batch.arrays[name]
    vectors = array.reshape(*array.shape[:2], -1)
    side = "target" if name.startswith("decoder/") else "source"
    real = np.arange(array.shape[1]) < batch.lengths(side)[:, None]
    steps: Floats = vectors[real]
    return steps
