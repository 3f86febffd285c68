"""`rnncli train`."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping
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
    check_ray_options,
    drop_message,
    engine_options,
    process_options,
    set_option,
    show_message,
    show_warning,
    workers_option,
)
from rnncli.cli.tables import fit_columns, group_lines
from rnncli.engines import LOCAL, RAY
from rnncli.errors import InputError, Terminated, command_line
from rnncli.text import printable, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rnncli.cluster.layout import Cluster
    from rnncli.config import Config
    from rnncli.data.task import Task
    from rnncli.engines.child import Order
    from rnncli.runs.directory import RunDir
    from rnncli.runs.sessions import Origin
    from rnncli.training.inputs import TrainingInputs
    from rnncli.training.job import TrainingJob
    from rnncli.training.loop import Outcome
    from rnncli.training.validation import Sample, WrittenText


CORES, RESTARTS = 1, 3
"""On Ray: the CPUs of a worker, and the times to go on after a failure, unless they are given."""
SIGNALLED = 128
"""A larger exit status is that of a training that was told to stop."""
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
@engine_options
@option(
    "--restarts",
    group=RUN,
    type=click.IntRange(0, 1000),
    metavar="K",
    help="On Ray: times to go on after a failure [default: 3].",
)
@process_options
def command(**given: Any) -> int:
    """Train the model of a config file.

    Progress goes to stderr, the path of the run directory to stdout. Ctrl-C, SIGTERM or SIGHUP saves a checkpoint and
    stops; --resume continues from there, with the config of the run unless CONFIG is given.

    Where TF_CONFIG names several workers, this process is one of them.
    """
    return START[given["engine"]](given)


def train_here(given: Mapping[str, Any]) -> int:
    """Train in this process, or in processes of this machine; returns the exit status."""
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
    engine: str
    ray_address: str | None
    restarts: int | None
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
        check_ray_options(self.engine, ray_address=self.ray_address, restarts=self.restarts)

    def refuse_standard_input(self) -> None:
        """Refuse a config that several processes would have to read.

        Raises:
            InputError: It comes from standard input.
        """
        if self.config_path == "-":
            raise InputError("-: several workers cannot read the config from standard input", "save it as a file")

    @property
    def trained_config(self) -> Config:
        """Return the config to train with: that of CONFIG, or without one that of the run to resume."""
        from rnncli.runs.directory import RunDir

        if self.resume is not None and self.config_path is None:
            return RunDir(self.resume).read_config(self.all_overrides)
        return self.config

    def count_workers(self) -> int:
        """Return the number of workers that the options and the config ask for."""
        return self.trained_config.runtime.workers if self.workers is None else int(self.workers)

    def order(self, run: Path, config: Config, gpu: bool) -> Order:
        """Return the commands by which each of several workers on other machines trains.

        Args:
            run: The run directory.
            config: The config.
            gpu: Whether each worker has a GPU.
        """
        from rnncli.engines.child import Order
        from rnncli.engines.connection import shows_all_messages

        cores = [] if gpu or config.runtime.cores is not None else [f"runtime.cores={CORES}"]
        given = [part for each in (*self.all_overrides, *cores) for part in ("--set", each)]
        given += [] if self.config_path is None else [self.config_path]
        workers = [
            *("--workers", str(self.count_workers()), "--start-timeout", f"{self.start_timeout:g}"),
            *(["--quiet"] if self.quiet else []),
            *(["--verbose"] if shows_all_messages() else []),
        ]
        trust = ["--trust-code"] if self.trust_code else []
        if self.resume is not None:
            changed = ["--allow-changed-data"] if self.allow_changed_data else []
            resume = (*given, "--resume", str(run), *trust, *changed, *workers)
            return Order(run, Path.cwd(), resume, resume, gpu)
        begin = (*given, "--run-dir", str(run), *trust, *workers)
        own = ["--trust-code"] if config.training_code else trust  # the run has a copy of the code of the config
        return Order(run, Path.cwd(), begin, ("--resume", str(run), *own, *workers), gpu)


def launch_workers(count: int, request: Request) -> int:
    """Start workers on this machine; returns the exit status.

    Raises:
        InputError: The config cannot be read, or comes from standard input, which only one process can read.
    """
    from rnncli.cli.launching import launch
    from rnncli.runtime.host import shares_of_cores

    request.refuse_standard_input()
    if request.resume is None:
        _ = request.config  # one message about it is better than one of each worker
    cores = [len(share) for share in shares_of_cores(count) if share is not None]
    each = f", with {min(cores)} core{'s' * (min(cores) > 1)} each" if cores else ""
    request.note(f"starting {count} workers on this machine{each}")
    return launch(count, click.get_current_context().meta.get(ARGUMENTS, []))


def train_on_ray(given: Mapping[str, Any]) -> int:
    """Train on a Ray cluster; returns the exit status.

    Raises:
        click.UsageError: Another way to start workers is given too.
        InputError: The config or the place of the run cannot be used, or Ray is not installed.
        RunFailedError: There is no cluster, or training failed too often.
    """
    from rnncli.cluster.find import SLURM, TF_CONFIG
    from rnncli.cluster.layout import ALONE
    from rnncli.engines import require_ray
    from rnncli.engines.connection import read_address

    request = Request(cluster=ALONE, **given)
    request.refuse_conflicts()
    if request.workers == SLURM:
        raise click.UsageError("--workers slurm and --engine ray exclude each other")
    if os.environ.get(TF_CONFIG):
        raise InputError("--engine ray: TF_CONFIG is set, and Ray names the workers itself", "unset it")
    request.refuse_standard_input()
    config, address = request.trained_config, read_address(request.ray_address)
    require_ray()
    if request.resume is not None:
        return drive_workers(request, request.resume, config, address)
    from rnncli.runs.directory import reserved
    from rnncli.runs.naming import default_name

    with reserved(request.run_dir, default_name(config, request.config_path, request.all_overrides)) as run:
        return drive_workers(request, run, config, address)


def drive_workers(request: Request, run: Path, config: Config, address: str) -> int:
    """Train a run on the workers of a Ray cluster; returns the exit status."""
    from rnncli.engines.connection import connected
    from rnncli.engines.ray_training import Driver, Plan
    from rnncli.runs.directory import RunDir

    count, cpus = request.count_workers(), config.runtime.cores or CORES
    with connected(address, count * cpus) as resources:
        order = request.order(run, config, resources.uses_gpu(config.runtime.device, count))
        if resources.own:
            resources.require(count * cpus, count if order.gpu else 0)
        each = f"{cpus} CPU{'s' * (cpus > 1)}{' and a GPU' if order.gpu else ''}"
        where = "a Ray cluster of this machine" if resources.own else "the Ray cluster"
        request.note(f"starting {count} worker{'s' * (count > 1)} with {each} each on {where}")
        restarts = RESTARTS if request.restarts is None else request.restarts
        resume = f"{resume_command(RunDir(run), config)} --engine ray"
        driver = Driver(Plan(order, count, cpus, restarts, resume), resources, show_plain, request.note, show_warning)
        status = driver.run()
    if status == 0:
        click.echo(run)
    elif status > SIGNALLED:
        show_message(f"on Ray: {resume}")
    return status


def show_plain(line: str) -> None:
    """Print a line of a worker, which is safe for a terminal already, on stderr."""
    click.echo(line, err=True)


def follow_first(request: Request) -> int:
    """Train as a worker that is not the first one; returns the exit status."""
    from rnncli.runtime.lifeline import watch_starter
    from rnncli.training.job import follow, read_resumed

    watch_starter()
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
    from rnncli.runtime.lifeline import watch_starter

    watch_starter()
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
    command = command_line("predict", directory.path, *trust, line_of(task, outcome.samples[0].source))
    if len(command) > MAX_COMMAND_WIDTH:
        command = command_line("predict", directory.path, *trust, "--input", "FILE")
    click.echo(f"\nPredict: {command}", err=True)


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


START: Mapping[str, Callable[[Mapping[str, Any]], int]] = {LOCAL: train_here, RAY: train_on_ray}
"""The function that trains, by the name of the engine; each is given the options of the command."""
