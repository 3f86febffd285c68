"""The columns of a line of data: source, target and features between tabs."""

from __future__ import annotations

from typing import NamedTuple

from rnncli.config import Columns
from rnncli.errors import DataError


class SourceText(NamedTuple):
    """A source and its features, as text.

    Attributes:
        text: The source.
        features: Features with semicolons between them; None where the task has none.
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

    @property
    def tags(self) -> list[str]:
        """Features one by one, without surrounding white space; empty ones are dropped."""
        if self.features is None:
            return []
        return [tag.strip() for tag in self.features.split(";") if tag.strip()]


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
