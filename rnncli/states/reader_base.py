"""What reading takes from each format of arrays: shapes first, then rows on demand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Stored:
    """What a file says of an array: its shape, with the examples, and its type."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Texts:
    """Text of examples, as in a `StateBatch`."""

    sources: list[str]
    predictions: list[str]
    source_tokens: list[list[str]]
    target_tokens: list[list[str]]


class Source(ABC):
    """A file of states, opened and found to hold as much as it declares; its contents are still untrusted.

    Attributes:
        manifest_text: JSON.
        arrays: The arrays of states by name.
        lengths: `source_lengths` and `target_lengths`, int32 [examples]; empty in a file of final states alone.
    """

    manifest_text: str
    arrays: dict[str, Stored]
    lengths: dict[str, Stored]

    @abstractmethod
    def rows(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Rows of an array or of lengths, of the type stored."""

    @abstractmethod
    def texts(self, start: int, stop: int) -> Texts:
        """Text of rows; only of a file that has lengths."""


def token_rows(tokens: list[list[str]], lengths: list[int]) -> list[list[str]]:
    """Rows of tokens without what follows their ends."""
    return [row[:length] for row, length in zip(tokens, lengths, strict=True)]
