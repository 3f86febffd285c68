"""`rnncli plot lengths`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
import numpy as np
from numpy.typing import NDArray

from rnncli.cli.answered import answer_examples
from rnncli.cli.figures import figure_options, save_figure
from rnncli.cli.help import INPUT, Command, option
from rnncli.cli.options import (
    checkpoint_option,
    device_option,
    input_option,
    open_run,
    quiet_option,
    runs_argument,
    trust_option,
    verbose_option,
)
from rnncli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnncli.inference.held_out import Answers
    from rnncli.plots.figure import Figure, FigureOptions

MAX_BINS = 40
"""Lengths that have a point of their own; more are taken together."""
MAX_RUNS = 10


@click.command(
    "lengths",
    cls=Command,
    examples=(
        "rnncli plot lengths latest -o lengths.png",
        "rnncli plot lengths RUN RUN2 --of target --input test.tsv -o lengths.svg",
    ),
)
@runs_argument
@input_option
@option(
    "--of",
    "side",
    group=INPUT,
    type=click.Choice(["source", "target"]),
    default="source",
    show_default=True,
    help="Symbols of the source, or of the target.",
)
@figure_options
@checkpoint_option
@trust_option
@device_option
@quiet_option
@verbose_option
def command(
    runs: tuple[Path, ...],
    input_path: str | None,
    side: str,
    options: FigureOptions,
    checkpoint: str,
    trust_code: bool,
    device: Literal["auto", "cpu", "gpu"] | None,
    quiet: bool,
) -> None:
    """Plot the share of right answers by length, with 95% Wilson intervals, and how many examples each length has.

    The examples are the held-out ones of each RUN, or those of --input.
    """
    if len(runs) > MAX_RUNS:
        raise InputError(f"{len(runs)} runs; a figure shows at most {MAX_RUNS}")
    saved = [open_run(run, device, trust_code, checkpoint) for run in dict.fromkeys(runs)]
    answers = answer_examples(saved, input_path, quiet)
    save_figure(draw(answers, side, options), options)


def draw(answers: Sequence[Answers], side: str, options: FigureOptions) -> Figure:
    """Plot a line for each run above bars of the numbers of examples of the first."""
    from rnncli.metrics.intervals import wilson_interval
    from rnncli.plots.figure import Figure, colours, plain_legend, show_percent, show_whole_numbers

    figure = Figure(options, 6.4, 4.0)
    (axes,) = figure.axes
    for each, colour in zip(answers, colours(len(answers)), strict=True):
        lengths = lengths_of(each, side)
        x, counts, right = by_length(lengths, each.predictions.exact)
        shares = right / counts
        bounds = np.array([wilson_interval(int(r), int(n)) for r, n in zip(right, counts, strict=True)])
        ends = np.abs(bounds.T - shares)
        style = {"marker": "o", "markersize": 4, "linewidth": 1.4, "elinewidth": 0.8, "capsize": 2}
        axes.errorbar(x, shares, ends, color=colour, label=each.saved.path.name, **style)
        if each is answers[0]:
            bars = axes.twinx()
            bars.bar(x, counts, width=0.6 * bin_width(lengths), color="#57606a", alpha=0.25, zorder=0)
            bars.set_ylabel("examples (bars)")
            bars.set_ylim(0, 3 * counts.max())
            bars.spines["right"].set_visible(True)
            bars.spines["top"].set_visible(False)
            show_whole_numbers(bars.yaxis)
        if bin_width(lengths) > 1:
            figure.notes.append(f"each point: {bin_width(lengths)} lengths together")
    axes.set(xlabel=f"symbols of the {side}", ylabel="right in every symbol", ylim=(-0.02, 1.02))
    axes.set_zorder(2)
    axes.patch.set_visible(False)
    show_percent(axes.yaxis)
    show_whole_numbers(axes.xaxis)
    if len(answers) > 1:
        plain_legend(axes.legend(frameon=False, fontsize=7, loc="lower left"))
    figure.set_title(answers[0].saved.path.name if len(answers) == 1 else "")
    figure.notes[:] = list(dict.fromkeys(figure.notes))
    return figure


def lengths_of(answers: Answers, side: str) -> NDArray[np.int64]:
    """Return the symbols of each source or target, without end-of-sequence, int64 [examples]."""
    if side == "target":
        return answers.predictions.target_content
    return np.asarray(answers.examples.source_lengths, np.int64) - answers.saved.task.sizes.tags


def bin_width(lengths: NDArray[np.int64]) -> int:
    """Return how many lengths are taken together."""
    return max(1, math.ceil((int(lengths.max(initial=1)) + 1) / MAX_BINS))


def by_length(
    lengths: NDArray[np.int64], right: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the middle of each bin of lengths that has examples, their number, and how many are right."""
    width = bin_width(lengths)
    bins = lengths // width
    counts, correct = np.bincount(bins), np.bincount(bins, weights=right).astype(np.int64)
    used = np.flatnonzero(counts)
    middles = (used * width + (width - 1) / 2).astype(np.float64)
    return middles, counts[used].astype(np.int64), correct[used]
