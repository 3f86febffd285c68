"""`rnncli plot-attention`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnncli.cli.figures import check_figure, show_missing
from rnncli.cli.help import INPUT, OUTPUT, Command, option
from rnncli.cli.options import PATH, overwrite_option
from rnncli.errors import InputError, explain_os_errors

if TYPE_CHECKING:
    from rnncli.states.reader import StateFile

BLOCK_ROWS = 1000
MAX_SYMBOLS = 500
"""Symbols of a source or a prediction; a larger figure is unreadable."""


@click.command(
    "plot-attention",
    cls=Command,
    examples=(
        'rnncli predict RUN "2021年3月4日" --attention attention.npz',
        "rnncli plot-attention attention.npz --output attention.png",
    ),
)
@click.argument("file", metavar="FILE", type=PATH)
@option(
    "--row", group=INPUT, type=click.IntRange(min=0), metavar="K", help="Prediction to plot, from 0 [default: 0]."
)
@option("--source", group=INPUT, metavar="TEXT", help="Plot the prediction of this source.")
@option(
    "-o", "--output", group=OUTPUT, required=True, type=PATH, metavar="FILE", help="Figure to write, .png or .svg."
)
@overwrite_option
def command(file: Path, output: Path, row: int | None, source: str | None, overwrite: bool) -> None:
    """Plot the attention weights in FILE, which `rnncli predict --attention` wrote.

    Source symbols run along the x axis, predicted symbols down the y axis.
    """
    if row is not None and source is not None:
        raise click.UsageError("--row and --source exclude each other")
    check_figure(output, overwrite)
    from rnncli.states.batch import ATTENTION
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
    from rnncli.states import plotting as plots

    weights = batch.arrays[ATTENTION][0, : len(written), : len(read)]
    with explain_os_errors(output, "written"):
        missing = plots.attention_map(weights, read, written, f"{batch.sources[0]} → {batch.predictions[0]}", output)
    show_missing(missing, output)
    click.echo(output)


def row_of(states: StateFile, source: str) -> int:
    """Return the first row of a source.

    Raises:
        InputError: There is none.
    """
    for start in range(0, states.rows, BLOCK_ROWS):
        sources = states.read(start, start + BLOCK_ROWS, []).sources
        if source in sources:
            return start + sources.index(source)
    raise InputError(f"--source {source}: {states.path} has no prediction of it")
