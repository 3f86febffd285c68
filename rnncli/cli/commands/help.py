"""`rnncli help`."""

from __future__ import annotations

import click

from rnncli.cli.help import Command


def complete_command(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the commands that begin so."""
    group = ctx.find_root().command
    assert isinstance(group, click.Group)
    return [name for name in group.list_commands(ctx) if name.startswith(incomplete)]


@click.command("help", cls=Command, examples=("rnncli help", "rnncli help train"))
@click.argument("name", metavar="[COMMAND]", required=False, shell_complete=complete_command)
@click.pass_context
def command(ctx: click.Context, name: str | None) -> None:
    """Show the help of a command, as `rnncli COMMAND --help` does."""
    root = ctx.find_root()
    if name is None:
        click.echo(root.get_help())
        return
    group = root.command
    assert isinstance(group, click.Group)
    if (found := group.get_command(root, name)) is None:
        from rnncli.cli.main import no_such_command

        raise no_such_command(name)
    click.echo(found.get_help(click.Context(found, info_name=name, parent=root)))
