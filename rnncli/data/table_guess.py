"""Guesses for `rnncli init`: format, columns and tokenizers of a file that no config describes yet."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from rnncli.config import Columns
from rnncli.config.pairs import Tokens
from rnncli.data.header import are_numbers
from rnncli.data.tables import Format, Reading, Row, guess_format, has_header, read_rows
from rnncli.data.text_files import matching_files, missing_file, read_lines
from rnncli.errors import DataError, InputError
from rnncli.text import shorten

MAX_GUESS_PAIRS = 1000
"""Pairs from which columns and tokenizers are guessed."""
_KEYS_AND_VALUES = re.compile(r"[^\s=,]+=[^=,]+(,[^\s=,]+=[^=,]+)*")
"""Features as in the shared task of SIGMORPHON 2016: `pos=V,tense=PST`."""
MAX_LABELS, MAX_LABEL_LENGTH, MIN_LABELLED = 20, 30, 20
"""Distinct cells of a column of labels, their characters, and the rows that it can be told from."""


@dataclass(frozen=True)
class FirstRows:
    """The first rows of a file.

    Attributes:
        path: The file.
        format: Its format.
        cells: The cells of the rows that are complete, header line included.
        header: Whether the first row has the names of the columns.
    """

    path: str
    format: Format
    cells: list[list[str]]
    header: bool

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.cells[0])

    @property
    def rows(self) -> list[list[str]]:
        """The rows below the header line."""
        return self.cells[self.header :]

    def column(self, index: int) -> list[str]:
        """Return the cells of a column, from 0."""
        return [row[index].strip() for row in self.rows]


def read_first_rows(path: str, header: Literal["auto"] | bool = "auto") -> FirstRows:
    """Read the first rows of a file, or of a glob's first file.

    Args:
        path: The file or glob.
        header: Whether the first row has the names of the columns; `auto` guesses.

    Raises:
        InputError: The file cannot be read.
        DataError: Its lines have one column.
    """
    first = matching_files(path)[0]
    if not Path(first).exists():
        raise missing_file(first, in_config=False)
    lines = list(islice(read_lines(first), 4 * MAX_GUESS_PAIRS))
    form = guess_format([line for line in lines[: 2 * MAX_GUESS_PAIRS] if line.strip()])
    whole = read_lines(first) if form == "csv" else lines  # a quoted cell may have several lines
    rows = read_rows(whole, first, Reading(form), Columns()).rows
    begin = list(islice(rows, MAX_GUESS_PAIRS + 1))
    if not begin:
        raise DataError(f"{first}: no pairs in it", "write source, tab, target")
    cells = [row.line.split("\t") for row in begin]
    width, _ = Counter(map(len, cells)).most_common(1)[0]  # of equally many lines that of the first
    if width < 2:
        raise DataError(f"{first}: no tab in most lines", "write source, tab, target; --text takes it as a text")
    complete = [row for row in cells if len(row) == width]
    return FirstRows(first, form, complete, _is_header(complete, header))


def _is_header(cells: list[list[str]], header: Literal["auto"] | bool) -> bool:
    rows = [Row(number, "\t".join(row)) for number, row in enumerate(cells, start=1)]
    found = [has_header(rows, header, Columns(source=1, target=other + 1)) for other in range(1, len(cells[0]))]
    return any(found)


def guess_columns(first: FirstRows) -> Columns:
    """Guess which columns are source, target and features.

    A first column of rising numbers is passed over. Features are the first column from the third on, or else the
    second, that has a separator of features; see `guess_separator`. Source and target are the first two others.

    Raises:
        InputError: A column has labels, so that this is no file of pairs.
    """
    width = first.width
    begin = 1 if width > 2 and has_ids(first) else 0
    candidates = [*range(begin + 2, width), *([begin + 1] if width > begin + 2 else [])]
    tagged = [column for column in candidates if guess_separator(first.column(column))]
    source, target = [column + 1 for column in range(begin, width) if column not in tagged[:1]][:2]
    _refuse_labels(first, source - 1, target - 1)
    features = tagged[0] + 1 if tagged else None
    count = width if width > max(source, target, features or 0) else None
    return with_separator(Columns(source=source, target=target, features=features, count=count), first)


def with_separator(columns: Columns, first: FirstRows) -> Columns:
    """Return columns with the separator that most features have."""
    if columns.features is None:
        return columns
    found = guess_separator(first.column(columns.features - 1)) or columns.feature_separator
    return columns.model_copy(update={"feature_separator": found})


def guess_separator(cells: Sequence[str]) -> str | None:
    """Return the character between features, if most cells have some: `V;PST` or `pos=V,tense=PST`; else None."""
    if 2 * sum(";" in cell for cell in cells) > len(cells):
        return ";"
    return "," if 2 * sum(bool(_KEYS_AND_VALUES.fullmatch(cell)) for cell in cells) > len(cells) else None


def has_ids(first: FirstRows) -> bool:
    """Return True if the first column has distinct rising numbers, as exports have."""
    cells = first.column(0)
    if not are_numbers(cells) or not all(cell.isdecimal() for cell in cells):
        return False
    numbers = list(map(int, cells))
    return all(one < other for one, other in itertools.pairwise(numbers))


def _refuse_labels(first: FirstRows, source: int, target: int) -> None:
    """Refuse a file in which one column has few words, which come again and again, and the other has texts."""
    for label, text in ((source, target), (target, source)):
        counts = Counter(first.column(label))
        texts = set(first.column(text))
        rows = len(first.rows)
        few = len(counts) <= min(MAX_LABELS, rows // 10) and all(len(name) <= MAX_LABEL_LENGTH for name in counts)
        if rows >= MIN_LABELLED and len(counts) > 1 and few and 2 * len(texts) > rows:
            shown = shorten(", ".join(f"{name} {count}" for name, count in counts.most_common()))
            raise InputError(
                f"{first.path}: column {label + 1} has labels, not texts: {shown}",
                "start from `rnncli configs documents`, whose task.train takes label, tab, text; "
                f"--columns {source + 1},{target + 1} takes them as pairs",
            )


def describe_few(first: FirstRows, train: int) -> str:
    """Return a note where there are too few pairs to learn from, or to tell labels from texts; empty otherwise.

    Args:
        first: The first rows of the file.
        train: The number of training pairs.
    """
    if train >= MIN_LABELLED:
        return ""
    few = f"{first.path}: {train} training pair{'' if train == 1 else 's'}; learned by heart, they teach no rule"
    counts = Counter(first.column(0))
    if 1 < len(counts) <= len(first.rows) // 2:
        few += "; if column 1 has labels, start from `rnncli configs documents`"
    return few


def guess_tokens(texts: Sequence[str]) -> Tokens:
    """Guess the tokenizer: words where most texts have several and few are rare; else characters."""
    rows = [text.split() for text in texts[:MAX_GUESS_PAIRS]]
    words = [word for row in rows for word in row]
    several = sum(len(row) > 1 for row in rows)
    return "whitespace" if 2 * several > len(rows) and len(words) >= 10 * len(set(words)) else "characters"
