"""Examples, arrays and fields of a file of states, as plots choose them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rnncli.errors import InputError, explain_os_errors
from rnncli.files import read_plain
from rnncli.text import shorten, unescape_line

if TYPE_CHECKING:
    from rnncli.states.batch import StateBatch
    from rnncli.states.reader import StateFile

BLOCK_ROWS = 1000
MAX_ERRORS = 2**28
"""Bytes of a file of wrong predictions."""
RIGHT = "right"
"""The field that says whether a prediction is right."""

FEATURES = "features"
"""The field of tags behind a source."""

Field = Callable[["StateBatch", int], "int | str"]
"""A function that gives the value of a field for an example of a batch."""

PLAIN_FIELDS: dict[str, Field] = {
    "length": lambda batch, row: len(batch.predictions[row]),
    "source-length": lambda batch, row: int(batch.source_lengths[row]),
    "first-symbol": lambda batch, row: batch.source_tokens[row][0] if batch.source_tokens[row] else "",
    FEATURES: lambda batch, row: batch.sources[row].partition("\t")[2] or "none",
    "prediction": lambda batch, row: shorten(batch.predictions[row], 20),
}
"""Fields of all tasks."""


def row_of(states: StateFile, source: str) -> int:
    """Return the first row of a source.

    Raises:
        InputError: There is none.
    """
    for start in range(0, states.rows, BLOCK_ROWS):
        sources = states.read(start, start + BLOCK_ROWS, []).sources
        if source in sources:
            return start + sources.index(source)
    some = ", ".join(shorten(each, 20) for each in states.read(0, min(3, states.rows), []).sources)
    what = f"not among the {states.rows:,} sources of {states.path}"
    raise InputError(f"--source {shorten(source)}: {what}", f"there are {some}" + ", ..." * (states.rows > 3))


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
            f"--array {name}: not one of the {what} in {states.path}", f"choose one of {', '.join(arrays)}"
        )
    default = [key for key in arrays if key.endswith("/h") and not key.startswith("decoder/")]
    return name or (default or arrays)[-1]


def field_of(states: StateFile, field: str, source: str, errors: Path | None = None) -> Field:
    """Return the function that gives an example its color.

    Args:
        states: The file.
        field: A field of all tasks, a number that the file's task knows of a source, or `right`.
        source: The source of one example.
        errors: The wrong predictions, as `rnncli evaluate --errors` wrote them, which `right` needs.

    Raises:
        InputError: The examples have no such field.
    """
    if field == RIGHT:
        if errors is None:
            raise InputError(
                f"--color-by {RIGHT}: needs the wrong predictions", "write them: rnncli evaluate --errors"
            )
        wrong = wrong_pairs(errors)
        if wrong and not any(wrong & pairs for pairs in _pairs(states)):
            what = f"none of the {len(wrong):,} wrong predictions in {errors} is among those of {states.path}"
            raise InputError(
                what, "write both from the same examples: rnncli evaluate RUN --input FILE --errors FILE"
            )
        return lambda batch, row: "wrong" if (batch.sources[row], batch.predictions[row]) in wrong else "right"
    if field == FEATURES and "\t" not in source:
        others = ", ".join(each for each in PLAIN_FIELDS if each != FEATURES)
        raise InputError(f"--color-by {FEATURES}: the sources of {states.path} have none", f"use {others}")
    if field in PLAIN_FIELDS:
        return PLAIN_FIELDS[field]
    numbers_of = task_numbers(states)
    known = numbers_of(source)
    if field not in known:
        fields = ", ".join([*PLAIN_FIELDS, *known, RIGHT])
        raise InputError(f"--color-by {field}: {states.path} has no such field", f"use {fields}")
    return lambda batch, row: numbers_of(batch.sources[row])[field]


def _pairs(states: StateFile) -> Iterator[set[tuple[str, str]]]:
    """Yield sources and predictions, a block of rows at a time."""
    for start in range(0, states.rows, BLOCK_ROWS):
        batch = states.read(start, min(start + BLOCK_ROWS, states.rows), [])
        yield set(zip(batch.sources, batch.predictions, strict=True))


def wrong_pairs(path: Path) -> set[tuple[str, str]]:
    """Return source and prediction of each line that `rnncli evaluate --errors` wrote.

    Raises:
        InputError: The file cannot be read, or is another.
    """
    with explain_os_errors(path, "read", InputError, also=(UnicodeDecodeError,)):
        lines = read_plain(path, MAX_ERRORS).decode().split("\n")
    names = lines[0].split("\t")
    if not {"source", "prediction"} <= set(names):
        raise InputError(f"{path}: has no columns source and prediction", "write it: rnncli evaluate --errors")
    rows = [dict(zip(names, map(unescape_line, line.split("\t")), strict=False)) for line in lines[1:] if line]
    return {(row.get("source", ""), row.get("prediction", "")) for row in rows}


def task_numbers(states: StateFile) -> Callable[[str], dict[str, int]]:
    """Return the function from a source to the numbers that the task of a file's model knows of it."""
    from rnncli.config.named_objects import import_named
    from rnncli.config.tasks import TASKS

    entry = TASKS.get(_task_section(states).get("type", ""))
    if entry is None or entry.numbers_of is None:
        return lambda _: {}
    found: Callable[[str], dict[str, int]] = import_named(entry.numbers_of)
    return found


def _task_section(states: StateFile) -> dict[str, str]:
    config = states.manifest.get("config")
    task = config.get("task") if isinstance(config, dict) else None
    return task if isinstance(task, dict) and isinstance(task.get("type"), str) else {}
