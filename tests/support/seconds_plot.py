"""`rnncli plot seconds`: a plot of one's own."""

from pathlib import Path

import click

from rnncli.cli.figures import figure_options, save_figure
from rnncli.cli.help import Command
from rnncli.cli.options import run_argument
from rnncli.runs.directory import RunDir
from rnncli.runs.metrics_log import read_metrics


@click.command("seconds", cls=Command, examples=("rnncli plot seconds RUN -o seconds.png",))
@run_argument
@figure_options
def command(run: Path, options) -> None:
    """Plot the seconds of each epoch of RUN."""
    from rnncli.plots.figure import Figure

    epochs = read_metrics(RunDir(run))
    figure = Figure(options, 5, 3)
    figure.axes[0].plot([values["epoch"] for values in epochs], [values["seconds"] for values in epochs])
    figure.axes[0].set(xlabel="epoch", ylabel="seconds")
    save_figure(figure, options)
