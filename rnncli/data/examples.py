"""Containers of examples: arrays of tokens, or of numbers, with their lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
