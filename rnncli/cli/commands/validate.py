"""`rnncli validate`."""

from __future__ import annotations

import click

from rnncli.cli.help import Command
from rnncli.cli.options import config_argument, quiet_option, set_option


@click.command(
    "validate",
    cls=Command,
    examples=("rnncli validate addition", "rnncli validate config.yaml --set model.cell=gru"),
)
@config_argument
@set_option
@quiet_option
def command(config_path: str, overrides: tuple[str, ...], quiet: bool) -> None:
    """Check a config file, and report every problem with its line, files that are not there among them."""
    from rnncli.config import load_config, name_of

    config = load_config(config_path, overrides, files_exist=True)
    if not quiet:
        name = "<stdin>" if config_path == "-" else config_path
        click.echo(f"{name}: valid: {config.model.type} ({name_of(config.model.cell)}) on task {config.task.type}")
