"""A command from outside the package, as `docs/extending.md` adds one: count the parameters of a run."""

from pathlib import Path

import click

from rnncli.cli.help import Command


@click.command("parameters", cls=Command, examples=("rnncli parameters RUN",))
@click.argument("run", type=click.Path(path_type=Path))
def command(run: Path) -> None:
    """Print the number of parameters of a run's model."""
    from rnncli.runs.directory import RunDir

    weights = RunDir(run).load(trust_code=False).weights
    click.echo(sum(array.size for array in weights.values()))
