"""`rnncli completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the script that makes a shell complete rnncli's commands, options and files.

    \b
      bash: rnncli completion bash >> ~/.bashrc
      zsh:  rnncli completion zsh >> ~/.zshrc
      fish: rnncli completion fish > ~/.config/fish/completions/rnncli.fish
    """  # noqa: D301 (\b keeps click from filling the lines)
    from rnncli.cli.main import main

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(kind(main, {}, "rnncli", "_RNNCLI_COMPLETE").source())
