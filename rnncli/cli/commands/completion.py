"""`rnncli completion`."""

from __future__ import annotations

import click

from rnncli.cli.help import Command
from rnncli.cli.shells import VARIABLE, completion_class


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

    kind = completion_class(shell)
    assert kind is not None, "click completes in these shells"
    click.echo(kind(main, {}, "rnncli", VARIABLE).source())
