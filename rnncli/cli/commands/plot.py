"""`rnncli plot`: a group with a command for each plot of the table."""

from __future__ import annotations

import difflib
import importlib

import click

from rnncli.cli.plots import PLOTS
from rnncli.errors import InputError
from rnncli.text import shorten


class Plots(click.Group):
    """The group of all plots; imports a plot's module when the plot is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of `PLOTS`."""
        del ctx
        return list(PLOTS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the plot of that name, or None."""
        del ctx
        return plot_command(cmd_name) if cmd_name in PLOTS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the plots."""
        del ctx
        with formatter.section("Plots"):
            formatter.write_dl([(name.ljust(max(map(len, PLOTS))), text) for name, text in PLOTS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the plot.

        Raises:
            InputError: There is none of that name.
        """
        if args[0] not in PLOTS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], PLOTS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"choose from {', '.join(PLOTS)}"
            raise InputError(f"no such plot: {shorten(args[0])}", hint)
        return super().resolve_command(ctx, args)


def plot_command(name: str) -> click.Command:
    """Import a plot."""
    command: click.Command = importlib.import_module(f"rnncli.cli.plots.{name.replace('-', '_')}").command
    return command


@click.group(
    "plot",
    cls=Plots,
    epilog="""\b
`rnncli plot NAME --help` shows options and examples. Start with:
  rnncli plot curves latest -o curves.png""",
)
def command() -> None:
    """Draw runs, states and attention as PNG, SVG or PDF."""
