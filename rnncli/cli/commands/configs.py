"""`rnncli configs`."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import click

from rnncli.cli.complete import complete_configs
from rnncli.cli.help import OUTPUT, Command, option
from rnncli.cli.options import overwrite_option
from rnncli.errors import InputError, explain_os_errors

Value = TypeVar("Value")


@click.command(
    "configs",
    cls=Command,
    examples=("rnncli configs", "rnncli configs kana > kana.yaml", "rnncli configs --data kana"),
)
@click.argument("name", metavar="[NAME]", required=False, shell_complete=complete_configs)
@option("--data", group=OUTPUT, metavar="SET", help="Write an example data set to ./data/, such as kana.")
@overwrite_option
def command(name: str | None, data: str | None, overwrite: bool) -> None:
    """List the example configs, or print one.

    `rnncli train NAME` trains an example from any directory.
    """
    if data is not None:
        write_data(data, overwrite)
    if name is not None:
        print_config(name, with_hint=data is None)
    elif data is None:
        list_configs()


def list_configs() -> None:
    """Print each example config's name and first sentence."""
    from rnncli.config.shipped import describe_config, shipped_configs

    found = shipped_configs()
    width = max(map(len, found))
    for name, path in found.items():
        click.echo(f"{name:<{width}}  {describe_config(path)}")


def print_config(name: str, with_hint: bool) -> None:
    """Print an example config.

    Raises:
        InputError: There is none of that name.
    """
    from rnncli.config.shipped import config_text, data_needed, shipped_configs

    path = _entry(shipped_configs(), name, "example config")
    click.echo(config_text(path), nl=False)
    if with_hint and (needed := data_needed(path)):
        click.echo(f"this config reads data/; write it with: rnncli configs --data {needed[0]}", err=True)


def write_data(name: str, overwrite: bool) -> None:
    """Write the files of an example data set to `data/` in the current directory, and print their names.

    Raises:
        InputError: There is no such data set, a file is there already, or cannot be written.
    """
    from rnncli.config.shipped import shipped_data
    from rnncli.files import check_output_path, write_atomically

    files = {Path("data") / file.name: file for file in _entry(shipped_data(), name, "example data set")}
    with explain_os_errors("data", "written", InputError, inside=True):
        Path("data").mkdir(exist_ok=True)
        for target in files:
            check_output_path(target, overwrite)
        for target, file in files.items():
            write_atomically(target, file.read_bytes())
            click.echo(target)


def _entry(table: dict[str, Value], name: str, what: str) -> Value:
    if name not in table:
        raise InputError(f"{name}: no such {what}", f"choose one of {', '.join(table)}")
    return table[name]
