"""`rnncli plot-states`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnncli.cli.figures import MAX_SHOWN, check_figure, show_missing
from rnncli.cli.help import INPUT, OUTPUT, Command, option
from rnncli.cli.options import PATH, overwrite_option
from rnncli.errors import InputError, explain_os_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from rnncli.states.batch import StateBatch
    from rnncli.states.reader import StateFile

MAX_POINTS, MAX_UNITS, MAX_STEPS = 5000, 32, 500
MAX_DIGITS = 6
"""Digits of a unit's number: no layer has a million units."""


def parse_units(_ctx: click.Context, _param: click.Parameter, value: str | None) -> list[int] | None:
    """Return `0,5,8-11` as numbers."""
    if value is None:
        return None
    units: list[int] = []
    for part in value.split(","):
        first, dash, last = part.strip().partition("-")
        wrong = not first.isdecimal() or (dash and not last.isdecimal()) or max(len(first), len(last)) > MAX_DIGITS
        if wrong or int(last or first) < int(first):
            raise click.BadParameter(f"{part!r} is not a unit or a range of units, such as 8-11")
        units.extend(range(int(first), int(last or first) + 1))
    return units


@click.command(
    "plot-states",
    cls=Command,
    examples=(
        "rnncli export-states RUN --input data/sums.txt -o states.npz --which h,final",
        "rnncli plot-states states.npz --row 28 --output heatmap.png",
        "rnncli plot-states states.npz --kind pca --color-by carries -o pca.svg",
    ),
)
@click.argument("file", metavar="FILE", type=PATH)
@option("--array", "name", group=INPUT, metavar="NAME", help="Array to plot [default: h of the last encoder layer].")
@option(
    "--row",
    group=INPUT,
    type=click.IntRange(min=0),
    metavar="K",
    default=0,
    show_default=True,
    help="Heat map: example to plot, from 0.",
)
@option(
    "--units",
    group=INPUT,
    metavar="UNITS",
    callback=parse_units,
    help="Heat map: units, such as 0,5,8-11 [default: 0-31].",
)
@option(
    "-o", "--output", group=OUTPUT, required=True, type=PATH, metavar="FILE", help="Figure to write, .png or .svg."
)
@overwrite_option
@option(
    "--kind",
    group=OUTPUT,
    type=click.Choice(["heatmap", "pca"]),
    default="heatmap",
    show_default=True,
    help="Heat map of one example's states, or PCA of all final states.",
)
@option(
    "--color-by",
    "field",
    group=OUTPUT,
    metavar="FIELD",
    default="length",
    show_default=True,
    help="PCA: color by length, source-length or a number of the task, such as carries.",
)
def command(
    file: Path,
    output: Path,
    kind: str,
    name: str | None,
    row: int,
    units: list[int] | None,
    field: str,
    overwrite: bool,
) -> None:
    """Plot the states in FILE, which export-states wrote as npz, HDF5 or safetensors."""
    check_figure(output, overwrite)
    from rnncli.states.reader import read_states

    states = read_states(file)
    if states.rows == 0:
        raise InputError(f"{file}: it has no examples")
    with explain_os_errors(output, "written"):
        if kind == "heatmap":
            missing = draw_heat_map(states, choose_array(states, name, final=False), row, units, output)
        else:
            missing = draw_pca(states, choose_array(states, name, final=True), field, output)
    show_missing(missing, output)
    click.echo(output)


def choose_array(states: StateFile, name: str | None, final: bool) -> str:
    """Return the name of the array to plot.

    Raises:
        InputError: There is none of that name or kind.
    """
    arrays = [key for key in states.shapes if states.is_final(key) == final]
    what = "final states" if final else "states of each step"
    if not arrays:
        raise InputError(f"{states.path}: it has no {what}", "export with --which h,final")
    if name is not None and name not in arrays:
        raise InputError(
            f"--array {name}: not one of the {what} in {states.path}", f"choose_array one of {', '.join(arrays)}"
        )
    default = [key for key in arrays if key.endswith("/h") and not key.startswith("decoder/")]
    return name or (default or arrays)[-1]


def draw_heat_map(states: StateFile, name: str, row: int, units: list[int] | None, output: Path) -> str:
    """Plot the states of one example; returns the symbols that no font has."""
    if row >= states.rows:
        raise InputError(f"--row {row}: {states.path} has rows 0 to {states.rows - 1}")
    from rnncli.states.batch import as_vectors

    batch = states.read(row, row + 1, [name])
    steps, width = as_vectors(name, states.shapes[name])
    if units and max(units) >= width:
        raise InputError(f"--units {max(units)}: {name} has units 0 to {width - 1}")
    chosen = units or list(range(min(width, MAX_UNITS)))
    side = "target" if name.startswith("decoder/") else "source"
    tokens = batch.tokens(side)[0][:steps]
    if len(tokens) > MAX_STEPS:
        raise InputError(f"--row {row}: {len(tokens)} steps; a heat map shows at most {MAX_STEPS}")
    from rnncli.states import plotting as plots
    from rnncli.text import shorten

    source, prediction = shorten(batch.sources[0], MAX_SHOWN), shorten(batch.predictions[0], MAX_SHOWN)
    title, tokens = f"{name}: {source} → {prediction}", [shorten(token, MAX_SHOWN // 2) for token in tokens]
    values = batch.arrays[name].reshape(steps, width)
    return plots.heat_map(values[: len(tokens), chosen], tokens, chosen, title, output)


def draw_pca(states: StateFile, name: str, field: str, output: Path) -> str:
    """Plot a PCA of the final states, at most `MAX_POINTS`; returns the symbols that no font has."""
    if states.rows < 2:
        raise InputError(f"{states.path}: a PCA needs at least two examples")
    batch = states.read(0, min(states.rows, MAX_POINTS), [name])
    value = field_of(states, field, batch.sources[0])
    from rnncli.states import plotting as plots

    points, shares = plots.principal_components(batch.arrays[name].reshape(len(batch), -1))
    values = [value(batch, row) for row in range(len(batch))]
    return plots.scatter(points, values, field, shares, f"{name}, {len(batch):,} examples", output)


def field_of(states: StateFile, field: str, source: str) -> Callable[[StateBatch, int], int]:
    """Return the function that gives an example its color.

    Args:
        states: The file.
        field: A field of all tasks, or a number that the file's task knows of a source.
        source: The source of one example.

    Raises:
        InputError: The examples have no such field.
    """
    fields: dict[str, Callable[[StateBatch, int], int]] = {
        "length": lambda batch, row: len(batch.predictions[row]),
        "source-length": lambda batch, row: int(batch.source_lengths[row]),
    }
    if field in fields:
        return fields[field]
    numbers_of = task_numbers(states)
    if field not in (known := numbers_of(source)):
        raise InputError(
            f"--color-by {field}: {states.path} has no such field", f"use {', '.join([*fields, *known])}"
        )
    return lambda batch, row: numbers_of(batch.sources[row])[field]


def task_numbers(states: StateFile) -> Callable[[str], dict[str, int]]:
    """Return the function from a source to the numbers that the task of a file's model knows of it."""
    from rnncli.config.named_objects import import_named
    from rnncli.config.tasks import TASKS

    config = states.manifest.get("config")
    task = config.get("task") if isinstance(config, dict) else None
    name = task.get("type") if isinstance(task, dict) else None
    entry = TASKS.get(name) if isinstance(name, str) else None
    if entry is None or entry.numbers_of is None:
        return lambda _: {}
    found: Callable[[str], dict[str, int]] = import_named(entry.numbers_of)
    return found
