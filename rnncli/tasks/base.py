"""What every task has in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rnncli.errors import DataError
from rnncli.vocabulary import Vocabulary

Ids = NDArray[np.integer]


@dataclass(frozen=True)
class Examples:
    """Examples as ids, padded on the right with 0.

    Attributes:
        source: int [examples, steps].
        source_lengths: int32 [examples].
        target: int [examples, steps]; the end-of-sequence symbol is part of it where the model writes one.
        target_lengths: int32 [examples].
    """

    source: Ids
    source_lengths: Ids
    target: Ids
    target_lengths: Ids

    def __len__(self) -> int:
        return len(self.source)


@dataclass(frozen=True)
class Sizes:
    """What a model must know of the data: symbols and longest row of each side."""

    source_symbols: int
    source_steps: int
    target_symbols: int
    target_steps: int


class Task(Protocol):
    """A source of examples, and the way from text to ids and back."""

    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    sizes: Sizes

    def splits(self) -> tuple[Examples, Examples]:
        """Examples to train on and examples to measure on."""

    def read_source(self, text: str) -> list[int]:
        """Ids of a source as a person writes it.

        Raises:
            DataError: The text is not a source of this task.
        """

    def read_target(self, text: str) -> list[int]:
        """Ids of a target as a person writes it.

        Raises:
            DataError: The text is not a target of this task.
        """

    def show_source(self, ids: Sequence[int]) -> str:
        """A source as a person writes it."""

    def show_target(self, ids: Sequence[int]) -> str:
        """A target as a person writes it."""

    def answer(self, source: str) -> str | None:
        """The right target of a source, where the task knows it without being told."""

    def groups(self, source: str) -> dict[str, int]:
        """What evaluation is broken down by, such as the number of digits of a sum."""


def bad_line(message: str, text: str, hint: str = "") -> DataError:
    """A text that is no source or target; shows its beginning."""
    shown = text if len(text) <= 40 else text[:37] + "..."
    return DataError(f"{message}: {shown!r}", hint)


def read_examples(task: Task, lines: Iterable[str], name: str) -> Examples:
    """Examples from lines `source<TAB>target`; the target may be missing where the task knows it.

    Args:
        task: Reads the sources and targets.
        lines: The lines; blank ones are passed over.
        name: Of the file, for messages.

    Raises:
        DataError: A line is not an example, or there is none.
    """
    sources, targets = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            source, target = _read_example(task, line)
        except DataError as error:
            raise DataError(f"{name}:{number}: {error.message}", error.hint, line=number) from error
        sources.append(source)
        targets.append(target)
    if not sources:
        raise DataError(f"{name}: no examples in it", "write one a line: source, tab, target")
    return Examples(*_padded(sources, task.sizes.source_steps), *_padded(targets, task.sizes.target_steps))


def _read_example(task: Task, line: str) -> tuple[list[int], list[int]]:
    source, *rest = line.split("\t")
    if len(rest) > 1:
        raise DataError(f"{len(rest) + 1} columns", "write source, tab, target")
    ids = task.read_source(source)
    target = rest[0] if rest else task.answer(source)
    if target is None:
        raise DataError("no target", "write source, tab, target")
    return ids, task.read_target(target)


def _padded(rows: list[list[int]], steps: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    ids = np.zeros((len(rows), steps), np.int32)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
    return ids, np.array([len(row) for row in rows], np.int32)
