"""What every task has in common."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Columns
from rnncli.errors import InputError
from rnncli.files import read_json
from rnncli.vocabulary import Unknown, Vocabulary

Ids = NDArray[np.integer]
Steps = Sequence[int] | Sequence[Sequence[float]]
"""A row of a source or target: an id a step, or numbers a step."""


class Text(NamedTuple):
    """An example as somebody wrote it.

    Attributes:
        line: Its number in the file; the first is 1.
        source: With features behind a tab, where it has any.
        target: What is right.
    """

    line: int
    source: str
    target: str


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
        left_out: How many were, too long.
        texts: Of those to measure on, which ids alone do not tell where a symbol is unknown; of others none.
    """

    source: NDArray[Any]
    source_lengths: Ids
    target: Ids
    target_lengths: Ids
    continuing: bool = False
    notes: tuple[str, ...] = ()
    left_out: int = 0
    texts: Sequence[Text] = ()

    def __len__(self) -> int:
        return len(self.source)

    @property
    def steps(self) -> int:
        """Of the longest sequence on either side."""
        return int(max(self.source.shape[1], self.target.shape[1]))


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
        unknown: Whether a symbol of the target stands for all that the vocabulary does not have.
    """

    source_symbols: int
    source_steps: int
    target_symbols: int
    target_steps: int
    features: int | None = None
    parts: tuple[tuple[int, ...], ...] = ()
    per_step: bool = False
    unknown: bool = False


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


VOCABULARY = "vocabulary.json"
"""The file of a run directory that records them."""
MAX_VOCABULARY = 16 * 2**20
"""Bytes: those of about a million symbols."""


def read_vocabularies(path: Path, root: Path | None = None) -> Vocabularies:
    """The symbols that a `vocabulary.json` records, in a run directory `root` if that is given.

    Raises:
        InputError: It cannot be read, or holds something else.
    """
    recorded = read_json(path, root, MAX_VOCABULARY)
    for side in Vocabularies._fields:
        symbols = recorded.get(side)
        if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
            raise InputError(f"{path}: {side} symbols are not a list of symbols")
    return Vocabularies(*(Vocabulary(tuple(recorded[side])) for side in Vocabularies._fields))


def symbols_digest(task: Task) -> str:
    """sha256 of the symbols of both sides, in order."""
    symbols = [task.source_vocabulary.symbols, task.target_vocabulary.symbols]
    return hashlib.sha256(json.dumps(symbols).encode()).hexdigest()


@runtime_checkable
class CountsUnknown(Protocol):
    """A task that counts the symbols that it was given and training did not have."""

    unknown: Unknown


@runtime_checkable
class HasGroups(Protocol):
    """A task whose examples fall into groups, such as sums by their digits.

    Attributes:
        shown_groups: The kinds of groups that an evaluation shows unasked, because there are few of each.
    """

    shown_groups: tuple[str, ...]

    def groups(self, source: str) -> dict[str, list[int] | list[str]]:
        """For each kind of group those that a source is in; the kinds are the same for every source."""


@runtime_checkable
class HasTest(Protocol):
    """A task that has examples for a last measurement, beside those that training measures on.

    Attributes:
        has_test: Whether the config names them.
    """

    has_test: bool

    def overlap(self, examples: Examples, train: Examples) -> str:
        """A warning with the number of examples whose sources training has; nothing if there are none."""

    def test_split(self) -> Examples:
        """These examples.

        Raises:
            InputError: The config names no file of them, or it cannot be used.
        """
