"""`rnncli plot attention`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnncli.cli.figures import MAX_SHOWN, figure_options, save_figure
from rnncli.cli.help import INPUT, Command, option
from rnncli.cli.options import PATH
from rnncli.cli.plots.state_files import row_of
from rnncli.errors import InputError
from rnncli.text import shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnncli.plots.figure import Figure, FigureOptions
    from rnncli.states.batch import Floats

MAX_SYMBOLS = 500
"""Symbols of a source or a prediction; a larger figure is unreadable."""


@click.command(
    "attention",
    cls=Command,
    examples=(
        'rnncli predict RUN "2021年3月4日" --attention attention.npz',
        "rnncli plot attention attention.npz --output attention.png",
    ),
)
@click.argument("file", metavar="FILE", type=PATH)
@option(
    "--row", group=INPUT, type=click.IntRange(min=0), metavar="K", help="Prediction to plot, from 0 [default: 0]."
)
@option("--source", group=INPUT, metavar="TEXT", help="Plot the prediction of this source.")
@figure_options
def command(file: Path, row: int | None, source: str | None, options: FigureOptions) -> None:
    """Plot the attention weights in FILE, which `rnncli predict --attention` wrote.

    Source symbols run along the x axis, predicted symbols down the y axis.
    """
    if row is not None and source is not None:
        raise click.UsageError("--row and --source exclude each other")
    from rnncli.states.batch import ATTENTION, is_reversed
    from rnncli.states.reader import read_states

    states = read_states(file)
    if len(states.shapes.get(ATTENTION, ())) != 2:
        raise InputError(f"{file}: it has no attention weights", "`rnncli predict RUN --attention FILE` writes it")
    number = (row or 0) if source is None else row_of(states, source)
    if not states.rows:
        raise InputError(f"{file}: it has no predictions")
    if number >= states.rows:
        raise InputError(f"--row {number}: {file} has rows 0 to {states.rows - 1}")
    batch = states.read(number, number + 1, [ATTENTION])
    read, written = batch.source_tokens[0], batch.target_tokens[0]
    if not read or not written:
        raise InputError(f"{file}: row {number} is of an invalid line, without a prediction")
    if max(len(read), len(written)) > MAX_SYMBOLS:
        raise InputError(f"{file}: row {number} has more than {MAX_SYMBOLS} symbols, too many for a figure")
    weights = batch.arrays[ATTENTION][0, : len(written), : len(read)]
    backwards = is_reversed(read, batch.sources[0]), is_reversed(written, batch.predictions[0])
    read, written = ([shorten(token, MAX_SHOWN // 2) for token in tokens] for tokens in (read, written))
    title = " → ".join(shorten(text, MAX_SHOWN) for text in (batch.sources[0], batch.predictions[0]))
    figure = draw(weights, read, written, title, options)
    if backwards[0]:
        figure.axes[0].set_xlabel("source, read from its end")
    if backwards[1]:
        figure.axes[0].set_ylabel("prediction, written from its end")
    save_figure(figure, options)


def draw(weights: Floats, source: Sequence[str], target: Sequence[str], title: str, options: FigureOptions) -> Figure:
    """Plot the attention weights of one prediction.

    Args:
        weights: float [target symbols, source symbols], 0 to 1.
        source: The source symbols, from left to right.
        target: The predicted symbols, from top to bottom.
        title: Title of the figure.
        options: Options of the figure.
    """
    from rnncli.plots.figure import Figure

    figure = Figure(options, max(3.6, 1.8 + 0.34 * len(source)), max(2.4, 1.2 + 0.24 * len(target)))
    (axes,) = figure.axes
    image = axes.imshow(weights, aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks(range(len(source)), source, parse_math=False)
    axes.set_yticks(range(len(target)), target, parse_math=False)
    axes.set(xlabel="source", ylabel="prediction")
    figure.set_title(title)
    figure.add_colorbar(image, axes)
    return figure
