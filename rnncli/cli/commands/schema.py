"""`rnncli schema`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rnncli.cli.help import OUTPUT, Command, option
from rnncli.cli.options import PATH, overwrite_option
from rnncli.errors import explain_os_errors


@click.command(
    "schema",
    cls=Command,
    examples=("rnncli schema", "rnncli schema --output rnncli.schema.json"),
)
@option("-o", "--output", group=OUTPUT, type=PATH, metavar="FILE", help="Write to FILE [default: stdout].")
@overwrite_option
def command(output: Path | None, overwrite: bool) -> None:
    """Print the JSON schema of configs, with which editors complete keys and mark mistakes.

    Configs that `rnncli init` writes, and the examples, name rnncli.schema.json in their own directory.
    """
    from rnncli.config.json_schema import json_schema
    from rnncli.files import check_output_path, write_atomically

    text = json.dumps(json_schema(), indent=1) + "\n"
    if output is None:
        click.echo(text, nl=False)
        return
    check_output_path(output, overwrite)
    with explain_os_errors(output, "written"):
        write_atomically(output, text.encode())
