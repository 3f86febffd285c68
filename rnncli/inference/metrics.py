"""How good predictions are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.integer]
Lengths = NDArray[np.integer]
Alignment = list[tuple[int | None, int | None]]
"""Ids of one row beside those of another; None where only the other row has one."""

CELLS = 2**20
"""Of tables that are held at once, so that memory does not grow with the number of rows or resamples."""
RESAMPLES = 1000


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
    """Levenshtein distance of each row of `a` to the same row of `b`.

    Args:
        a: int [rows, steps].
        a_lengths: How much of each row of `a` counts, int [rows].
        b: int [rows, other steps].
        b_lengths: The same for `b`.
    """
    found = np.zeros(len(a), np.int64)
    steps, others = int(a_lengths.max(initial=0)), int(b_lengths.max(initial=0))
    for rows in _pieces(len(a), others + 1):
        lengths, other_lengths = a_lengths[rows], b_lengths[rows]
        for i, edits in enumerate(_edits(a[rows, :steps], b[rows, :others])):
            ended = np.flatnonzero(lengths == i)
            found[rows.start + ended] = edits[other_lengths[ended], ended]
    return found


def alignments(a: Ids, a_lengths: Lengths, b: Ids, b_lengths: Lengths) -> Iterator[Alignment]:
    """For each row a way from `a` to `b` of as few edits as their distance; arguments as for `edit_distances`.

    Where there are several, symbols stand beside each other rather than alone, from the end on.
    """
    steps, others = int(a_lengths.max(initial=0)), int(b_lengths.max(initial=0))
    for rows in _pieces(len(a), (steps + 1) * (others + 1)):
        tables = np.stack(list(_edits(a[rows, :steps], b[rows, :others])))
        for row, table in zip(range(rows.start, rows.stop), np.moveaxis(tables, 2, 0), strict=True):
            yield _way_back(table, a[row, : a_lengths[row]].tolist(), b[row, : b_lengths[row]].tolist())


def _pieces(rows: int, cells: int) -> Iterator[slice]:
    """The rows in pieces, each row of so many cells."""
    size = max(1, CELLS // cells)
    for begin in range(0, rows, size):
        yield slice(begin, min(begin + size, rows))


def _edits(a: Ids, b: Ids) -> Iterator[NDArray[np.int32]]:
    """For each beginning of `a`, the edits from it to each beginning of `b` (Wagner & Fischer 1974).

    Yields:
        int32 [steps of b + 1, rows], as often as `a` has steps and once more.
    """
    above, beside = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    edits = np.tile(np.arange(len(beside) + 1, dtype=np.int32)[:, None], len(b))
    yield edits
    for symbols in above:
        changed = edits[:-1] + (symbols != beside)
        edits = edits + 1  # what only a has
        np.minimum(edits[1:], changed, out=edits[1:])
        for j in range(len(beside)):  # what only b has
            np.minimum(edits[j + 1], edits[j] + 1, out=edits[j + 1])
        yield edits


def _way_back(table: NDArray[np.int32], a: list[int], b: list[int]) -> Alignment:
    i, j = len(a), len(b)
    way: Alignment = []
    while i or j:
        if i and j and table[i, j] == table[i - 1, j - 1] + (a[i - 1] != b[j - 1]):
            i, j = i - 1, j - 1
            way.append((a[i], b[j]))
        elif i and table[i, j] == table[i - 1, j] + 1:
            i -= 1
            way.append((a[i], None))
        else:
            j -= 1
            way.append((None, b[j]))
    return way[::-1]


def rate(part: int, whole: int) -> float:
    """Their ratio; where the whole is nothing, the part itself, so that edits of empty targets are not lost."""
    return part / max(whole, 1)


def bootstrap_interval(parts: NDArray[np.integer], wholes: NDArray[np.integer], seed: int = 0) -> tuple[float, float]:
    """The 95% interval of `rate(parts.sum(), wholes.sum())`, were other examples drawn: percentiles of the bootstrap.

    Efron 1979, "Bootstrap Methods: Another Look at the Jackknife". How often a resample has each of `n` examples is
    multinomial; examples with the same part and whole count alike, so they are drawn as one, with their share of `n`.

    Args:
        parts: Of each example, such as its edits; int [examples], at least one.
        wholes: Of each example, such as its symbols; int [examples].
        seed: The same seed draws the same resamples, in whatever order the examples are.
    """
    kinds, counts = np.unique(np.stack([parts, wholes]), axis=1, return_counts=True)
    generator = np.random.default_rng(seed)
    size = max(1, CELLS // len(counts))
    rates: list[NDArray[np.float64]] = []
    for begin in range(0, RESAMPLES, size):
        drawn = generator.multinomial(len(parts), counts / len(parts), size=min(size, RESAMPLES - begin))
        part, whole = kinds @ drawn.T
        rates.append(part / np.maximum(whole, 1))
    low, high = np.percentile(np.concatenate(rates), [2.5, 97.5]).tolist()
    return low, high
