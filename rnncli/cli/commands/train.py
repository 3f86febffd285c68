"""`rnncli train`."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from rnncli.cli.complete import complete_runs
from rnncli.cli.help import ARGUMENTS, INPUT, OUTPUT, RUN, Command, option
from rnncli.cli.options import (
    CONFIG,
    PATH,
    RUN_PATH,
    drop_message,
    process_options,
    set_option,
    show_message,
    show_warning,
    workers_option,
)
from rnncli.cli.tables import fit_columns, group_lines
from rnncli.errors import InputError, Terminated
from rnncli.text import printable, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnncli.cluster.layout import Cluster
    from rnncli.config import Config
    from rnncli.data.task import Task
    from rnncli.runs.directory import RunDir
    from rnncli.runs.sessions import Origin
    from rnncli.training.inputs import TrainingInputs
    from rnncli.training.job import TrainingJob
    from rnncli.training.loop import Outcome
    from rnncli.training.validation import Sample, WrittenText


MAX_COMMAND_WIDTH = 120
"""Characters of the suggested command that the source is spelled out in."""


@click.command(
    "train",
    cls=Command,
    examples=(
        "rnncli train addition --set model.cell=gru --workers 2",
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
@workers_option
@option(
    "--start-timeout",
    group=RUN,
    type=click.FloatRange(1, 1e6),
    default=300,
    metavar="SECONDS",
    show_default=True,
    help="How long workers wait for each other at the start.",
)
@process_options
def command(**given: Any) -> int:
    """Train the model of a config file.

    Progress goes to stderr, the path of the run directory to stdout. Ctrl-C, SIGTERM or SIGHUP saves a checkpoint and
    stops; --resume continues from there, with the config of the run unless CONFIG is given.

    Where TF_CONFIG names several workers, this process is one of them.
    """
    from rnncli.cluster.find import find_cluster
    from rnncli.cluster.layout import ALONE
    from rnncli.cluster.tf_config import EVALUATES
    from rnncli.data.cache import showing_bar

    cluster = find_cluster(os.environ, given["workers"])
    if cluster is EVALUATES:
        show_message("TF_CONFIG: this process is an evaluator, and has nothing to do: workers measure held-out data")
        return 0
    request = Request(cluster=cluster or ALONE, **given)
    request.refuse_conflicts()
    if cluster is None and (count := request.count_workers()) > 1:
        return launch_workers(count, request)
    with showing_bar(not request.quiet and request.cluster.leads):
        if not request.cluster.leads:
            return follow_first(request)
        return train_new(request) if request.resume is None else resume_run(request, request.resume)


@dataclass(frozen=True)
class Request:
    """The options of the command, as they were given, and the workers that this process was started among."""

    cluster: Cluster
    config_path: str | None
    overrides: tuple[str, ...]
    run_dir: Path | None
    resume: Path | None
    init_from: Path | None
    allow_changed_data: bool
    seed: int | None
    workers: str | None
    start_timeout: float
    trust_code: bool
    device: str | None
    quiet: bool

    @property
    def all_overrides(self) -> list[str]:
        """Return `--set`, and the config keys that other options set."""
        count = str(self.cluster.count) if self.cluster.count > 1 else self.workers
        start = None if self.init_from is None else json.dumps(str(self.init_from), ensure_ascii=False)
        keys = {
            "training.seed": self.seed,
            "runtime.device": self.device,
            "training.init_from": start,
            "runtime.workers": count,
        }
        return [*self.overrides, *(f"{key}={value}" for key, value in keys.items() if value is not None)]

    @cached_property
    def config(self) -> Config:
        """Return the config of the file, with overrides; read once, so that it warns once."""
        from rnncli.config import load_config

        assert self.config_path is not None, "refuse_conflicts has seen to it"
        return load_config(self.config_path, self.all_overrides)

    @property
    def note(self) -> Callable[[str], None]:
        """Return the function that shows messages."""
        return drop_message if self.quiet or not self.cluster.leads else show_message

    def refuse_conflicts(self) -> None:
        """Refuse options that exclude each other.

        Raises:
            click.UsageError: They do.
        """
        if self.resume is not None and self.init_from is not None:
            raise click.UsageError("--init-from and --resume exclude each other: a run goes on from its own weights")
        if self.resume is not None and self.run_dir is not None:
            raise click.UsageError("--run-dir and --resume exclude each other")
        if self.resume is None and self.config_path is None:
            raise click.UsageError("missing argument CONFIG, or --resume RUN")
        if self.resume is None and self.allow_changed_data:
            raise click.UsageError("--allow-changed-data needs --resume")

    def count_workers(self) -> int:
        """Return the number of workers that the options and the config ask for."""
        from rnncli.runs.directory import RunDir

        if self.workers is not None:
            return int(self.workers)
        if self.resume is not None and self.config_path is None:
            return RunDir(self.resume).read_config(self.all_overrides).runtime.workers
        return self.config.runtime.workers


def launch_workers(count: int, request: Request) -> int:
    """Start workers on this machine; returns the exit status.

    Raises:
        InputError: The config cannot be read, or comes from standard input, which only one process can read.
    """
    from rnncli.cli.launching import launch
    from rnncli.runtime.host import shares_of_cores

    if request.config_path == "-":
        raise InputError("-: several workers cannot read the config from standard input", "save it as a file")
    if request.resume is None:
        _ = request.config  # one message about it is better than one of each worker
    cores = [len(share) for share in shares_of_cores(count) if share is not None]
    each = f", with {min(cores)} core{'s' * (min(cores) > 1)} each" if cores else ""
    request.note(f"starting {count} workers on this machine{each}")
    return launch(count, click.get_current_context().meta.get(ARGUMENTS, []))


def follow_first(request: Request) -> int:
    """Train as a worker that is not the first one; returns the exit status."""
    from rnncli.cli.launching import watch_launcher
    from rnncli.training.job import follow, read_resumed

    watch_launcher()
    if request.resume is not None:
        path, trust = request.config_path, request.trust_code
        inputs = read_resumed(request.resume, path, request.all_overrides, trust_code=trust)
    else:
        inputs = read_inputs(request)
    if inputs is None:
        return 0
    ended = follow(inputs, request.cluster, warn=show_warning, start_timeout=request.start_timeout)
    from rnncli.training.interruption import Stopped

    return ended.exit_status if isinstance(ended, Stopped) else 0


def read_inputs(request: Request) -> TrainingInputs:
    """Read the config and its data."""
    from rnncli.runtime.user_code import config_search_path
    from rnncli.training.inputs import TrainingInputs

    path = config_search_path(request.config_path or "-", request.trust_code)
    return TrainingInputs.read(request.config, path, note=request.note)


def resume_run(request: Request, run: Path) -> int:
    """Resume a run; returns the exit status."""
    from rnncli.training.job import TrainingJob

    job = TrainingJob.resume(
        run,
        request.config_path,
        request.all_overrides,
        allow_changed_data=request.allow_changed_data,
        trust_code=request.trust_code,
        warn=show_warning,
        note=request.note,
        origin=origin_of(request),
        cluster=request.cluster,
    )
    with job as resumed:
        return run_and_show(resumed, request)


def train_new(request: Request) -> int:
    """Train a new run; returns the exit status."""
    from rnncli.training.job import TrainingJob

    inputs = read_inputs(request)
    with TrainingJob.new(inputs, request.run_dir, origin_of(request), request.cluster) as job:
        return run_and_show(job, request)


def origin_of(request: Request) -> Origin:
    """Return the config file and the command line, for the manifest."""
    from rnncli.runs.sessions import Origin

    context = click.get_current_context()
    command = shlex.join(["rnncli", *context.command_path.split()[1:], *context.meta.get(ARGUMENTS, [])])
    return Origin(request.config_path, tuple(request.all_overrides), command)


def run_and_show(job: TrainingJob, request: Request) -> int:
    """Train with progress on stderr, and print the run directory; returns the exit status."""
    from rnncli.cli.launching import watch_launcher

    watch_launcher()
    directory, config, quiet = job.directory, job.config, request.quiet
    resume = resume_command(directory, config)
    try:
        ended = job.run(progress=not quiet, warn=show_warning, note=request.note, start_timeout=request.start_timeout)
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
