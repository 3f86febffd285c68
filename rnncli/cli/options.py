"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from rnncli.text import printable

if TYPE_CHECKING:
    from rnncli.data.examples import Examples
    from rnncli.data.task import Task
    from rnncli.inference.predictor import TrainedRun
    from rnncli.runs.directory import SavedRun

Function = TypeVar("Function", bound=Callable[..., Any])

PATH = click.Path(path_type=Path, readable=False)
FILE = click.Path(allow_dash=True, readable=False)
"""Files and directories; that one cannot be read is said in one line by who reads it."""


class ConfigPath(click.Path):
    """A config file, or the name of an example config where there is no file of that name."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path of the config."""
        from rnncli.config.shipped import find_config

        return super().convert(find_config(value), param, ctx)


CONFIG = ConfigPath(allow_dash=True, readable=False)

config_argument = click.argument("config_path", metavar="CONFIG", type=CONFIG)
run_argument = click.argument("run", metavar="RUN", type=PATH)
set_option = click.option(
    "--set",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="Change a key of the config, such as training.epochs=3; may be repeated.",
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "gpu"]),
    help="Where to run; without it as the config says.",
)
trust_option = click.option(
    "--trust-code", is_flag=True, help="Execute the code of a custom cell; RUN is from someone you know."
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Print results and errors only.")
input_option = click.option(
    "--input",
    "input_path",
    metavar="FILE",
    type=FILE,
    help="Read lines from FILE; - is stdin.",
)


def verbose_option(function: Function) -> Function:
    """`--verbose`: TensorFlow's own messages are shown."""

    def talk(_ctx: click.Context, _param: click.Parameter, value: bool) -> None:
        if value:
            import os

            os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"

    option = click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=talk,
        help="Show TensorFlow's own messages too.",
    )
    return option(function)


def open_run(path: Path, device: Literal["auto", "cpu", "gpu"] | None, trust_code: bool = False) -> SavedRun:
    """A trained run, for the device it shall run on now; TensorFlow is not imported.

    Raises:
        RunDirError: It is not a sound run directory, or its cell is code that is not trusted.
    """
    from rnncli.runs.directory import RunDir

    return RunDir(path).load(trust_code=trust_code).on(device or "auto")


def start_run(saved: SavedRun, others: Sequence[SavedRun] = ()) -> TrainedRun:
    """Import TensorFlow and make the run's model, and those of other runs that answer together with it."""
    from rnncli.runtime.parallelism import needs_threads
    from rnncli.runtime.tensorflow_setup import start

    # before any module that imports TensorFlow
    ready = start(saved.config.runtime, threads=needs_threads(saved.config))
    from rnncli.inference.predictor import TrainedRun

    return TrainedRun(saved, ready, others)


def show_notes(*examples: Examples) -> None:
    """Say on stderr what is odd about examples."""
    for note in (note for each in examples for note in each.notes):
        click.echo(printable(note), err=True)


def show_unknown(task: Task, name: str) -> None:
    """Say on stderr which symbols of what was read training did not have, if the task counts them."""
    from rnncli.data.task import CountsUnknown

    if isinstance(task, CountsUnknown) and task.unknown.total:
        click.echo(f"{name}: {task.unknown}", err=True)
