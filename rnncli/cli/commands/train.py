"""`rnncli train`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click

from rnncli.cli.complete import complete_runs
from rnncli.cli.help import ARGUMENTS, INPUT, OUTPUT, Command, option
from rnncli.cli.options import (
    CONFIG,
    PATH,
    RUN_PATH,
    drop_message,
    process_options,
    set_option,
    show_message,
    show_warning,
)
from rnncli.cli.tables import fit_columns, group_lines
from rnncli.errors import Terminated
from rnncli.text import printable, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnncli.config import Config
    from rnncli.data.task import Task
    from rnncli.runs.directory import RunDir
    from rnncli.runs.sessions import Origin
    from rnncli.training.job import TrainingJob
    from rnncli.training.loop import Outcome
    from rnncli.training.validation import Sample, WrittenText


MAX_COMMAND_WIDTH = 120
"""Characters of the suggested command that the source is spelled out in."""


@click.command(
    "train",
    cls=Command,
    examples=(
        "rnncli train addition --set model.cell=gru --seed 1",
        "rnncli train more-words.yaml --init-from RUN",
        "rnncli train --resume RUN",
    ),
)
@click.argument("config_path", metavar="[CONFIG]", type=CONFIG, required=False)
@set_option
@option(
    "--seed",
    group=INPUT,
    type=click.IntRange(0, 2**31 - 1),
    metavar="N",
    help="Random seed of the training (training.seed).",
)
@option(
    "--resume",
    group=INPUT,
    metavar="RUN",
    type=RUN_PATH,
    shell_complete=complete_runs,
    help="Continue a run from its newest valid checkpoint.",
)
@option(
    "--init-from",
    group=INPUT,
    metavar="RUN",
    type=RUN_PATH,
    shell_complete=complete_runs,
    help="Start from the weights of another run (training.init_from).",
)
@option("--allow-changed-data", group=INPUT, is_flag=True, help="With --resume: accept other training data.")
@option(
    "--run-dir",
    group=OUTPUT,
    type=PATH,
    metavar="DIR",
    help="New run directory [default: dated, in runs/].",
)
@process_options
def command(
    config_path: str | None,
    overrides: tuple[str, ...],
    run_dir: Path | None,
    resume: Path | None,
    init_from: Path | None,
    allow_changed_data: bool,
    seed: int | None,
    trust_code: bool,
    device: str | None,
    quiet: bool,
) -> int:
    """Train the model of a config file.

    Progress goes to stderr, the path of the run directory to stdout. Ctrl-C, SIGTERM or SIGHUP saves a checkpoint and
    stops; --resume continues from there, with the config of the run unless CONFIG is given.
    """
    more = [f"training.seed={seed}"] if seed is not None else []
    more += [f"runtime.device={device}"] if device is not None else []
    more += [f"training.init_from={json.dumps(str(init_from), ensure_ascii=False)}"] if init_from is not None else []
    if resume is not None:
        if init_from is not None:
            raise click.UsageError("--init-from and --resume exclude each other: a run goes on from its own weights")
        if run_dir is not None:
            raise click.UsageError("--run-dir and --resume exclude each other")
        from rnncli.training.job import TrainingJob

        job = TrainingJob.resume(
            resume,
            config_path,
            [*overrides, *more],
            allow_changed_data=allow_changed_data,
            trust_code=trust_code,
            warn=show_warning,
            note=drop_message if quiet else show_message,
            origin=origin_of(config_path, [*overrides, *more]),
        )
        with job as resumed:
            return run_and_show(resumed, quiet)
    if config_path is None:
        raise click.UsageError("missing argument CONFIG, or --resume RUN")
    if allow_changed_data or trust_code:
        raise click.UsageError("--allow-changed-data and --trust-code need --resume")
    return train_new(config_path, [*overrides, *more], run_dir, quiet)


def train_new(config_path: str, overrides: Sequence[str], run_dir: Path | None, quiet: bool) -> int:
    """Train a new run; returns the exit status."""
    from rnncli.config import load_config
    from rnncli.runtime.user_code import config_search_path
    from rnncli.training.inputs import TrainingInputs
    from rnncli.training.job import TrainingJob

    config = load_config(config_path, overrides)
    inputs = TrainingInputs.read(
        config, config_search_path(config_path), note=drop_message if quiet else show_message
    )
    with TrainingJob.new(inputs, run_dir, origin_of(config_path, overrides)) as job:
        return run_and_show(job, quiet)


def origin_of(config_path: str | None, overrides: Sequence[str]) -> Origin:
    """Return the config file and the command line, for the manifest."""
    from rnncli.runs.sessions import Origin

    context = click.get_current_context()
    command = shlex.join(["rnncli", *context.command_path.split()[1:], *context.meta.get(ARGUMENTS, [])])
    return Origin(config_path, tuple(overrides), command)


def run_and_show(job: TrainingJob, quiet: bool) -> int:
    """Train with progress on stderr, and print the run directory; returns the exit status."""
    directory, config = job.directory, job.config
    resume = resume_command(directory, config)
    try:
        ended = job.run(progress=not quiet, warn=show_warning, note=drop_message if quiet else show_message)
    except (KeyboardInterrupt, Terminated):
        if directory.may_be_trained:
            show_message(f"stopped immediately; resume from the last checkpoint with: {resume}")
        raise
    from rnncli.training.interruption import Stopped

    if isinstance(ended, Stopped):
        click.echo(f"stopped at step {ended.step} of {ended.steps}; resume with: {resume}", err=True)
        return ended.exit_status
    if ended is not None and job.inputs is not None and not quiet:
        show_outcome(ended, directory, config, job.inputs.task)
    click.echo(directory.path)
    return 0


def resume_command(directory: RunDir, config: Config) -> str:
    """Return the command that resumes a run."""
    trust = ["--trust-code"] if config.training_code else []
    return shlex.join(["rnncli", "train", "--resume", str(directory.path), *trust])


def show_outcome(outcome: Outcome, directory: RunDir, config: Config, task: Task) -> None:
    """Print the best epoch, its scores by group, some samples with the wrong ones marked, and what to do next."""
    from rnncli.config import CustomCell
    from rnncli.data.task import line_of
    from rnncli.metrics import shown_form

    best, model = outcome.best, config.kind
    monitored = shown_form(model, outcome.best_metric)
    value = monitored.show(best[outcome.best_metric])
    early = "" if outcome.early_end is None else f"{outcome.early_end}\n"
    click.echo(f"{early}\nbest epoch {best['epoch']}: {monitored.label} {value}\n", err=True)
    for kind, members in outcome.groups.items():
        click.echo("".join(f"  {line}\n" for line in group_lines(kind, members, model)), err=True)
    trust = ["--trust-code"] if isinstance(config.model.cell, CustomCell) else []
    if outcome.written is not None:
        show_written(outcome.written, [str(directory.path), *trust])
        return
    show_samples(outcome.samples, task)
    arguments = shlex.join([str(directory.path), *trust, line_of(task, outcome.samples[0].source)])
    if len(arguments) > MAX_COMMAND_WIDTH:
        arguments = shlex.join([str(directory.path), *trust, "--input", "FILE"])
    click.echo(f"\nPredict: rnncli predict {arguments}", err=True)


def show_written(written: WrittenText, run: Sequence[str]) -> None:
    """Print a prime and what the model wrote after it, and the command that writes more."""
    text = "".join(f"  {line}\n" for line in printable(written.prime + written.text).splitlines())
    click.echo(
        f"  the beginning of the held-out text, {shorten(repr(written.prime))}, and what the model writes:\n",
        err=True,
    )
    click.echo(f"{text}\nWrite: rnncli generate {shlex.join(run)} --prime TEXT", err=True)


def show_samples(samples: Sequence[Sample], task: Task) -> None:
    """Print held-out examples with their predictions, and mark the wrong ones."""
    from rnncli.data.task import line_of

    rows = [
        tuple(shorten(line_of(task, text)) for text in (each.source, each.prediction, each.target))
        for each in samples
    ]
    header, *shown = fit_columns([("source", "prediction", "target"), *rows], get_terminal_size().columns - 9)
    click.echo(f"  {'  '.join(header).rstrip()}", err=True)
    for row, sample in zip(shown, samples, strict=True):
        wrong = sample.prediction != sample.target
        line = "  ".join(row) if wrong else "  ".join(row).rstrip()
        click.echo(f"  {line}{click.style('  wrong', fg='red') if wrong else ''}", err=True)
