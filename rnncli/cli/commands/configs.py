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
@option(
    "--data",
    group=OUTPUT,
    metavar="SET",
    help="Write an example's files here, such as kana.",
)
@overwrite_option
def command(name: str | None, data: str | None, overwrite: bool) -> None:
    """List the example configs, or print one.

    `rnncli train NAME` trains an example from any directory.
    """
    if data is not None:
        write_files(data, overwrite)
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
    """Print an example config, and on stderr the files that it needs.

    Raises:
        InputError: There is none of that name.
    """
    from rnncli.config.example_data import keys_without_data
    from rnncli.config.shipped import config_text, files_needed, shipped_configs

    path = _entry(shipped_configs(), name, "example config")
    click.echo(config_text(path), nl=False)
    for needed in files_needed(path) if with_hint else ():
        click.echo(f"this config needs other files; write them with: rnncli configs --data {needed}", err=True)
    if keys := keys_without_data(path):
        click.echo(f"this config needs data of your own: name your files in {' and '.join(keys)}", err=True)


def write_files(name: str, overwrite: bool) -> None:
    """Write the files of an example, data in `data/`, to the current directory, and print their names.

    Raises:
        InputError: There are no such files, or they are there already or cannot be written.
    """
    from rnncli.config.shipped import shipped_configs, shipped_files
    from rnncli.files import check_output_path, write_atomically

    sets = shipped_files()
    if name not in sets and name in shipped_configs():
        raise no_files(name)
    files = {Path(target): source for target, source in _entry(sets, name, "example with files").items()}
    for target in files:
        with explain_os_errors(target.parent, "written", InputError, inside=True):
            target.parent.mkdir(exist_ok=True)
            check_output_path(target, overwrite)
    for target, source in files.items():
        with explain_os_errors(target.parent, "written", InputError, inside=True):
            write_atomically(target, source.read_bytes())
        click.echo(target)


def no_files(name: str) -> InputError:
    """Return the error for an example config that no files of its own name are shipped for, with what works."""
    from rnncli.config.example_data import keys_without_data
    from rnncli.config.shipped import files_needed, shipped_configs
    from rnncli.errors import command_line

    path = shipped_configs()[name]
    if keys := keys_without_data(path):
        files = [word for key in keys for word in ("--set", f"{key}=FILE")]
        return InputError(f"{name}: it needs data of your own", f"use {command_line('train', name, *files)}")
    if needed := files_needed(path):
        return InputError(f"{name}: its files are those of {needed[0]}", command_line("configs", "--data", needed[0]))
    train = command_line("train", name)
    return InputError(f"{name}: it has no files: its examples are generated when it is trained", f"use {train}")


def _entry(table: dict[str, Value], name: str, what: str) -> Value:
    if name not in table:
        from rnncli.config.shipped import similar_config

        close = similar_config(name)
        hint = f"{f'did you mean {close}? ' if close else ''}choose one of {', '.join(table)}"
        raise InputError(f"{name}: no such {what}", hint)
    return table[name]
