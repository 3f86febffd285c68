"""Rows of different lengths as one padded array."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.data.examples import Ids, Sizes, Steps


def pad_ids(rows: Sequence[Sequence[int]], vocabulary_size: int, steps: int | None = None) -> tuple[Ids, Ids]:
    """Return ids as one array of the smallest type that holds them, and the rows' lengths.

    Args:
        rows: Ids, each less than the vocabulary size.
        vocabulary_size: Number of symbols.
        steps: Padded length; None is the length of the longest row.

    Returns:
        uint8, uint16 or int32 [rows, steps], and int32 [rows].
    """
    lengths = np.array([len(row) for row in rows], np.int32)
    dtype = np.uint8 if vocabulary_size <= 2**8 else np.uint16 if vocabulary_size <= 2**16 else np.int32
    array: Ids = np.zeros((len(rows), int(lengths.max(initial=1)) if steps is None else steps), dtype)
    is_filled = np.arange(array.shape[1]) < lengths[:, None]
    array[is_filled] = np.fromiter(chain.from_iterable(rows), dtype, int(lengths.sum()))
    return array, lengths


def pad_sources(sizes: Sizes, sources: Sequence[Steps]) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Return sources as one array, as in `Examples`, padded to the longest, and their lengths, int32 [sources]."""
    return pad_steps(sources, max(map(len, sources), default=1), sizes.features)


def pad_steps(
    rows: Sequence[Steps], steps: int, features: int | None = None
) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Return rows padded to a length, int32 [rows, steps] or float32 [rows, steps, features], and their lengths."""
    array: NDArray[Any] = np.zeros((len(rows), steps), np.int32)
    if features is not None:
        array = np.zeros((len(rows), steps, features), np.float32)
    for number, row in enumerate(rows):
        array[number, : len(row)] = row
    return array, np.array([len(row) for row in rows], np.int32)
