"""`rnncli verify`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from rnncli.cli.complete import complete_runs
from rnncli.cli.help import INPUT, Command, option
from rnncli.cli.options import CONFIG, RUN_PATH, drop_message, process_options, set_option, show_message
from rnncli.files import temporary_folder
from rnncli.text import printable


@click.command(
    "verify",
    cls=Command,
    examples=(
        "rnncli verify RUN",
        "rnncli verify --resume addition",
        "rnncli verify --resume addition --steps 50",
    ),
)
@click.argument("run", metavar="[RUN]", type=RUN_PATH, required=False, shell_complete=complete_runs)
@option(
    "--resume",
    "config_path",
    group=INPUT,
    metavar="CONFIG",
    type=CONFIG,
    help="Check that training CONFIG resumes exactly.",
)
@set_option
@option(
    "--steps",
    group=INPUT,
    type=click.IntRange(2),
    metavar="N",
    help="With --resume: training steps [default: at most 20].",
)
@process_options
def command(
    run: Path | None,
    config_path: str | None,
    overrides: tuple[str, ...],
    steps: int | None,
    trust_code: bool,
    device: str | None,
    quiet: bool,
) -> int:
    """Check a run directory, or check that training a config resumes exactly.

    Of RUN it checks the config, the vocabulary, the logs, the code, and of every checkpoint digests, shapes and
    finite values; what training writes meanwhile is left out. With --resume it trains N steps twice, once interrupted
    and resumed from a checkpoint, and compares the final states bit by bit. The exit status is 1 if anything is wrong
    or different.
    """
    if (run is None) == (config_path is None):
        raise click.UsageError("give either RUN or --resume CONFIG")
    if config_path is not None:
        if trust_code:
            raise click.UsageError("--trust-code is for RUN; --resume CONFIG trusts its code, as `rnncli train` does")
        more = [] if device is None else [f"runtime.device={device}"]
        return verify_resume(config_path, [*overrides, *more], steps, quiet)
    if overrides or steps or device:
        raise click.UsageError("--set, --steps and --device need --resume")
    assert run is not None, "as it was asked above"
    return verify_run(run, trust_code, quiet)


def verify_run(run: Path, trust_code: bool, quiet: bool) -> int:
    """Print a line for each thing checked, or only for what is wrong; returns the exit status."""
    from rnncli.config import CustomCell
    from rnncli.runs.directory import RunDir
    from rnncli.runs.verification import Verification

    directory = RunDir(run)
    if not os.access(run / "config.yaml", os.R_OK, effective_ids=True):
        directory.read_config()  # says what is missing or cannot be read: this is no run
    found = Verification(directory)
    config, task = found.config, found.task
    if config is not None and task is not None and found.checkpoints:
        if isinstance(config.model.cell, CustomCell) and not trust_code:
            click.echo(f"{run}: shapes are not checked: the cell is code; --trust-code executes it", err=True)
        else:
            from rnncli.training.resume_check import checkpoint_checker

            fit = checkpoint_checker(config, task.sizes, found.run.search_path(config.prediction_code, trust_code))
            for checkpoint in found.checkpoints:
                name = f"checkpoints/{checkpoint.step:08d} in the model"
                found.check(name, partial(fit, checkpoint))
    if found.is_training and not quiet:
        show_message(f"{run}: a process trains there; what it writes meanwhile is not checked")
    for each in found.checks:
        if quiet and each.problem is None:
            continue
        line = f"ok     {each.name}" if each.problem is None else f"wrong  {each.name}: {each.problem}"
        click.echo(printable(line.replace("\n", " ")))
    return 0 if found.valid else 1


def verify_resume(config_path: str, overrides: Sequence[str], steps: int | None, quiet: bool) -> int:
    """Print both digests; returns the exit status."""
    from rnncli.config import load_config
    from rnncli.runtime.user_code import config_search_path
    from rnncli.training.inputs import TrainingInputs
    from rnncli.training.resume_check import check_resume

    config = load_config(config_path, overrides)
    inputs = TrainingInputs.read(
        config, config_search_path(config_path), note=drop_message if quiet else show_message
    )
    with temporary_folder("rnncli-") as folder:
        proof = check_resume(inputs, folder, steps)
    n, k = proof.steps, proof.interrupted
    click.echo(f"{proof.digests[0]}  {n} steps")
    click.echo(f"{proof.digests[1]}  {k} steps, a checkpoint, {n - k} steps")
    click.echo("equal" if proof.equal else "different")
    return 0 if proof.equal else 1
