"""How good predictions are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.integer]
Lengths = NDArray[np.integer]


def exact_match(predicted: Ids, target: Ids) -> NDArray[np.bool_]:
    """Which rows are right in every symbol; both int [rows, steps], 0 behind the end."""
    right: NDArray[np.bool_] = (predicted == target).all(axis=1)
    return right


def symbols_right(predicted: Ids, target: Ids, target_lengths: Lengths) -> NDArray[np.int64]:
    """How many of each target row's symbols, its end included, stand in their place in the prediction."""
    counted = np.arange(target.shape[1]) < target_lengths[:, None]
    right: NDArray[np.int64] = ((predicted == target) & counted).sum(axis=1)
    return right


def content_lengths(ids: Ids, end: int | None) -> NDArray[np.int64]:
    """Symbols of each row before its end.

    Args:
        ids: int [rows, steps].
        end: The id that ends a row; None means that padding (0) does.
    """
    steps = ids.shape[1]
    if end is None:
        used = ids != 0
        lengths = np.where(used.any(axis=1), steps - np.argmax(used[:, ::-1], axis=1), 0)
    else:
        ends = ids == end
        lengths = np.where(ends.any(axis=1), np.argmax(ends, axis=1), steps)
    return lengths.astype(np.int64)


def edit_distances(a: Ids, a_lengths: Lengths, b: Ids, b_lengths: Lengths) -> NDArray[np.int64]:
    """Levenshtein distance of each row of `a` to the same row of `b`, for all rows at once (Wagner & Fischer 1974).

    Args:
        a: int [rows, steps].
        a_lengths: How much of each row of `a` counts, int [rows].
        b: int [rows, other steps].
        b_lengths: The same for `b`.
    """
    rows = np.arange(len(a))
    previous = np.broadcast_to(np.arange(b.shape[1] + 1), (len(a), b.shape[1] + 1)).astype(np.int64)
    distance = previous[rows, b_lengths].copy()  # rows of `a` that are empty keep this
    for i in range(a.shape[1]):
        current = np.empty_like(previous)
        current[:, 0] = i + 1
        change = previous[:, :-1] + (a[:, i, None] != b)
        for j in range(b.shape[1]):
            current[:, j + 1] = np.minimum(np.minimum(current[:, j], previous[:, j + 1]) + 1, change[:, j])
        ended = a_lengths == i + 1
        distance[ended] = current[rows, b_lengths][ended]
        previous = current
    return distance
