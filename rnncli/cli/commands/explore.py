"""`rnncli explore`."""

from __future__ import annotations

from pathlib import Path

import click

from rnncli.cli.help import OUTPUT, Command, option
from rnncli.cli.options import checkpoint_option, quiet_option, runs_argument, show_message, show_weights
from rnncli.cli.served import check_packages, named_runs, port_option


@click.command(
    "explore",
    cls=Command,
    examples=(
        "rnncli explore RUN",
        "rnncli explore RUN RUN2 --port 8080",
    ),
)
@runs_argument
@port_option
@option("--open/--no-open", "opens", group=OUTPUT, default=False, help="Open the page in a browser.")
@checkpoint_option
@quiet_option
def command(runs: tuple[Path, ...], port: int, opens: bool, checkpoint: str, quiet: bool) -> None:
    """Serve a page on which one sees a network read and write.

    Type a source, and see symbols, the probability of each next symbol, attention, and states and gates of every
    layer; choose another symbol, or set a unit to zero, and see what changes; put two RUNs side by side; let a
    language model write on. The page is for this machine alone, at the address that stdout has. Ctrl-C ends.
    """
    named = named_runs(runs, ())
    check_packages()
    from rnncli.explore.explored_run import ExploredRun
    from rnncli.inference.backends import load
    from rnncli.serve.server import bind

    saved = [load(each.path, checkpoint, trust_code=True) for each in named]  # nothing here imports it
    explored = [ExploredRun(each.name, run) for each, run in zip(named, saved, strict=True)]
    show_weights(*saved, quiet=quiet)
    with bind(HOST, port) as bound:
        from rnncli.explore.app import explore_app
        from rnncli.serve.app import Limits
        from rnncli.serve.server import Server, allowed_hosts, url_of

        def say() -> None:
            url = url_of(bound, HOST)
            click.echo(url)
            if not quiet:
                show_message("open this address in a browser; Ctrl-C ends")
            if opens:
                click.launch(url)

        Server(explore_app(explored, Limits(), allowed_hosts(HOST, ())), say).run_on(bound)


HOST = "127.0.0.1"
"""The page shows all of a model to whoever reaches it, so that it is for this machine alone."""
