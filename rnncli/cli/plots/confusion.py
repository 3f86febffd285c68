"""`rnncli plot confusion`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from rnncli.cli.answered import answer_examples
from rnncli.cli.figures import figure_options, save_figure
from rnncli.cli.help import OUTPUT, Command, option
from rnncli.cli.options import (
    checkpoint_option,
    device_option,
    input_option,
    open_run,
    quiet_option,
    run_argument,
    trust_option,
    verbose_option,
)
from rnncli.errors import RunFailedError
from rnncli.text import shorten

if TYPE_CHECKING:
    from rnncli.inference.confusion import Confusion
    from rnncli.plots.figure import Figure, FigureOptions

MAX_LABEL = 12
MAX_NUMBERED = 30
"""Rows and columns whose cells still have room for a number."""


@click.command(
    "confusion",
    cls=Command,
    examples=(
        "rnncli plot confusion latest -o confusion.png",
        "rnncli plot confusion RUN --symbols 40 --input test.tsv -o confusion.pdf",
    ),
)
@run_argument
@input_option
@option(
    "--symbols",
    group=OUTPUT,
    type=click.IntRange(1, 200),
    metavar="N",
    default=20,
    show_default=True,
    help="Show the N symbols with most errors.",
)
@figure_options
@checkpoint_option
@trust_option
@device_option
@quiet_option
@verbose_option
def command(
    run: Path,
    input_path: str | None,
    symbols: int,
    options: FigureOptions,
    checkpoint: str,
    trust_code: bool,
    device: Literal["auto", "cpu", "gpu"] | None,
    quiet: bool,
) -> None:
    """Plot which symbols RUN writes in place of which, from alignments of wrong predictions with their targets.

    ∅ is no symbol: its row has insertions, its column deletions. Of a classifier it is the confusion matrix. The
    examples are the held-out ones, or those of --input.
    """
    saved = open_run(run, device, trust_code, checkpoint)
    (answers,) = answer_examples([saved], input_path, quiet)
    confusion = answers.confusion(symbols)
    if not confusion.total:
        raise RunFailedError(
            f"{run}: all of {len(answers.examples):,} predictions are right: there is nothing to plot"
        )
    save_figure(draw(confusion, saved.path.name, options), options)


def draw(confusion: Confusion, title: str, options: FigureOptions) -> Figure:
    """Plot counts as a matrix: rows are right, columns are written."""
    import numpy as np

    from rnncli.plots.figure import Figure

    rows, columns = confusion.rows, confusion.columns
    figure = Figure(options, max(3.4, 1.6 + 0.3 * len(columns)), max(2.8, 1.2 + 0.27 * len(rows)))
    (axes,) = figure.axes
    shown = np.ma.masked_equal(confusion.counts, 0)
    image = axes.imshow(shown, aspect="auto", cmap="OrRd", vmin=0, interpolation="nearest")
    axes.set_xticks(range(len(columns)), [shorten(name, MAX_LABEL) for name in columns], parse_math=False)
    axes.set_yticks(range(len(rows)), [shorten(name, MAX_LABEL) for name in rows], parse_math=False)
    if max(len(name) for name in columns) > 2:
        axes.tick_params(axis="x", rotation=90)
    if max(len(rows), len(columns)) <= MAX_NUMBERED:
        most = confusion.counts.max()
        for (row, column), count in np.ndenumerate(confusion.counts):
            if count:
                colour = "white" if count > 0.6 * most else "black"
                axes.text(column, row, f"{count}", ha="center", va="center", fontsize=6, color=colour)
    what = "class" if confusion.of_classes else "symbol"
    axes.set(xlabel=f"written {what}", ylabel=f"right {what}")
    figure.set_title(title)
    figure.add_colorbar(image, axes, label="examples" if confusion.of_classes else "errors")
    if confusion.left_out:
        counted = "examples" if confusion.of_classes else "errors"
        figure.notes.append(f"left out: {confusion.left_out:,} of {confusion.total:,} {counted}, of other {what}s")
    return figure
