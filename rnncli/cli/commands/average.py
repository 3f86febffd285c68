"""`rnncli average`."""

from __future__ import annotations

from pathlib import Path

import click

from rnncli.cli.help import INPUT, OUTPUT, Command, option
from rnncli.cli.options import PATH, quiet_option, run_argument, show_message
from rnncli.errors import InputError, command_line
from rnncli.text import shorten


@click.command(
    "average",
    cls=Command,
    examples=(
        "rnncli average RUN --last 5",
        "rnncli average RUN --checkpoints 2400,2800,best -o runs/averaged",
    ),
)
@run_argument
@option("--last", group=INPUT, type=click.IntRange(2, 1000), metavar="K", help="Average the K newest checkpoints.")
@option(
    "--checkpoints",
    group=INPUT,
    metavar="STEP,...",
    help="Average these: numbers of steps, best or last, with commas between them.",
)
@option("-o", "--output", group=OUTPUT, type=PATH, metavar="DIR", help="Write to DIR [default: RUN-average].")
@quiet_option
def command(run: Path, last: int | None, checkpoints: str | None, output: Path | None, quiet: bool) -> None:
    """Average the weights of checkpoints of one run into a new run directory.

    predict, evaluate, export and all others that read a run take it; RUN stays as it is. Training keeps the newest
    two checkpoints and the best, unless checkpoint.keep says more.
    """
    from rnncli.runs.averaging import average_checkpoints, last_checkpoints
    from rnncli.runs.directory import RunDir

    if (last is None) == (checkpoints is None):
        raise InputError("which checkpoints?", "give either --last K or --checkpoints STEP,STEP")
    if checkpoints is not None and not all(each.strip() for each in checkpoints.split(",")):
        raise InputError(f"--checkpoints {shorten(checkpoints)}: a name is empty", "give STEP,STEP, best or last")
    directory = RunDir(run)
    directory.read_config()  # refuses what is no run
    which = last_checkpoints(directory, last) if last is not None else (checkpoints or "").split(",")
    named = run if run.name not in ("", "..") else run.absolute()
    output = output or named.with_name(f"{named.name}-average")
    steps = average_checkpoints(directory, [each.strip() for each in which], output)
    if not quiet:
        show_message(f"{run}: averaged the weights of steps {', '.join(map(str, steps))}")
        show_message(f"measure the average with: {command_line('evaluate', output)}")
    click.echo(str(output))
