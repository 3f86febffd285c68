"""What every task has in common."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from rnncli.config import Columns
from rnncli.data.examples import Examples, Sizes, Steps
from rnncli.data.vocabulary import Unknown, Vocabulary


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
