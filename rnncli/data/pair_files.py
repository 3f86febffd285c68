"""Pairs of texts from files: lines with columns, or two parallel files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Literal, NamedTuple

from rnncli.config import Columns, Files
from rnncli.data.columns import SourceText, describe_columns, split_columns
from rnncli.data.tables import (
    BYTE_ORDER_MARK,
    MAX_GUESS_ROWS,
    TAB_SEPARATED,
    Reading,
    Row,
    has_header,
    header_note,
    mostly_quoted,
    read_rows,
)
from rnncli.data.text_files import matching_files, read_lines
from rnncli.errors import DataError, InputError


class Pair(NamedTuple):
    """A source and a target, and the place of each."""

    source: SourceText
    target: str
    line: int
    source_path: str
    target_path: str

    def place(self, side: Literal["source", "target"]) -> str:
        """Return the place of a side as `FILE:LINE`."""
        return f"{self.source_path if side == 'source' else self.target_path}:{self.line}"


class PairFiles:
    """The pairs of some files.

    Args:
        files: The files.
        columns: The columns of a line.
        clean: Applied to each text, such as Unicode normalization.
        reading: The way to read the files.

    Attributes:
        pairs: All pairs; blank lines are skipped.
        notes: Messages for the user: header lines and other lines that were left out.
        ragged: Number of lines that were left out because they have another number of columns.
        empty: Number of pairs without a target, left out or not.

    Raises:
        InputError: A file cannot be read.
        DataError: A line is not a pair, or there is none.
    """

    def __init__(
        self, files: Files, columns: Columns, clean: Callable[[str], str], reading: Reading = TAB_SEPARATED
    ) -> None:
        self.columns, self.clean, self.reading = columns, clean, reading
        self.notes: list[str] = []
        self.ragged = self.empty = 0
        found: Iterator[Pair]
        if files.file is not None:
            found = (pair for path in matching_files(files.file) for pair in self._read_columns(path))
        else:
            found = self._read_parallel(*_match_parallel(files))
        self.pairs = [cleaned for pair in found if (cleaned := self._clean_pair(pair)) is not None]
        if self.empty and reading.empty_target == "skip":
            self.notes.append(f"{name_of(files)}: skipped {self.empty} pairs without a target")
        if not self.pairs:
            raise DataError(f"{name_of(files)}: no pairs in it", "write one a line")

    def _clean_pair(self, pair: Pair) -> Pair | None:
        text, features = pair.source
        source = SourceText(self.clean(text), None if features is None else self.clean(features))
        target = self.clean(pair.target)
        if not source.text:
            raise DataError(f"{pair.place('source')}: no source", "every pair needs a source and a target")
        if not target and self.reading.empty_target == "error":
            hint = "write one, or say what is done with such pairs: task.empty_target: allow or skip"
            raise DataError(f"{pair.place('target')}: no target", hint)
        self.empty += not target
        if not target and self.reading.empty_target == "skip":
            return None
        return Pair(source, target, pair.line, pair.source_path, pair.target_path)

    def _read_columns(self, path: str) -> Iterator[Pair]:
        rows, notes = read_rows(read_lines(path), path, self.reading, self.columns)
        self.notes += notes
        begin = list(islice(rows, MAX_GUESS_ROWS))
        if self.reading.format == "tsv" and mostly_quoted([row.line for row in begin]):
            self.notes.append(f"{path}: most cells are in quotes; task.format: csv removes them")
        ragged = total = 0
        for row in chain(begin, rows):
            total += 1
            try:
                pair = self._parse(row, path)
            except DataError:
                if self.reading.ragged_rows == "error":
                    raise
                ragged += 1
            else:
                yield pair
        self.ragged += ragged
        if ragged:
            self.notes.append(f"{path}: skipped {ragged} of {total} lines with another number of columns")

    def _parse(self, row: Row, path: str) -> Pair:
        try:
            source, target = split_columns(self.columns, row.line)
        except DataError as error:
            hint = self._columns_hint(row.line, error.hint)
            raise DataError(f"{path}:{row.number}: {error.message}", hint) from error
        if target is None:
            hint = self._columns_hint(row.line, f"write {describe_columns(self.columns)}")
            raise DataError(f"{path}:{row.number}: no target: 1 column", hint)
        return Pair(source, target, row.number, path, path)

    def _columns_hint(self, line: str, form: str) -> str:
        if self.reading.format == "tsv" and "\t" not in line and ("," in line or ";" in line):
            return f"{form}; task.format: csv reads cells between commas or semicolons"
        return f"{form}; task.columns says which columns are read, task.ragged_rows: skip leaves such lines out"

    def _read_parallel(self, source_paths: list[str], target_paths: list[str]) -> Iterator[Pair]:
        for source_path, target_path in zip(source_paths, target_paths, strict=True):
            sources, targets = _read_side(source_path), _read_side(target_path)
            if len(sources) != len(targets):
                counts = f"{len(sources)} lines, but {target_path} has {len(targets)}"
                raise DataError(f"{source_path}: {counts}", "line N of one must belong to line N of the other")
            for number, (source, target) in enumerate(zip(sources, targets, strict=True), start=1):
                for path, text in ((source_path, source), (target_path, target)):
                    if "\t" in text:
                        raise DataError(f"{path}:{number}: a tab in the text", "tabs separate columns; use a space")
            yield from self._parallel_rows(sources, targets, source_path, target_path)

    def _parallel_rows(
        self, sources: Sequence[str], targets: Sequence[str], source_path: str, target_path: str
    ) -> Iterator[Pair]:
        lines = ("\t".join(texts) for texts in zip(sources, targets, strict=True))
        rows = [Row(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
        if rows and has_header(rows, self.reading.header, Columns()):
            self.notes.append(header_note(f"{source_path} and {target_path}", rows.pop(0)))
        for number, line in rows:
            source, target = line.split("\t")
            yield Pair(SourceText(source), target, number, source_path, target_path)


def name_of(files: Files) -> str:
    """Return the name of some files in messages."""
    return files.file or f"{files.source} and {files.target}"


def _match_parallel(files: Files) -> tuple[list[str], list[str]]:
    sources, targets = (matching_files(side) for side in (files.source or "", files.target or ""))
    if len(sources) != len(targets):
        raise InputError(
            f"{name_of(files)}: {len(sources)} source files and {len(targets)} target files",
            "give as many target files as source files",
        )
    return sources, targets


def _read_side(path: str) -> Sequence[str]:
    return [line.removeprefix(BYTE_ORDER_MARK) for line in read_lines(path)]
