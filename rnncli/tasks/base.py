"""What every task has in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Columns
from rnncli.errors import DataError, InputError
from rnncli.files import read_json
from rnncli.vocabulary import Unknown, Vocabulary

Ids = NDArray[np.integer]
Steps = Sequence[int] | Sequence[Sequence[float]]
"""A row of a source or target: an id a step, or numbers a step."""


@dataclass(frozen=True)
class Examples:
    """Examples as ids, padded on the right with 0.

    Attributes:
        source: int [examples, steps], or float32 [examples, steps, features] where steps are not symbols.
        source_lengths: int32 [examples].
        target: int [examples, steps]; the end-of-sequence symbol is part of it where the model writes one.
        target_lengths: int32 [examples].
        continuing: Whether each example goes on where the one before it ended.
        notes: What a person should know of them, such as how many were left out.
    """

    source: NDArray[Any]
    source_lengths: Ids
    target: Ids
    target_lengths: Ids
    continuing: bool = False
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class Sizes:
    """What a model must know of the data.

    Attributes:
        source_symbols: Size of the source's vocabulary.
        source_steps: Longest source.
        target_symbols: Size of the target's vocabulary.
        target_steps: Longest target.
        features: Numbers in a step of the source, where steps are not symbols.
    """

    source_symbols: int
    source_steps: int
    target_symbols: int
    target_steps: int
    features: int | None = None


class Vocabularies(NamedTuple):
    """The symbols of both sides, as a run directory records them."""

    source: Vocabulary
    target: Vocabulary


class Task(Protocol):
    """A source of examples, and the way from text to ids and back.

    Attributes:
        source_vocabulary: Symbols of the source; empty where steps are not symbols.
        target_vocabulary: Symbols of the target.
        sizes: What a model must know.
        columns: What stands where in a line of data.
    """

    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    sizes: Sizes
    columns: Columns

    def splits(self) -> tuple[Examples, Examples]:
        """Examples to train on and examples to measure on."""

    def read_source(self, text: str) -> Steps:
        """Steps of a source as a person writes it.

        Raises:
            DataError: The text is not a source of this task.
        """

    def read_target(self, text: str) -> list[int]:
        """Ids of a target as a person writes it.

        Raises:
            DataError: The text is not a target of this task.
        """

    def show_source(self, ids: Sequence[Any]) -> str:
        """A source, given its steps, as a person writes it."""

    def show_target(self, ids: Sequence[int]) -> str:
        """A target as a person writes it."""

    def answer(self, source: str) -> str | None:
        """The right target of a source, where the task knows it without being told."""

    def groups(self, source: str) -> dict[str, int]:
        """What evaluation is broken down by, such as the number of digits of a sum."""


VOCABULARY = "vocabulary.json"
"""The file of a run directory that records them."""


def read_vocabularies(path: Path) -> Vocabularies:
    """The symbols that a `vocabulary.json` records.

    Raises:
        InputError: It cannot be read, or holds something else.
    """
    recorded = read_json(path)
    for side in Vocabularies._fields:
        symbols = recorded.get(side)
        if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
            raise InputError(f"{path}: {side} symbols are not a list of symbols")
    return Vocabularies(*(Vocabulary(tuple(recorded[side])) for side in Vocabularies._fields))


@runtime_checkable
class CountsUnknown(Protocol):
    """A task that counts the symbols that it was given and training did not have."""

    unknown: Unknown


@runtime_checkable
class HasTest(Protocol):
    """A task that has examples for a last measurement, beside those that training measures on."""

    def test_split(self) -> Examples:
        """These examples.

        Raises:
            InputError: The config names no file of them, or it cannot be used.
        """


def bad_line(message: str, text: str, hint: str = "") -> DataError:
    """A text that is no source or target; shows its beginning."""
    shown = text if len(text) <= 40 else text[:37] + "..."
    return DataError(f"{message}: {shown!r}", hint)


def read_sources(task: Task, lines: Iterable[str], name: str, first: int = 1) -> tuple[NDArray[Any], Ids]:
    """The sources that lines hold, as in `Examples`, and their lengths, int32 [lines].

    Args:
        task: Reads the sources.
        lines: One source each.
        name: Of the file, for messages.
        first: The number of the first line.

    Raises:
        DataError: A line is not a source.
    """
    sources = []
    for number, line in enumerate(lines, start=first):
        try:
            sources.append(task.read_source(line))
        except DataError as error:
            raise DataError(f"{name}:{number}: {error.message}", error.hint) from error
    return padded_sources(task.sizes, sources)


def read_examples(task: Task, lines: Iterable[str], name: str, first: int = 1) -> Examples:
    """Examples from lines with the columns of `task.columns`.

    The target may be missing where the task knows it.

    Args:
        task: Reads the sources and targets.
        lines: The lines; blank ones are passed over.
        name: Of the file, for messages.
        first: The number of the first line.

    Raises:
        DataError: A line is not an example, or there is none.
    """
    sources, targets = [], []
    for number, line in enumerate(lines, start=first):
        if not line.strip():
            continue
        try:
            source, target = _read_example(task, line)
        except DataError as error:
            raise DataError(f"{name}:{number}: {error.message}", error.hint) from error
        sources.append(source)
        targets.append(target)
    if not sources:
        raise DataError(f"{name}: no examples in it", f"write one a line: {described(task.columns)}")
    return Examples(*padded_sources(task.sizes, sources), *_padded(targets, task.sizes.target_steps))


def padded_ids(
    rows: Sequence[Sequence[int]], symbols: int, steps: int | None = None
) -> tuple[Ids, NDArray[np.int32]]:
    """Ids as one array in the smallest type that holds them, and the rows' lengths.

    Args:
        rows: The ids.
        symbols: Ids are smaller.
        steps: Of the array; None is those of the longest row.
    """
    lengths = np.array([len(row) for row in rows], np.int32)
    kind = np.uint8 if symbols <= 2**8 else np.uint16 if symbols <= 2**16 else np.int32
    array: Ids = np.zeros((len(rows), int(lengths.max(initial=1)) if steps is None else steps), kind)
    filled = np.arange(array.shape[1]) < lengths[:, None]
    array[filled] = np.fromiter(chain.from_iterable(rows), kind, int(lengths.sum()))
    return array, lengths


def padded_sources(sizes: Sizes, sources: Sequence[Steps]) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Sources as one array, as in `Examples`, and their lengths."""
    return _padded(sources, sizes.source_steps, sizes.features)


def source_and_target(columns: Columns, line: str) -> tuple[str, str | None]:
    """The source of a line, as `Task.read_source` reads it, and the target; a line may be a source alone.

    Features, where there are any, stand behind the source and a tab.

    Raises:
        DataError: The line has another number of columns.
    """
    cells = line.split("\t")
    if len(cells) == 1 and columns.features is None and columns.width == 2:
        return line, None
    if len(cells) != columns.width:
        counted = f"{len(cells)} column{'' if len(cells) == 1 else 's'}"
        raise DataError(counted, f"write {described(columns)}")
    source = cells[columns.source - 1]
    if columns.features is not None:
        source += "\t" + cells[columns.features - 1]
    return source, cells[columns.target - 1]


def described(columns: Columns) -> str:
    """A line of data in words."""
    if columns.width == len(columns.named):
        return ", tab, ".join(columns.named)
    listed = ", ".join(f"{name} in column {column}" for name, column in columns.named.items())
    return f"{columns.width} columns, {listed}"


def _read_example(task: Task, line: str) -> tuple[Steps, list[int]]:
    source, target = source_and_target(task.columns, line)
    steps = task.read_source(source)
    if target is None:
        target = task.answer(source)
    if target is None:
        raise DataError("no target", f"write {described(task.columns)}")
    return steps, task.read_target(target)


def _padded(rows: Sequence[Steps], steps: int, features: int | None = None) -> tuple[NDArray[Any], NDArray[np.int32]]:
    array: NDArray[Any] = np.zeros((len(rows), steps), np.int32)
    if features is not None:
        array = np.zeros((len(rows), steps, features), np.float32)
    for number, row in enumerate(rows):
        array[number, : len(row)] = row
    return array, np.array([len(row) for row in rows], np.int32)
