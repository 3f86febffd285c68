"""Rows of different lengths as one padded array."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from rnncli.data.examples import Ids, Sizes, Steps


def id_type(vocabulary_size: int) -> type[np.integer[Any]]:
    """Return the smallest type that holds the ids of so many symbols: uint8, uint16 or int32."""
    return np.uint8 if vocabulary_size <= 2**8 else np.uint16 if vocabulary_size <= 2**16 else np.int32


class FlatRows:
    """Rows of ids in one array, which takes less memory than a list of lists."""

    def __init__(self) -> None:
        self._ids, self._lengths = array("i"), array("i")

    def __len__(self) -> int:
        return len(self._lengths)

    def append(self, ids: Sequence[int]) -> None:
        """Add a row."""
        self._ids.extend(ids)
        self._lengths.append(len(ids))

    def padded(self, vocabulary_size: int, steps: int | None = None) -> tuple[Ids, Ids]:
        """Return the rows as one array of the smallest type that holds them, and their lengths.

        Args:
            vocabulary_size: Number of symbols; each id is less.
            steps: Padded length; None is the length of the longest row.

        Returns:
            uint8, uint16 or int32 [rows, steps], and int32 [rows].
        """
        lengths = np.array(self._lengths, np.int32)
        shape = (len(lengths), int(lengths.max(initial=1)) if steps is None else steps)
        rows: Ids = np.zeros(shape, id_type(vocabulary_size))
        is_filled = np.arange(rows.shape[1]) < lengths[:, None]
        rows[is_filled] = np.frombuffer(self._ids, np.int32)
        return rows, lengths


def pad_ids(rows: Iterable[Sequence[int]], vocabulary_size: int, steps: int | None = None) -> tuple[Ids, Ids]:
    """Return ids as one array, and the rows' lengths; see `FlatRows.padded`."""
    flat = FlatRows()
    for row in rows:
        flat.append(row)
    return flat.padded(vocabulary_size, steps)


def pad_sources(sizes: Sizes, sources: Sequence[Steps]) -> tuple[NDArray[Any], Ids]:
    """Return sources as one array, as in `Examples`, padded to the longest, and their lengths, int32 [sources]."""
    if sizes.features is None:
        return pad_ids(cast(Sequence[Sequence[int]], sources), sizes.source_symbols)
    return pad_steps(sources, max(map(len, sources), default=1), sizes.features)


def pad_steps(
    rows: Sequence[Steps], steps: int, features: int | None = None
) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Return rows padded to a length, int32 [rows, steps] or float32 [rows, steps, features], and their lengths."""
    padded: NDArray[Any] = np.zeros((len(rows), steps), np.int32)
    if features is not None:
        padded = np.zeros((len(rows), steps, features), np.float32)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return padded, np.array([len(row) for row in rows], np.int32)
