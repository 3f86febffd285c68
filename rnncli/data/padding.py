"""Rows of different lengths as one padded array."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
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

    def ragged(self, vocabulary_size: int) -> tuple[RaggedRows, Ids]:
        """Return the rows without padding, of the smallest type that holds them, and their lengths, int32 [rows]."""
        lengths = np.array(self._lengths, np.int32)
        return RaggedRows(np.frombuffer(self._ids, np.int32).astype(id_type(vocabulary_size)), lengths), lengths


MIN_RAGGED, MAX_PADDING = 2**24, 8
"""Ids of a padded array, and how many times as many as those of its rows, above which rows stay ragged."""


class RaggedRows:
    """Rows of ids of which few are much longer than the others: padded, they would take far more memory.

    They are read like a padded array, but a row alone has its own length, and rows are padded a batch at a time.

    Args:
        ids: The ids of all rows, one behind the other.
        lengths: The length of each row.
    """

    def __init__(self, ids: Ids, lengths: Ids) -> None:
        self._ids, self._lengths = ids, lengths.astype(np.int64)
        self._ends = np.cumsum(self._lengths)
        self.dtype, self.ndim = ids.dtype, 2
        self.shape = len(lengths), int(lengths.max(initial=1))

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[Ids]:
        return map(self._row, range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        """Return a row, a part of it (`rows[3, :5]`), or some rows, which stay ragged."""
        if isinstance(index, tuple):
            return self._row(index[0])[index[1]]
        if isinstance(index, int | np.integer):
            return self._row(index)
        chosen = np.arange(len(self))[index].tolist()
        ids = np.concatenate([self._row(row) for row in chosen] or [self._ids[:0]])
        return RaggedRows(ids, self._lengths[chosen])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Ids:
        """Return all rows as one padded array."""
        del copy
        return self.padded(range(len(self)), self.shape[1]).astype(dtype or self.dtype)

    def padded(self, rows: Iterable[int], steps: int) -> Ids:
        """Return rows as an array, [rows, steps]; longer ones are cut."""
        found = [self._row(row)[:steps] for row in rows]
        padded = np.zeros((len(found), steps), self.dtype)
        for row, ids in zip(padded, found, strict=True):
            row[: len(ids)] = ids
        return padded

    def _row(self, row: int | np.integer) -> Ids:
        return self._ids[self._ends[row] - self._lengths[row] : self._ends[row]]


def pad_sources(sizes: Sizes, sources: Sequence[Steps]) -> tuple[NDArray[Any], Ids]:
    """Return sources as in `Examples`, padded to the longest, and their lengths, int32 [sources].

    Where a few are much longer than the others, they are `RaggedRows`, in place of an array.
    """
    if sizes.features is None:
        flat = FlatRows()
        for row in cast(Sequence[Sequence[int]], sources):
            flat.append(row)
        rows, lengths = flat.ragged(sizes.source_symbols)
        if MIN_RAGGED < len(rows) * rows.shape[1] > MAX_PADDING * int(lengths.sum()):
            return cast(NDArray[Any], rows), lengths  # which can do what is done with the array
        return flat.padded(sizes.source_symbols)
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
