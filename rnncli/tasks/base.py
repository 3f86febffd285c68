"""What every task has in common."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rnncli.errors import DataError
from rnncli.vocabulary import Vocabulary

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
    """

    source: NDArray[Any]
    source_lengths: Ids
    target: Ids
    target_lengths: Ids
    continuing: bool = False

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
        parts: Shapes of the arrays that a step's numbers are, one after another; none where they are one vector.
        per_step: Whether the target has a symbol for each step of the source.
    """

    source_symbols: int
    source_steps: int
    target_symbols: int
    target_steps: int
    features: int | None = None
    parts: tuple[tuple[int, ...], ...] = ()
    per_step: bool = False


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
        target_first: Whether a line of data is target, tab, source in place of source, tab, target.
    """

    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    sizes: Sizes
    target_first: bool

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


def bad_line(message: str, text: str, hint: str = "") -> DataError:
    """A text that is no source or target; shows its beginning."""
    shown = text if len(text) <= 40 else text[:37] + "..."
    return DataError(f"{message}: {shown!r}", hint)


def read_numbers(text: str, what: str) -> list[float]:
    """Numbers with commas or spaces between them.

    Args:
        text: As a person writes them.
        what: What they are, for the message.

    Raises:
        DataError: They are none.
    """
    try:
        return [float(word) for word in re.split(r"\s*,\s*|\s+", text.strip())]
    except ValueError:
        raise bad_line("not numbers", text, f"write the {what} with commas or spaces between them") from None


def read_class(text: str, vocabulary: Vocabulary) -> list[int]:
    """The id of a class.

    Raises:
        DataError: The training data does not have it.
    """
    label = text.strip()
    if label not in vocabulary.ids:
        known = ", ".join(vocabulary.symbols[:10])
        raise bad_line("a label that the training data does not have", label, f"it has {known}")
    return [vocabulary.ids[label]]


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
    """Examples from lines `source<TAB>target` (`task.target_first`: the other way round).

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
        raise DataError(f"{name}: no examples in it", f"write one a line: {_columns(task)}")
    return Examples(*padded_sources(task.sizes, sources), *_padded(targets, task.sizes.target_steps))


def padded_sources(sizes: Sizes, sources: Sequence[Steps]) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Sources as one array, as in `Examples`, and their lengths."""
    return _padded(sources, sizes.source_steps, sizes.features)


def _columns(task: Task) -> str:
    return "target, tab, source" if task.target_first else "source, tab, target"


def _read_example(task: Task, line: str) -> tuple[Steps, list[int]]:
    columns = line.split("\t")
    if len(columns) > 2:
        raise DataError(f"{len(columns)} columns", f"write {_columns(task)}")
    if task.target_first:
        columns.reverse()
    source, *rest = columns
    steps = task.read_source(source)
    target = rest[0] if rest else task.answer(source)
    if target is None:
        raise DataError("no target", f"write {_columns(task)}")
    return steps, task.read_target(target)


def _padded(rows: Sequence[Steps], steps: int, features: int | None = None) -> tuple[NDArray[Any], NDArray[np.int32]]:
    array: NDArray[Any] = np.zeros((len(rows), steps), np.int32)
    if features is not None:
        array = np.zeros((len(rows), steps, features), np.float32)
    for number, row in enumerate(rows):
        array[number, : len(row)] = row
    return array, np.array([len(row) for row in rows], np.int32)
