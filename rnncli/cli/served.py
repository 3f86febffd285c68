"""Parts of the commands that serve runs by HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from rnncli.cli.help import OUTPUT, option
from rnncli.errors import InputError, install_command
from rnncli.runs.find import find_run

MAX_NAME = 100
port_option = option(
    "--port",
    group=OUTPUT,
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    metavar="N",
    help="Port; 0 is any free one.",
)


class Named(NamedTuple):
    """A run to serve.

    Attributes:
        name: Its name in requests.
        path: The run directory or exported model.
    """

    name: str
    path: Path


def named_runs(paths: Sequence[Path], named: Sequence[str]) -> list[Named]:
    """Return the runs to serve, the default first.

    Args:
        paths: Runs that are named as their directories, several of one name with a number.
        named: Runs as `NAME=RUN`.

    Raises:
        click.UsageError: There is none, or a name is odd or not the only one.
    """
    runs: list[Named] = []
    for given in paths:
        name = given.resolve().name if given.is_dir() else given.stem
        same = sum(run.name.rpartition("-")[0] == name or run.name == name for run in runs)
        runs.append(Named(f"{name}-{same + 1}" if same else name, given))
    for each in named:
        name, equals, path = each.partition("=")
        if not (name and equals and path):
            raise click.UsageError(f"--run {each}: write NAME=RUN")
        runs.append(Named(name, find_run(Path(path))))
    if not runs:
        raise click.UsageError("give a RUN, or --run NAME=RUN")
    for number, (name, _) in enumerate(runs):
        if len(name) > MAX_NAME or not name.isprintable():
            raise click.UsageError(f"--run: a name has at most {MAX_NAME} characters, all printable")
        if name in [other.name for other in runs[:number]]:
            raise click.UsageError(f"two runs have the name {name}; name them with --run NAME=RUN")
    return runs


def check_packages() -> None:
    """Refuse to start without the packages of the extra `serve`.

    Raises:
        InputError: One is missing.
    """
    from importlib.util import find_spec

    for package in ("starlette", "uvicorn", "orjson"):
        if find_spec(package) is None:
            raise InputError(f"the package {package} is not installed", install_command("rnncli[serve]"))
