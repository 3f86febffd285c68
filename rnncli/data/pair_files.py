"""Pairs of texts from files: lines with columns, or two parallel files."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice, repeat
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Columns, Files
from rnncli.config.tables import NormalForm
from rnncli.data.cache import reading_bar
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
from rnncli.data.text_files import Pieces, lines_in, matching_files, text_in_pieces, whole_text
from rnncli.data.tokenizers import list_normalizer, normalizer
from rnncli.errors import DataError, InputError

Side = Literal["source", "target"]

MAX_BLOCK_ROWS = 10_000
"""Pairs that are held as text at a time: enough to read fast, too few to need much memory."""
MAX_FIRST = 3
"""Pairs that are shown as examples."""


class Pair(NamedTuple):
    """A source and a target, and the place of each."""

    source: SourceText
    target: str
    line: int
    source_path: str
    target_path: str

    def place(self, side: Side) -> str:
        """Return the place of a side as `FILE:LINE`."""
        return f"{self.source_path if side == 'source' else self.target_path}:{self.line}"


@dataclass(frozen=True)
class PairBlock:
    """Some pairs of a file, one after another.

    Attributes:
        sources: The text of each source, without features.
        features: The features of each, with separators between them; None where the task has none.
        targets: The text of each target.
        lines: The line number of each pair.
        source_path: The file of the sources.
        target_path: The file of the targets.
    """

    sources: list[str]
    features: list[str] | None
    targets: list[str]
    lines: list[int]
    source_path: str
    target_path: str

    def __len__(self) -> int:
        return len(self.lines)

    def pair(self, index: int) -> Pair:
        """Return one of the pairs."""
        source = SourceText(self.sources[index], None if self.features is None else self.features[index])
        return Pair(source, self.targets[index], self.lines[index], self.source_path, self.target_path)


class PairReader:
    """Reads the pairs of some files, a block at a time, so that few of them are held as text.

    Args:
        files: The files.
        columns: The columns of a line.
        normalize: The Unicode normal form of all text.
        reading: The way to read the files.
        open_text: Returns the text of a file, as a whole or in pieces.

    Attributes:
        count: Number of pairs; blank lines are skipped. This and the others are whole when all blocks are read.
        notes: Messages for the user: header lines and other lines that were left out.
        ragged: Number of lines that were left out because they have another number of columns.
        empty: Number of pairs without a target, left out or not.
    """

    def __init__(
        self,
        files: Files,
        columns: Columns,
        normalize: NormalForm,
        reading: Reading = TAB_SEPARATED,
        open_text: Callable[[str], Pieces] = whole_text,
    ) -> None:
        self.files, self.columns, self.reading, self._open = files, columns, reading, open_text
        self._clean, self._clean_all = normalizer(normalize), list_normalizer(normalize)
        self.notes: list[str] = []
        self.count = self.ragged = self.empty = 0

    def blocks(self) -> Iterator[PairBlock]:
        """Yield the pairs.

        Raises:
            InputError: A file cannot be read.
            DataError: A line is not a pair, or there is none.
        """
        for block in self._read_columns() if self.files.file is not None else self._read_parallel():
            self.count += len(block)
            yield block
        name = name_of(self.files)
        if self.empty and self.reading.empty_target == "skip":
            self.notes.append(f"{name}: skipped {self.empty} pair{'s' * (self.empty > 1)} without a target")
        if not self.count:
            raise DataError(f"{name}: no pairs in it", "write one a line")

    def _read_columns(self) -> Iterator[PairBlock]:
        for path in matching_files(self.files.file or ""):
            rows, notes = read_rows(lines_in(self._open(path)()), path, self.reading, self.columns)
            self.notes += notes
            begin = list(islice(rows, MAX_GUESS_ROWS))
            if self.reading.format == "tsv" and mostly_quoted([row.line for row in begin]):
                self.notes.append(f"{path}: most cells are in quotes; task.format: csv removes them")
            ragged, total = self.ragged, 0
            for some in _in_blocks(chain(begin, rows)):
                total += len(some)
                yield self._block(some, self.columns, path, path)
            if ragged := self.ragged - ragged:
                self.notes.append(f"{path}: skipped {ragged} of {total} lines with another number of columns")

    def _read_parallel(self) -> Iterator[PairBlock]:
        for source_path, target_path in zip(*_match_parallel(self.files), strict=True):
            sources, targets = self._open(source_path), self._open(target_path)
            _refuse_uneven(sources, targets, source_path, target_path)
            rows = _parallel_rows(sources, targets)
            begin = list(islice(rows, MAX_GUESS_ROWS + 1))
            if begin and has_header(begin, self.reading.header, Columns()):
                self.notes.append(header_note(f"{source_path} and {target_path}", begin.pop(0)))
            for some in _in_blocks(chain(begin, rows)):
                yield self._block(some, Columns(), source_path, target_path)

    def _block(self, rows: list[Row], columns: Columns, source_path: str, target_path: str) -> PairBlock:
        """Return the pairs of some lines: column by column where all are as they should be, else one by one."""
        cells = [row.line.split("\t") for row in rows]
        if {*map(len, cells)} == {columns.width}:
            read = {
                name: self._clean_all([each[column - 1] for each in cells]) for name, column in columns.named.items()
            }
            if all(read["source"]) and all(read["target"]):
                lines = [row.number for row in rows]
                return PairBlock(
                    read["source"], read.get("features"), read["target"], lines, source_path, target_path
                )
        pairs = list(self._one_by_one(rows, columns, source_path, target_path))
        return PairBlock(
            [pair.source.text for pair in pairs],
            None if columns.features is None else [pair.source.features or "" for pair in pairs],
            [pair.target for pair in pairs],
            [pair.line for pair in pairs],
            source_path,
            target_path,
        )

    def _one_by_one(self, rows: list[Row], columns: Columns, source_path: str, target_path: str) -> Iterator[Pair]:
        for row in rows:
            try:
                source, target = self._split(row, columns, source_path)
            except DataError:
                if self.reading.ragged_rows == "error":
                    raise
                self.ragged += 1
                continue
            pair = self._cleaned(Pair(source, target, row.number, source_path, target_path))
            if pair is not None:
                yield pair

    def _split(self, row: Row, columns: Columns, path: str) -> tuple[SourceText, str]:
        try:
            source, target = split_columns(columns, row.line)
        except DataError as error:
            hint = self._columns_hint(row.line, error.hint)
            raise DataError(f"{path}:{row.number}: {error.message}", hint) from error
        if target is None:
            hint = self._columns_hint(row.line, f"write {describe_columns(columns)}")
            raise DataError(f"{path}:{row.number}: no target: 1 column", hint)
        return source, target

    def _columns_hint(self, line: str, form: str) -> str:
        if self.reading.format == "tsv" and "\t" not in line and ("," in line or ";" in line):
            return f"{form}; task.format: csv reads cells between commas or semicolons"
        return f"{form}; task.columns says which columns are read, task.ragged_rows: skip leaves such lines out"

    def _cleaned(self, pair: Pair) -> Pair | None:
        """Return a pair with normalized text; None where it has no target and the config says to skip such pairs."""
        text, features = pair.source
        source = SourceText(self._clean(text), None if features is None else self._clean(features))
        target = self._clean(pair.target)
        if not source.text:
            raise DataError(f"{pair.place('source')}: no source", "every pair needs a source and a target")
        if not target and self.reading.empty_target == "error":
            hint = "write one, or say what is done with such pairs: task.empty_target: allow or skip"
            raise DataError(f"{pair.place('target')}: no target", hint)
        self.empty += not target
        if not target and self.reading.empty_target == "skip":
            return None
        return pair._replace(source=source, target=target)


class DistinctTexts:
    """Texts in order, of which equal ones are held once.

    Attributes:
        numbers: The number of each distinct text, in the order of their first occurrence.
    """

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self._rows = array("i")

    def extend(self, texts: Iterable[str]) -> None:
        """Append texts."""
        numbers = self.numbers
        self._rows.extend([numbers.setdefault(text, len(numbers)) for text in texts])

    @property
    def rows(self) -> NDArray[np.int32]:
        """The number of each text, int32 [texts]."""
        return np.frombuffer(self._rows, np.int32) if self._rows else np.zeros(0, np.int32)

    def counts(self) -> NDArray[np.int64]:
        """Return how often each distinct text occurs, int64 [distinct texts]."""
        return np.bincount(self.rows, minlength=len(self.numbers))


class PairTexts(PairReader):
    """The pairs of some files, all held as text, each distinct text once.

    Attributes:
        sources: The text of each source.
        features: The features of each; all empty where the task has none.
        targets: The text of each target.
        lines: The line number of each pair, in ascending order in each file.
        first: The first pairs.

    Raises:
        InputError: A file cannot be read.
        DataError: A line is not a pair, or there is none.
    """

    def __init__(
        self, files: Files, columns: Columns, normalize: NormalForm, reading: Reading = TAB_SEPARATED
    ) -> None:
        names = [*chain(*(matching_files(name) for name in (files.file, files.source, files.target) if name))]
        with reading_bar(names, 2 if files.parallel else 1, "reading") as advance:
            super().__init__(files, columns, normalize, reading, partial(text_in_pieces, read=advance))
            self.sources, self.features, self.targets = DistinctTexts(), DistinctTexts(), DistinctTexts()
            self.lines = array("q")
            self.first: list[Pair] = []
            for block in self.blocks():
                self.sources.extend(block.sources)
                self.features.extend(block.features or repeat("", len(block)))
                self.targets.extend(block.targets)
                self.lines.extend(block.lines)
                missing = MAX_FIRST - len(self.first)
                self.first += [block.pair(number) for number in range(min(len(block), missing))]

    def __len__(self) -> int:
        return len(self.lines)


def name_of(files: Files) -> str:
    """Return the name of some files in messages."""
    return files.file or f"{files.source} and {files.target}"


def _in_blocks(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while some := list(islice(rows, MAX_BLOCK_ROWS)):
        yield some


def _match_parallel(files: Files) -> tuple[list[str], list[str]]:
    sources, targets = (matching_files(side) for side in (files.source or "", files.target or ""))
    if len(sources) != len(targets):
        raise InputError(
            f"{name_of(files)}: {len(sources)} source files and {len(targets)} target files",
            "give as many target files as source files",
        )
    return sources, targets


def _refuse_uneven(sources: Pieces, targets: Pieces, source_path: str, target_path: str) -> None:
    """Refuse parallel texts of different numbers of lines, or with tabs."""
    counts, places = [], []
    for pieces, path in ((sources, source_path), (targets, target_path)):
        lines, tab, ended = 0, None, True
        for piece in pieces():
            if tab is None and (at := piece.find("\t")) >= 0:
                tab = lines + piece.count("\n", 0, at)
            lines += piece.count("\n")
            ended = piece[-1:] in ("", "\n")
        counts.append(lines + (not ended))
        if tab is not None:
            places.append((tab, path))
    if counts[0] != counts[1]:
        raise DataError(
            f"{source_path}: {counts[0]} lines, but {target_path} has {counts[1]}",
            "line N of one must belong to line N of the other",
        )
    if places:
        line, path = min(places, key=lambda place: place[0])
        raise DataError(f"{path}:{line + 1}: a tab in the text", "tabs separate columns; use a space")


def _parallel_rows(sources: Pieces, targets: Pieces) -> Iterator[Row]:
    for number, texts in enumerate(zip(lines_in(sources()), lines_in(targets()), strict=True), start=1):
        line = "\t".join(text.removeprefix(BYTE_ORDER_MARK) for text in texts)
        if line.strip():
            yield Row(number, line)
