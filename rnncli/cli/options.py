"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from rnncli.cli.complete import complete_configs, complete_overrides, complete_runs
from rnncli.cli.help import INPUT, OUTPUT, RUN, combine, option
from rnncli.engines import ENGINES, LOCAL, RAY
from rnncli.text import printable

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from rnncli.data.examples import Examples
    from rnncli.data.task import Task
    from rnncli.inference.backends import Request
    from rnncli.inference.prediction import Predictor
    from rnncli.inference.predictor import TrainedRun
    from rnncli.runs.directory import SavedRun

PATH = click.Path(path_type=Path, readable=False)
FILE = click.Path(allow_dash=True, readable=False)
"""A file or directory; the code that reads it reports one that cannot be read."""


class NameOf(click.Choice[str]):
    """A name of a table, which is looked up when the option is read, so that an entry added later is a choice too."""

    def __init__(self, table: Mapping[str, object]) -> None:
        super().__init__(())
        self._table = table

    @property
    def choices(self) -> tuple[str, ...]:
        """The names."""
        return tuple(self._table)

    @choices.setter
    def choices(self, _names: Sequence[str]) -> None:
        """Ignore what click's constructor sets."""


class ConfigPath(click.Path):
    """A config file, or the name of an example config where there is no file of that name."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path of the config."""
        from rnncli.config.shipped import find_config

        return super().convert(find_config(value), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the example configs whose name begins so, and what completes files."""
        return [*complete_configs(ctx, param, incomplete), *super().shell_complete(ctx, param, incomplete)]


class RunPath(click.Path):
    """A run directory, by its path, the beginning of its name, or `latest`."""

    def resolve(self, path: Path) -> Path:
        """Return the path of the run; see `Command.invoke`."""
        from rnncli.cli.usage_errors import refuse_swapped
        from rnncli.runs.find import find_run

        refuse_swapped(click.get_current_context(), path)
        return find_run(path)


MAX_WORKERS = 4096


def parse_workers(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Return a number of workers, or slurm, as given.

    Raises:
        click.BadParameter: It is neither.
    """
    if value is None or value == "slurm":
        return value
    counted = value.isascii() and value.isdecimal() and len(value) <= len(str(MAX_WORKERS))
    if not counted or not 1 <= int(value) <= MAX_WORKERS:
        raise click.BadParameter(f"{value} is neither slurm nor a number from 1 to {MAX_WORKERS}")
    return value


workers_option = option(
    "--workers",
    group=RUN,
    metavar="N|slurm",
    callback=parse_workers,
    help="Train in N processes on this machine, or in those of srun.",
)

engine_options = combine(
    option(
        "--engine",
        group=RUN,
        type=click.Choice(ENGINES),
        default=LOCAL,
        show_default=True,
        help="Train in processes of this machine, or on a Ray cluster.",
    ),
    option(
        "--ray-address",
        group=RUN,
        metavar="ADDRESS",
        help="Ray cluster: HOST:PORT, or auto [default: a new one].",
    ),
)


def check_ray_options(engine: str, **given: object) -> None:
    """Refuse options that only Ray has, given by their names in Python, for another engine.

    Raises:
        click.UsageError: One was given.
    """
    for name, value in given.items():
        if engine != RAY and value is not None:
            raise click.UsageError(f"--{name.replace('_', '-')} needs --engine {RAY}")


RUN_PATH = RunPath(path_type=Path, readable=False)
CONFIG = ConfigPath(allow_dash=True, readable=False)

config_argument = click.argument("config_path", metavar="CONFIG", type=CONFIG)
run_argument = click.argument("run", metavar="RUN", type=RUN_PATH, shell_complete=complete_runs)
runs_argument = click.argument(
    "runs", metavar="RUN...", type=RUN_PATH, nargs=-1, required=True, shell_complete=complete_runs
)
set_option = option(
    "--set",
    "overrides",
    group=INPUT,
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=complete_overrides,
    help="Set a config key: training.epochs=3; repeatable.",
)
input_option = option(
    "--input", "input_path", group=INPUT, metavar="FILE", type=FILE, help="Read lines from FILE; - is stdin."
)
checkpoint_option = option(
    "--checkpoint",
    group=RUN,
    metavar="STEP",
    default="best",
    show_default=True,
    help="best, last, or a number of steps.",
)
raw_option = option("--raw", group=OUTPUT, is_flag=True, help="Leave control characters as they are.")
device_option = option(
    "--device", group=RUN, type=click.Choice(["auto", "cpu", "gpu"]), help="Device to use [default: the config's]."
)
trust_option = option("--trust-code", group=RUN, is_flag=True, help="Run code that RUN has; only for one you trust.")
quiet_option = option("-q", "--quiet", group=RUN, is_flag=True, help="Print only results and errors.")


def check_raw(raw: bool, form: str) -> None:
    """Refuse `--raw` for JSON, which escapes control characters always.

    Raises:
        click.UsageError: They are given together.
    """
    if raw and form == "jsonl":
        raise click.UsageError("--raw needs another --format than jsonl; JSON escapes control characters")


def _show_tensorflow_log(_ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        import os

        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"


verbose_option = option(
    "-v",
    "--verbose",
    group=RUN,
    is_flag=True,
    expose_value=False,
    callback=_show_tensorflow_log,
    help="Show TensorFlow's log messages too.",
)
overwrite_option = option("--overwrite", group=OUTPUT, is_flag=True, help="Replace existing files.")
table_or_json_option = option(
    "--format",
    "style",
    group=OUTPUT,
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Output format.",
)
process_options = combine(trust_option, device_option, quiet_option, verbose_option)
"""Options of every command that computes with a model, in training or with a trained run."""
run_options = combine(overwrite_option, checkpoint_option, process_options)
"""Options of every command that computes with a trained run and writes files."""


def open_run(
    path: Path,
    device: Literal["auto", "cpu", "gpu"] | None,
    trust_code: bool = False,
    checkpoint: str = "best",
) -> SavedRun:
    """Load a trained run for a device; imports no TensorFlow.

    Raises:
        RunDirError: It is not a valid run directory, has no such checkpoint, or its custom cell is not trusted.
    """
    from rnncli.runs.directory import RunDir

    return RunDir(path).load(checkpoint, trust_code).on(device or "auto")


def show_weights(*runs: SavedRun, quiet: bool) -> None:
    """Print to stderr which epoch's weights of each run are used, unless quiet."""
    for saved in () if quiet else runs:
        show_message(saved.describe_weights())


def start_run(saved: SavedRun, others: Sequence[SavedRun] = (), quiet: bool = True) -> TrainedRun:
    """Import TensorFlow, build the models of a run and of its ensemble, and show which weights they have."""
    from rnncli.runtime.tensorflow_setup import setup_inference

    ready = setup_inference(saved.config)  # before any module that imports TensorFlow
    from rnncli.inference.predictor import TrainedRun

    trained = TrainedRun(saved, ready, others)
    show_weights(saved, *others, quiet=quiet)
    return trained


def start_predictor(request: Request, backend: str, quiet: bool) -> Predictor:
    """Make a run ready to predict, and show which weights it has.

    Raises:
        InputError: The backend cannot answer.
    """
    from rnncli.inference.backends import start

    predictor = start(request, backend, drop_message if quiet else show_warning)
    show_weights(request.saved, *request.others, quiet=quiet)
    return predictor


def show_message(message: str) -> None:
    """Print a message on stderr, safe for a terminal."""
    click.echo(printable(message), err=True)


def show_warning(message: str) -> None:
    """Print a warning on stderr, safe for a terminal."""
    show_message(f"warning: {message}")


def drop_message(_message: str) -> None:
    """Print nothing."""


def show_notes(*examples: Examples) -> None:
    """Print the notes on examples to stderr."""
    for note in (note for each in examples for note in each.notes):
        show_message(note)


def show_unknown(task: Task, name: str) -> None:
    """Print to stderr the unknown symbols of what was read, if the task counts them."""
    from rnncli.data.task import CountsUnknown

    if isinstance(task, CountsUnknown) and task.unknown.total:
        click.echo(f"{name}: {task.unknown}", err=True)
