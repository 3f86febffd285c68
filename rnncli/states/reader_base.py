"""The interface of readers: shapes first, then rows on demand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Stored:
    """The shape of an array in a file, with the examples, and its type."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Texts:
    """The text of examples, as in a `StateBatch`."""

    sources: list[str]
    predictions: list[str]
    source_tokens: list[list[str]]
    target_tokens: list[list[str]]


class StateSource(ABC):
    """A file of states that holds as much as it declares; its contents are still untrusted.

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
        """Return rows of an array or of lengths, of the stored type."""

    @abstractmethod
    def texts(self, start: int, stop: int) -> Texts:
        """Return the text of rows; only for files with lengths."""


def token_rows(tokens: list[list[str]], lengths: list[int]) -> list[list[str]]:
    """Return rows of tokens without padding."""
    return [row[:length] for row, length in zip(tokens, lengths, strict=True)]
