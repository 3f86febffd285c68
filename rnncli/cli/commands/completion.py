"""`rnncli completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from rnncli.cli.help import Command


@click.command(
    "completion",
    cls=Command,
    examples=(
        "rnncli completion bash >> ~/.bashrc",
        "rnncli completion zsh >> ~/.zshrc",
        "rnncli completion fish > ~/.config/fish/completions/rnncli.fish",
    ),
)
@click.argument("shell", metavar="SHELL", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell: bash, zsh or fish."""
    from rnncli.cli.main import main

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(kind(main, {}, "rnncli", "_RNNCLI_COMPLETE").source())
