"""`rnncli help`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import click

from rnncli.cli.help import Command
from rnncli.errors import InputError


def complete_command(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the commands that begin so, or those of the group that is there already."""
    context = context_of(ctx.find_root(), ctx.params.get("names") or ())
    group = context.command
    return [name for name in group.list_commands(context) if name.startswith(incomplete)] if is_group(group) else []


def is_group(command: click.Command) -> TypeGuard[click.Group]:
    """Return True for a command that has commands."""
    return isinstance(command, click.Group)


def context_of(context: click.Context, names: Sequence[str]) -> click.Context:
    """Return the context of a command within a group.

    Args:
        context: The context of the group.
        names: The name of the command; of a command of a command both, such as `plot states`.

    Raises:
        InputError: There is no such command, or a command that has no commands is followed by a name.
    """
    for name in names:
        group = context.command
        if not is_group(group):
            path = context.command_path.removeprefix("rnncli ")
            raise InputError(f"{context.command_path} has no commands: {name}", f"try `rnncli help {path}`")
        _, found, _ = group.resolve_command(context, [name])
        assert found is not None
        context = click.Context(found, info_name=name, parent=context)
    return context


@click.command("help", cls=Command, examples=("rnncli help", "rnncli help train", "rnncli help plot states"))
@click.argument("names", metavar="[COMMAND]...", nargs=-1, shell_complete=complete_command)
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Show the help of a command, as `rnncli COMMAND --help` does."""
    click.echo(context_of(ctx.find_root(), names).get_help())
