"""The columns of a line of data: source, target and features between tabs."""

from __future__ import annotations

from typing import NamedTuple

from rnncli.config import Columns
from rnncli.errors import DataError

_CLOSING = {"(": ")", "[": "]", "{": "}"}
"""The brackets that a feature may have."""


class SourceText(NamedTuple):
    """A source and its features, as text.

    Attributes:
        text: The source.
        features: Features with separators between them; None where the task has none.
    """

    text: str
    features: str | None = None

    @classmethod
    def parse(cls, line: str) -> SourceText:
        """Read `source` or `source<TAB>features`."""
        text, tab, features = line.partition("\t")
        return cls(text, features if tab else None)

    def __str__(self) -> str:
        return self.text if self.features is None else f"{self.text}\t{self.features}"

    def tags(self, separator: str = ";", whole_brackets: bool = True) -> list[str]:
        """Return the features one by one, without surrounding white space; empty ones are dropped.

        Args:
            separator: The character between features.
            whole_brackets: True if it separates nothing within brackets: `N;ABL(PL;PSS(2,PL))` has two features.
        """
        if self.features is None:
            return []
        parts = self.features.split(separator)
        if whole_brackets and any(bracket in self.features for bracket in _CLOSING):
            parts = _whole_brackets(parts, separator)
        return [tag for part in parts if (tag := part.strip())]


def _whole_brackets(parts: list[str], separator: str) -> list[str]:
    """Join parts in which a bracket is open to those behind them, unless nothing closes it."""
    found: list[str] = []
    waiting: list[str] = []
    depth = 0
    for part in parts:
        waiting.append(part)
        depth = max(0, depth + sum(map(part.count, _CLOSING)) - sum(map(part.count, _CLOSING.values())))
        if depth == 0:
            found.append(separator.join(waiting))
            waiting = []
    return found + waiting


def split_columns(columns: Columns, line: str) -> tuple[SourceText, str | None]:
    """Return the source and the target of a line; the target is None where the line is a source alone.

    Raises:
        DataError: The line has another number of columns.
    """
    cells = line.split("\t")
    if len(cells) == 1 and columns.features is None and columns.width == 2:
        return SourceText(line), None
    if len(cells) != columns.width:
        counted = f"{len(cells)} column{'' if len(cells) == 1 else 's'}"
        raise DataError(counted, f"write {describe_columns(columns)}")
    features = None if columns.features is None else cells[columns.features - 1]
    return SourceText(cells[columns.source - 1], features), cells[columns.target - 1]


def describe_columns(columns: Columns) -> str:
    """Return the form of a line in words, such as "source, tab, target"."""
    if columns.width == len(columns.named):
        return ", tab, ".join(columns.named)
    listed = ", ".join(f"{name} in column {column}" for name, column in columns.named.items())
    return f"{columns.width} columns, {listed}"
