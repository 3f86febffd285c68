"""`rnncli plot-states`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnncli.cli.figures import ENDINGS, LONGEST_SHOWN, show_missing
from rnncli.cli.options import PATH
from rnncli.errors import InputError, RunFailedError, explain_os_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnncli.states import StateFile

MOST_POINTS, MOST_UNITS, MOST_STEPS = 5000, 32, 500
MOST_DIGITS = 6
"""Of a unit: no layer has a million."""


def parse_units(_ctx: click.Context, _param: click.Parameter, value: str | None) -> list[int] | None:
    """`0,5,8-11` as numbers."""
    if value is None:
        return None
    units: list[int] = []
    for part in value.split(","):
        first, dash, last = part.strip().partition("-")
        wrong = not first.isdecimal() or (dash and not last.isdecimal()) or max(len(first), len(last)) > MOST_DIGITS
        if wrong or int(last or first) < int(first):
            raise click.BadParameter(f"{part!r} is not a unit or a range of them; write 0,5,8-11")
        units.extend(range(int(first), int(last or first) + 1))
    return units


@click.command("plot-states")
@click.argument("file", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="A .png or .svg to write.")
@click.option(
    "--kind",
    type=click.Choice(["heatmap", "pca"]),
    default="heatmap",
    show_default=True,
    help="heatmap: units over the steps of one example. pca: final states of all examples.",
)
@click.option("--array", "name", help="Such as decoder/0/forward/c. Default: the last encoder layer's h.")
@click.option("--row", type=click.IntRange(min=0), default=0, show_default=True, help="The example of the heat map.")
@click.option("--units", callback=parse_units, help="Of the heat map, such as 0,5,8-11; the first 32 without it.")
@click.option(
    "--color-by",
    "field",
    type=click.Choice(["length", "source-length", "digits", "carries"]),
    default="length",
    show_default=True,
    help="Of the PCA: symbols of the answer or of the source; for sums also digits and carries.",
)
def command(
    file: Path, output: Path, kind: str, name: str | None, row: int, units: list[int] | None, field: str
) -> None:
    """Draw the states in FILE, an npz, HDF5 or safetensors export.

    \b
      rnncli export-states RUN --input data/sums.txt --output states.npz --which h,final
      rnncli plot-states states.npz --row 28 --output heatmap.png
      rnncli plot-states states.npz --kind pca --color-by carries --output pca.svg
    """  # noqa: D301 (\b keeps click from filling the lines)
    if output.suffix not in ENDINGS:
        raise InputError(f"{output}: a figure's name ends in .png or .svg")
    if find_spec("matplotlib") is None:
        raise RunFailedError("matplotlib is not installed", "python3 -m pip install 'rnncli[plots]'")
    from rnncli.states import read_states

    states = read_states(file)
    if states.rows == 0:
        raise InputError(f"{file}: no examples in it")
    with explain_os_errors(output, "written"):
        if kind == "heatmap":
            missing = draw_heat_map(states, choose(states, name, final=False), row, units, output)
        else:
            missing = draw_pca(states, choose(states, name, final=True), field, output)
    show_missing(missing, output)
    click.echo(output)


def choose(states: StateFile, name: str | None, final: bool) -> str:
    """The array to draw.

    Raises:
        InputError: There is none of that name, or none of that kind.
    """
    able = [key for key in states.shapes if states.is_final(key) == final]
    what = "final states" if final else "states of each step"
    if not able:
        raise InputError(f"{states.path}: no {what} in it", "export with --which h,final")
    if name is not None and name not in able:
        raise InputError(f"--array {name}: not among the {what} in {states.path}", f"there are {', '.join(able)}")
    default = [key for key in able if key.endswith("/h") and not key.startswith("decoder/")]
    return name or (default or able)[-1]


def draw_heat_map(states: StateFile, name: str, row: int, units: list[int] | None, output: Path) -> str:
    """One example's states; returns the symbols that no font has."""
    if row >= states.rows:
        raise InputError(f"--row {row}: {states.path} has rows 0 to {states.rows - 1}")
    from rnncli.states import as_vectors

    batch = states.read(row, row + 1, [name])
    steps, width = as_vectors(name, states.shapes[name])
    if units and max(units) >= width:
        raise InputError(f"--units {max(units)}: {name} has units 0 to {width - 1}")
    chosen = units or list(range(min(width, MOST_UNITS)))
    side = "target" if name.startswith("decoder/") else "source"
    tokens = batch.tokens(side)[0][:steps]
    if len(tokens) > MOST_STEPS:
        raise InputError(f"--row {row}: {len(tokens)} steps; a heat map shows {MOST_STEPS} at most")
    from rnncli.states import plotting as plots
    from rnncli.text import shorten

    source, prediction = shorten(batch.sources[0], LONGEST_SHOWN), shorten(batch.predictions[0], LONGEST_SHOWN)
    title, tokens = f"{name}: {source} → {prediction}", [shorten(token, LONGEST_SHOWN // 2) for token in tokens]
    values = batch.arrays[name].reshape(steps, width)
    return plots.heat_map(values[: len(tokens), chosen], tokens, chosen, title, output)


def draw_pca(states: StateFile, name: str, field: str, output: Path) -> str:
    """All examples' final states, the first few thousand of many; returns the symbols that no font has."""
    if states.rows < 2:
        raise InputError(f"{states.path}: a PCA needs two examples at least")
    batch = states.read(0, min(states.rows, MOST_POINTS), [name])
    value = field_of(states, field)
    from rnncli.states import plotting as plots

    points, shares = plots.principal_components(batch.arrays[name].reshape(len(batch), -1))
    values = [value(batch, row) for row in range(len(batch))]
    return plots.scatter(points, values, field, shares, f"{name}, {len(batch):,} examples", output)


def field_of(states: StateFile, field: str) -> Callable[[Any, int], int]:
    """What gives an example its colour.

    Raises:
        InputError: The examples have no such field.
    """
    if field == "length":
        return lambda batch, row: len(batch.predictions[row])
    if field == "source-length":
        return lambda batch, row: int(batch.source_lengths[row])
    config = states.manifest.get("config")
    task = config.get("task") if isinstance(config, dict) else None
    if not isinstance(task, dict) or task.get("type") != "addition":
        raise InputError(f"--color-by {field}: {states.path} holds no sums", "use length or source-length")
    from rnncli.data.tasks.addition import groups_of

    return lambda batch, row: groups_of(batch.sources[row])[field]
