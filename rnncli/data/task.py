"""The protocol that every task implements, and the optional ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Columns
from rnncli.data.examples import Examples, Ids, Sizes, Steps
from rnncli.data.tables import Reading
from rnncli.data.tokenizers import TextWriter
from rnncli.data.vocabulary import UnknownSymbols, Vocabularies, Vocabulary
from rnncli.errors import DataError
from rnncli.text import escape_line, quote, unescape_line


class Task(Protocol):
    """A source of examples, and the way from text to ids and back.

    A class of `rnncli.config.tasks.TASKS` is made with the task's section of the config, and with the vocabularies
    that a trained run recorded, None before training.

    Attributes:
        source_vocabulary: Source symbols; empty where steps are vectors of numbers.
        target_vocabulary: Target symbols.
        sizes: The properties that a model is built from.
        columns: The columns of a line of data.
    """

    source_vocabulary: Vocabulary
    target_vocabulary: Vocabulary
    sizes: Sizes
    columns: Columns

    def splits(self) -> tuple[Examples, Examples]:
        """Return the training examples and the held-out examples."""

    def read_source(self, text: str) -> Steps:
        """Return the steps of a source that is given as text.

        Raises:
            DataError: The text is not a source of this task.
        """

    def read_target(self, text: str) -> list[int]:
        """Return the ids of a target that is given as text, the end-of-sequence symbol included.

        Raises:
            DataError: The text is not a target of this task.
        """

    def show_source(self, ids: Sequence[Any]) -> str:
        """Return a source as text, given its steps."""

    def show_target(self, ids: Sequence[int]) -> str:
        """Return a target as text, given its ids."""

    def answer(self, source: str) -> str | None:
        """Return the right target of a source where the task can compute it; else None."""


@runtime_checkable
class ReadsTables(Protocol):
    """A task that reads files with columns.

    Attributes:
        reading: The way to read them.
    """

    reading: Reading


class HasLineEnds(Protocol):
    """A task whose texts may have line ends, so that a line of input or output holds them escaped.

    Attributes:
        line_ends: True.
    """

    line_ends: bool


def text_of(task: Task, line: str) -> str:
    """Return the text that a line of input stands for."""
    return unescape_line(line) if _has_line_ends(task) else line


def line_of(task: Task, text: str) -> str:
    """Return a text as a line of output."""
    return escape_line(text) if _has_line_ends(task) else text


def _has_line_ends(task: Task) -> bool:
    """Return True for a `HasLineEnds`; to ask for the protocol takes longer than predicting a line."""
    return hasattr(task, "line_ends")


@runtime_checkable
class CutsText(Protocol):
    """A task whose examples are the windows of one text, rather than lines of their own."""

    def windows_of(self, text: str, key: str) -> Examples:
        """Return the windows of a text, in order.

        Args:
            text: The text.
            key: Its file in messages.

        Raises:
            DataError: It is shorter than a window.
        """


@runtime_checkable
class WritesText(Protocol):
    """A task whose models write text without end, each symbol from those before it.

    Attributes:
        target_vocabulary: As in `Task`.
    """

    target_vocabulary: Vocabulary

    def read_prime(self, text: str, *, count: bool = False) -> list[int]:
        """Return the ids of a text of any length that a model goes on from.

        Args:
            text: The text.
            count: Whether to count its unknown symbols, as those of what is read.

        Raises:
            DataError: It is not text.
        """

    def writer(self) -> TextWriter:
        """Return what joins the symbols that a model writes."""


@runtime_checkable
class ExtendsVocabulary(Protocol):
    """A task whose vocabularies follow from its training data, and may have more symbols than that."""

    def extend_vocabulary(self, earlier: Vocabularies) -> None:
        """Add the symbols of an earlier training to the vocabularies, before any example is made.

        Labels of classes are not added: the classes are those of the data.
        """


@runtime_checkable
class CopiesSource(Protocol):
    """A task whose models may copy source symbols into the target.

    A symbol that the target vocabulary has not is copied by its place: its id is the size of the vocabulary plus its
    place in the source.

    Attributes:
        copies: True once `copy_source` was called.
    """

    copies: bool

    def copy_source(self) -> None:
        """Let models copy, before any example is made."""

    def read_target_of(self, source: str, text: str) -> list[int]:
        """Return the ids of the target of a source, as `Task.read_target` does; both are given as text."""

    def symbols_to_write(self, source: str) -> list[str]:
        """Return the symbol of each id that a model can write for a source, given as text."""

    def first_places(self, ids: Ids, sources: Sequence[str]) -> Ids:
        """Return ids in which a symbol that a source has several times is copied from its first place.

        Ids that are written alike are then equal.

        Args:
            ids: int [rows, steps].
            sources: The source of each row as text.
        """

    def show_copied(self, ids: Sequence[int], source: str) -> str:
        """Return a target as text, as `Task.show_target` does, given its ids and its source as text."""


def show_target(task: Task, ids: Sequence[int], source: str) -> str:
    """Return the target of a source as text, given its ids."""
    if getattr(task, "copies", False):
        shown: str = task.show_copied(ids, source)  # type: ignore[attr-defined]
        return shown
    return task.show_target(ids)


def symbols_to_write(task: Task, source: str) -> Sequence[str]:
    """Return the symbol of each id that a model can write for a source, given as text."""
    if getattr(task, "copies", False):
        found: list[str] = task.symbols_to_write(source)  # type: ignore[attr-defined]
        return found
    return task.target_vocabulary.symbols


def ids_to_write(symbols: Sequence[str], written: Sequence[str]) -> list[int]:
    """Return the ids of symbols that a model writes.

    Args:
        symbols: The result of `symbols_to_write`; a symbol that comes again is copied from its first place.
        written: The symbols.

    Raises:
        DataError: The model cannot write one of them.
    """
    ids = {symbol: index for index, symbol in reversed(list(enumerate(symbols)))}
    if unknown := [symbol for symbol in written if symbol not in ids]:
        raise DataError(f"the model does not know the symbol {quote(unknown[0])}")
    return [ids[symbol] for symbol in written]


def read_target(task: Task, source: str, text: str) -> list[int]:
    """Return the ids of the target of a source; both are given as text.

    Raises:
        DataError: The text is not a target of this task.
    """
    if getattr(task, "copies", False):
        found: list[int] = task.read_target_of(source, text)  # type: ignore[attr-defined]
        return found
    return task.read_target(text)


@runtime_checkable
class CountsUnknown(Protocol):
    """A task that counts symbols of its input that training did not have."""

    unknown: UnknownSymbols


def symbol_characters(task: Task) -> NDArray[np.int64] | None:
    """Return the characters of each target symbol, int64 [symbols]; None where a symbol is a character."""
    characters: NDArray[np.int64] | None = getattr(task, "symbol_characters", None)
    return characters


@runtime_checkable
class MayWriteBackwards(Protocol):
    """A task whose targets the model may write from their last symbol to the first.

    Attributes:
        writes_backwards: Whether it does: text and alignments for people are then turned around.
    """

    writes_backwards: bool


@runtime_checkable
class HasGroups(Protocol):
    """A task whose examples fall into groups, such as sums by their digits.

    Attributes:
        shown_groups: Kinds of groups that an evaluation shows by default, since there are few groups of each; the end
            of training shows the first.
    """

    shown_groups: tuple[str, ...]

    def groups(self, source: str) -> dict[str, list[int] | list[str]]:
        """Return the groups of a source for each kind; all sources have the same kinds."""


SEEN = "seen"
"""A kind of groups: what training has seen of a source; see `TellsSeen`."""


@runtime_checkable
class TellsSeen(Protocol):
    """A task that can group sources by what training has seen of them, which needs the training data."""

    def remember_training(self) -> None:
        """Read the training data, so that `groups` has the kind SEEN.

        Raises:
            InputError: It cannot be read.
        """


@runtime_checkable
class HasTest(Protocol):
    """A task with test examples beside the held-out ones.

    Attributes:
        has_test: Whether the config names a test file.
    """

    has_test: bool

    def overlap(self, examples: Examples, train: Examples) -> str:
        """Return a warning with the number of examples whose source training has too; empty if there are none."""

    def test_split(self) -> Examples:
        """Return the test examples.

        Raises:
            InputError: The config names no test file, or it cannot be used.
        """
