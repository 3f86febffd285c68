"""`rnncli train`."""

from __future__ import annotations

import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnncli.cli.complete import complete_runs
from rnncli.cli.help import INPUT, OUTPUT, Command, option
from rnncli.cli.options import (
    CONFIG,
    PATH,
    device_option,
    quiet_option,
    set_option,
    show_notes,
    trust_option,
    verbose_option,
)
from rnncli.errors import InputError, Terminated, install_command
from rnncli.runs.lock import locked
from rnncli.text import printable, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnncli.config import Config
    from rnncli.data.examples import Examples
    from rnncli.data.task import Task
    from rnncli.runs.directory import RunDir
    from rnncli.runs.resume import ResumePoint
    from rnncli.runtime.user_code import ModuleSearchPath
    from rnncli.training.loop import Outcome


LONGEST_SHOWN = 60
"""Characters of a source, or of a prediction, that a sample shows."""


@click.command(
    "train",
    cls=Command,
    examples=(
        "rnncli train addition",
        "rnncli train addition --set model.cell=gru --seed 1",
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
    type=PATH,
    shell_complete=complete_runs,
    help="Continue a run from its newest valid checkpoint.",
)
@option("--allow-changed-data", group=INPUT, is_flag=True, help="With --resume: accept other training data.")
@option(
    "--run-dir",
    group=OUTPUT,
    type=PATH,
    metavar="DIR",
    help="New run directory [default: dated, in runs/].",
)
@trust_option
@device_option
@quiet_option
@verbose_option
def command(
    config_path: str | None,
    overrides: tuple[str, ...],
    run_dir: Path | None,
    resume: Path | None,
    allow_changed_data: bool,
    seed: int | None,
    trust_code: bool,
    device: str | None,
    quiet: bool,
) -> int:
    """Train the model of a config file.

    Progress goes to stderr, the path of the run directory to stdout. Ctrl-C or SIGTERM saves a checkpoint and stops;
    --resume continues from there, with the config of the run unless CONFIG is given.
    """
    more = [f"training.seed={seed}"] if seed is not None else []
    more += [f"runtime.device={device}"] if device is not None else []
    if resume is not None:
        if run_dir is not None:
            raise click.UsageError("--run-dir and --resume exclude each other")
        return go_on(resume, config_path, [*overrides, *more], allow_changed_data, trust_code, quiet)
    if config_path is None:
        raise click.UsageError("missing argument CONFIG, or --resume RUN")
    if allow_changed_data or trust_code:
        raise click.UsageError("--allow-changed-data and --trust-code need --resume")
    return begin(config_path, [*overrides, *more], run_dir, quiet)


def begin(config_path: str, overrides: Sequence[str], run_dir: Path | None, quiet: bool) -> int:
    """Train a new run; returns the exit status."""
    from rnncli.config import CustomCell, load_config
    from rnncli.data.tasks import build_task
    from rnncli.runs.directory import RunDir
    from rnncli.runtime.user_code import config_search_path, source_file

    config = load_config(config_path, overrides)
    refuse_missing_tensorboard(config)
    search_path = config_search_path(config_path)
    if isinstance(config.model.cell, CustomCell):
        source_file(config.model.cell.module, search_path)  # there is one, or this says so before much is done
    task = build_task(config)
    splits = read_splits(config, task, quiet)
    directory = RunDir.create(run_dir, config)
    try:
        with locked(directory.path):
            return run_training(config, task, splits, directory, search_path, quiet)
    except BaseException:
        directory.discard_if_untrained()
        raise


def go_on(
    run: Path, config_path: str | None, overrides: Sequence[str], other_data: bool, trust_code: bool, quiet: bool
) -> int:
    """Train a run further from where it was interrupted; returns the exit status."""
    from rnncli.config import load_config, refuse_differences
    from rnncli.data.tasks import build_task
    from rnncli.runs.directory import RunDir
    from rnncli.runs.provenance import refuse_other_data
    from rnncli.runs.resume import find_resume_point, refuse_folder, repair_pointers, start_over

    directory = RunDir(run)
    trained_with = directory.trained_config()
    refuse_folder(directory)
    config = directory.read_config(overrides) if config_path is None else load_config(config_path, overrides)
    refuse_differences(trained_with, config, str(run))
    refuse_missing_tensorboard(config)
    search_path = directory.search_path(config, trust_code)
    with locked(run) as left:
        task = build_task(config, directory.read_vocabulary() if directory.trained else None)
        directory.limit(config, task)
        resumed = find_resume_point(directory, config)
        for note in ((left,) if left else ()) + (resumed.notes if resumed else ()):
            click.echo(printable(note), err=True)
        if resumed is not None and resumed.state.finished(config.training):
            what = (
                "repaired the pointer to its last checkpoint"
                if repair_pointers(directory, resumed)
                else "nothing to do"
            )
            click.echo(f"{run}: training is already finished (epoch {resumed.state.epoch}); {what}", err=True)
            click.echo(run)
            return 0
        splits = read_splits(config, task, quiet)
        if resumed is None:
            start_over(directory, config)
        else:
            directory.check_vocabulary(task)
            if not other_data:
                refuse_other_data(directory, splits)
        if not quiet:
            where = f"after step {resumed.checkpoint.step}" if resumed else "from the start: it has no checkpoint"
            click.echo(f"{run}: resuming {where}", err=True)
        return run_training(config, task, splits, directory, search_path, quiet, resumed)


def refuse_missing_tensorboard(config: Config) -> None:
    """Say so before much is done."""
    if config.training.tensorboard and find_spec("tensorboard") is None:
        raise InputError(
            "training.tensorboard: the package tensorboard is not installed",
            f"{install_command('tensorboard')}, or training.csv_log: true",
        )


def read_splits(config: Config, task: Task, quiet: bool) -> tuple[Examples, Examples]:
    """The task's examples; what is odd about them goes to stderr, unless quiet."""
    from rnncli.config import uneven_batches

    splits = task.splits()
    if not quiet:
        show_notes(*splits)
        if (size := config.training.batch_size) > len(splits[0]) and not config.stateful:
            click.echo(f"training.batch_size: {size}; a step takes all examples, {len(splits[0])}", err=True)
    if config.stateful and (wrong := uneven_batches(config.training.batch_size, len(splits[0]))):
        raise InputError(f"training.batch_size: {wrong}")  # where only the data knows how many examples there are
    return splits


def run_training(
    config: Config,
    task: Task,
    splits: tuple[Examples, Examples],
    directory: RunDir,
    search_path: ModuleSearchPath,
    quiet: bool,
    resumed: ResumePoint | None = None,
) -> int:
    """Train with progress on stderr, and print the run directory; returns the exit status."""
    from rnncli.runtime.parallelism import plan_parallelism
    from rnncli.runtime.tensorflow_setup import start

    resume = how_to_resume(directory, config)
    try:
        runtime = start(config.runtime, *plan_parallelism(config, task.sizes, splits[0]))
        from rnncli.training.interruption import Stopped
        from rnncli.training.loop import train
        from rnncli.training.progress import Progress

        progress = [] if quiet else [Progress(len(splits[0]), len(splits[1]))]

        def say(note: str) -> None:
            click.echo(note, err=True)

        outcome = train(config, task, splits, directory, runtime, progress, search_path, resumed, say=say)
    except (KeyboardInterrupt, Terminated):
        how = (
            f"resume from the last checkpoint with: {resume}" if directory.may_be_trained else "nothing was saved yet"
        )
        click.echo(f"stopped immediately; {how}", err=True)
        raise
    if isinstance(outcome, Stopped):
        click.echo(f"stopped at step {outcome.step} of {outcome.steps}; resume with: {resume}", err=True)
        return outcome.exit_status
    if not quiet:
        show_outcome(outcome, directory, config)
    click.echo(directory.path)
    return 0


def how_to_resume(directory: RunDir, config: Config) -> str:
    """The command that goes on with a run."""
    from rnncli.config import CustomCell

    trust = ["--trust-code"] if isinstance(config.model.cell, CustomCell) else []
    return shlex.join(["rnncli", "train", "--resume", str(directory.path), *trust])


def show_outcome(outcome: Outcome, directory: RunDir, config: Config) -> None:
    """Print the best epoch, some samples with the wrong ones marked, and what to do next."""
    from rnncli.config import CustomCell
    from rnncli.metrics import MONITORED

    best = outcome.best
    sources = [shorten(sample.source) for sample in outcome.samples]
    wide = max(len("source"), *map(len, sources))
    predictions = [shorten(sample.prediction) for sample in outcome.samples]
    long = max(len("prediction"), *map(len, predictions))
    monitored = MONITORED[config.training.best_metric]
    value = monitored.show(best[config.training.best_metric])
    click.echo(f"\nbest epoch {best['epoch']}: {monitored.label} {value}\n", err=True)
    click.echo(f"  {'source':<{wide}}  {'prediction':<{long}}  target", err=True)
    for source, prediction, sample in zip(sources, predictions, outcome.samples, strict=True):
        wrong = "" if sample.prediction == sample.target else click.style("  wrong", fg="red")
        click.echo(f"  {source:<{wide}}  {prediction:<{long}}  {sample.target}{wrong}", err=True)
    rows = config.fixed_batch_size or 1
    trust = ["--trust-code"] if isinstance(config.model.cell, CustomCell) else []
    asked = shlex.join([str(directory.path), *trust, *[outcome.samples[0].source] * rows])
    if len(asked) > 2 * LONGEST_SHOWN:
        asked = shlex.join([str(directory.path), *trust, "--input", "FILE"])
    click.echo(f"\nPredict: rnncli predict {asked}", err=True)
