"""Rows of files with columns: tab-separated lines or CSV, without header lines."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Literal, NamedTuple

from rnncli.config import Columns
from rnncli.config.tables import TableTask
from rnncli.data.header import looks_like_header
from rnncli.errors import DataError
from rnncli.text import shorten

BYTE_ORDER_MARK = "\ufeff"
SEPARATORS = "\t;,"
MAX_GUESS_ROWS = 1000
"""Rows from which a header line and a separator are guessed."""
SEPARATOR_LINE = "sep="
"""The first line of some CSV files, followed by the separator."""

_JSON_BEGIN = re.compile(r'[\[{]\s*($|[\[{]\s*($|["\[{])|"[^"\t]*"\s*[:,])')
"""The first line of JSON that has several: a bracket alone, or two, or one with a string behind it."""

_SPACES = str.maketrans("\t\n\r", "   ")

Format = Literal["tsv", "csv"]


@dataclass(frozen=True)
class Reading:
    """The way that files with columns are read; see `TableTask`.

    Attributes:
        format: The format of the lines.
        header: Whether the first line of each file is left out; `auto` decides by its looks.
        ragged_rows: `skip` leaves out lines with another number of columns.
        empty_target: `allow` and `skip` accept pairs whose target is empty.
    """

    format: Format = "tsv"
    header: Literal["auto"] | bool = False
    ragged_rows: Literal["error", "skip"] = "error"
    empty_target: Literal["error", "allow", "skip"] = "error"

    @classmethod
    def of(cls, task: TableTask) -> Reading:
        """Return what the section of a task says."""
        return cls(task.format, task.header, task.ragged_rows, getattr(task, "empty_target", "error"))


TAB_SEPARATED = Reading()
"""The way that lines with columns are read where no config says otherwise: every line counts."""


class Row(NamedTuple):
    """A line with cells between tabs, and its number in the file, from 1."""

    number: int
    line: str


class Table(NamedTuple):
    """The rows of a file that are not blank, and messages for the user, such as a header line that was left out."""

    rows: Iterator[Row]
    notes: tuple[str, ...]


def read_rows(lines: Iterable[str], name: str, reading: Reading, columns: Columns, first: int = 1) -> Table:
    """Return the rows of a file, which are read one by one.

    Args:
        lines: Its lines, without line ends.
        name: Its name in messages.
        reading: The way to read it.
        columns: The columns that are read.
        first: Number of the first line.

    Raises:
        DataError: It is JSON, or not CSV where it should be.
    """
    rows = _filled(lines, first)
    begin = list(islice(rows, MAX_GUESS_ROWS + 1))
    if begin:
        _refuse_json(begin[0], name)
    rows = chain(begin, rows)
    if reading.format == "csv":
        rows = _parse_csv(rows, name)
        begin = list(islice(rows, MAX_GUESS_ROWS + 1))
        rows = chain(begin, rows)
    if not begin or not has_header(begin, reading.header, columns):
        return Table(rows, ())
    return Table(rows, (header_note(name, next(rows)),))


def _filled(lines: Iterable[str], first: int) -> Iterator[Row]:
    for number, line in enumerate(lines, start=first):
        if line.strip():
            yield Row(number, line.removeprefix(BYTE_ORDER_MARK))


def header_note(name: str, row: Row) -> str:
    """Return the message on a header line that was left out."""
    shown = shorten(", ".join(row.line.split("\t")))
    return f"{name}: left out the header line: {shown} (task.header: false keeps it)"


def has_header(rows: Sequence[Row], header: Literal["auto"] | bool, columns: Columns) -> bool:
    """Return True if the first row has the names of the columns."""
    if header != "auto":
        return header
    cells = [row.line.split("\t") for row in rows[: MAX_GUESS_ROWS + 1]]
    return looks_like_header(cells[0], cells[1:], [number - 1 for number in columns.named.values()])


def guess_format(lines: Sequence[str]) -> Format:
    """Guess whether lines are tab-separated or CSV.

    Args:
        lines: The first lines of a file.
    """
    filled = [line for line in lines if line.strip()]
    if not filled:
        return "tsv"
    if filled[0].removeprefix(BYTE_ORDER_MARK).lower().startswith(SEPARATOR_LINE):
        return "csv"
    tabbed = sum("\t" in line for line in filled)
    if 2 * tabbed > len(filled):
        return "csv" if mostly_quoted(filled) else "tsv"
    share, width, _ = _fit(filled, guess_separator(filled))
    return "csv" if share >= 0.9 and width > 1 else "tsv"


def mostly_quoted(lines: Sequence[str]) -> bool:
    """Return True if most cells between tabs are in quotes, as spreadsheets write them."""
    cells = [cell.strip() for line in lines for cell in line.split("\t")]
    return 2 * sum(len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in cells) > len(cells)


def guess_separator(lines: Sequence[str]) -> str:
    """Return the separator of CSV: the one that cuts the most lines into equally many cells."""
    return max(SEPARATORS, key=lambda separator: _fit(lines, separator))


def _fit(lines: Sequence[str], separator: str) -> tuple[float, int, int]:
    try:
        widths = Counter(map(len, islice(csv.reader(lines, delimiter=separator), MAX_GUESS_ROWS)))
    except csv.Error:
        return 0.0, 0, 0
    if not widths:
        return 0.0, 0, 0
    width, count = max(widths.items(), key=lambda item: (item[0] > 1, item[1]))
    return (count / widths.total() if width > 1 else 0.0), width, -SEPARATORS.index(separator)


def _parse_csv(rows: Iterator[Row], name: str) -> Iterator[Row]:
    """Yield the rows of CSV as lines with tabs; tabs and line ends in a cell become spaces."""
    begin = list(islice(rows, MAX_GUESS_ROWS + 1))
    separator = None
    if begin and begin[0].line.lower().startswith(SEPARATOR_LINE):
        separator = begin.pop(0).line[len(SEPARATOR_LINE) :][:1]
    separator = separator or guess_separator([row.line for row in begin[:MAX_GUESS_ROWS]])
    numbers: list[int] = []  # of the lines of the record that is being read

    def lines() -> Iterator[str]:
        for row in chain(begin, rows):
            numbers.append(row.number)
            yield f"{row.line}\n"

    try:
        for cells in csv.reader(lines(), delimiter=separator, strict=True):
            number = numbers[0]
            numbers.clear()
            yield Row(number, "\t".join(cell.strip("\n").translate(_SPACES) for cell in cells))
    except csv.Error as error:
        raise DataError(
            f"{name}:{numbers[0]}: not CSV: {error}", "double a quote within quotes, or use task.format: tsv"
        ) from error


def _refuse_json(row: Row, name: str) -> None:
    line = row.line.strip()
    if "\t" in line or not line.startswith(("{", "[")):
        return
    try:
        form = "JSON lines" if isinstance(json.loads(line), (dict, list)) else ""
    except (ValueError, RecursionError):
        form = "JSON" if _JSON_BEGIN.match(line) else ""
    if form:
        elements = ".[] | " if form == "JSON" else ""
        hint = (
            f"write the two texts with a tab between them, for example: jq -r '{elements}[.source, .target] | @tsv'"
        )
        raise DataError(f"{name}:{row.number}: {form}, not columns", hint)
