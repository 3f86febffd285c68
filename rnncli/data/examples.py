"""Examples as arrays: padded ids, or vectors of numbers, with their lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.integer]

Steps = Sequence[int] | Sequence[Sequence[float]]
"""The steps of one source: an id each, or a vector of numbers each."""


SHARED_IDS = 2
"""The first ids of a source vocabulary of two texts: padding and the unknown symbol, which both texts have."""

ARRAYS = ("source", "source_lengths", "target", "target_lengths")
"""Names of the arrays of `Examples` that have a row for each example."""


class ExampleText(NamedTuple):
    """The text that an example was read from.

    Attributes:
        line: Line number in the file, from 1.
        source: Source, followed by a tab and the features where the task has any.
        target: Target.
    """

    line: int
    source: str
    target: str


@dataclass(frozen=True)
class Examples:
    """Examples as ids, padded on the right with 0.

    Attributes:
        source: int [examples, steps] of ids, or float32 [examples, steps, features] of vectors of numbers. Of what is
            only predicted and measured it may be `RaggedRows`; to train on, source and target may be `MappedRows`.
        source_lengths: int32 [examples].
        target: int [examples, steps], with the end-of-sequence symbol where the model writes one.
        target_lengths: int32 [examples].
        continuing: Whether each example continues the one before it, so that states can be carried.
        notes: Messages for the user about the data, such as how many examples were skipped.
        left_out: Number of examples that were skipped because they are too long.
        texts: Text of each held-out example, since ids do not tell what an unknown symbol was; empty for training
            examples.
        extra: Further training examples that an epoch shows, such as short sums again; they are not counted as
            examples. None is none.
    """

    source: NDArray[Any]
    source_lengths: Ids
    target: Ids
    target_lengths: Ids
    continuing: bool = False
    notes: tuple[str, ...] = ()
    left_out: int = 0
    texts: Sequence[ExampleText] = ()
    extra: Examples | None = None

    def __len__(self) -> int:
        return len(self.source)

    def rows(self, rows: slice | Sequence[int]) -> Examples:
        """Return some of the examples, with the same notes."""
        numbers = range(len(self))[rows] if isinstance(rows, slice) else rows
        return replace(
            self,
            source=self.source[rows],
            source_lengths=self.source_lengths[rows],
            target=self.target[rows],
            target_lengths=self.target_lengths[rows],
            texts=[self.texts[number] for number in numbers] if self.texts else (),
        )

    def in_memory(self) -> Examples:
        """Return the examples with all arrays in memory."""
        return replace(self, source=np.asarray(self.source), target=np.asarray(self.target))

    def whole_batches(self, batch_size: int) -> Examples:
        """Return the examples that fill mini-batches; a note says how many windows at the end are left out."""
        if not (rest := len(self) % batch_size):
            return self
        windows = "window, which does" if rest == 1 else f"{rest} windows, which do"
        note = f"left out the last {windows} not fill a mini-batch of {batch_size}, as a stateful model needs"
        return replace(self.rows(slice(len(self) - rest)), notes=(*self.notes, note))

    @property
    def steps(self) -> int:
        """Padded length of the longer side."""
        return int(max(self.source.shape[1], self.target.shape[1]))

    @property
    def epoch_size(self) -> int:
        """Number of examples that an epoch shows."""
        return len(self) + (0 if self.extra is None else len(self.extra))

    def of_epoch(self) -> Examples:
        """Return the examples that an epoch shows: these and the extra ones."""
        if self.extra is None:
            return self
        arrays: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(self.extra, name)]) for name in ARRAYS
        }
        return replace(self, **arrays, extra=None)


@dataclass(frozen=True)
class Sizes:
    """Properties of the data that a model is built from.

    Attributes:
        source_symbols: Size of the source vocabulary.
        source_steps: Maximum length of a source.
        target_symbols: Size of the target vocabulary.
        target_steps: Maximum length of a target.
        features: Numbers of a source step, where steps are vectors; None where they are symbols.
        parts: Shapes of the arrays that a source step consists of, in order; empty where it is one vector.
        per_step: Whether the target has one symbol for each source step.
        unknown: Whether the target vocabulary has a symbol for all unknown ones.
        copies: For models that copy, what copying each source id writes: a target id,
            or a constant of `rnncli.data.copying`; None for other models.
        tags: Ids that each source begins with, padded with 0, which stand for its features or are the first of its
            two texts, and are read by an encoder of their own; they count in `source_steps` and in the lengths of
            sources.
        first_symbols: Size of the vocabulary of the first of two texts; 0 where a source is one text. The source
            vocabulary then has the `SHARED_IDS`, the symbols of the second text, and those of the first.
    """

    source_symbols: int
    source_steps: int
    target_symbols: int
    target_steps: int
    features: int | None = None
    parts: tuple[tuple[int, ...], ...] = ()
    per_step: bool = False
    unknown: bool = False
    copies: tuple[int, ...] | None = None
    tags: int = 0
    first_symbols: int = 0

    @property
    def second_symbols(self) -> int:
        """Size of the vocabulary of the second of two texts; of all symbols where a source is one text."""
        return self.source_symbols - max(0, self.first_symbols - SHARED_IDS)
