"""Levenshtein distances and alignments of many pairs of sequences at once (Wagner & Fischer 1974)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.integer]
Lengths = NDArray[np.integer]
Alignment = list[tuple[int | None, int | None]]
"""Pairs of aligned ids; None on the side that has a gap."""

MAX_TABLE_CELLS = 2**20
"""Cells of dynamic-programming tables held at once; bounds memory for any number of rows."""


def edit_distances(
    a: Ids, a_lengths: Lengths, b: Ids, b_lengths: Lengths, max_cells: int = MAX_TABLE_CELLS
) -> NDArray[np.int64]:
    """Return the Levenshtein distance of each row of `a` to the same row of `b`, int64 [rows].

    Args:
        a: int [rows, steps].
        a_lengths: Length of each row of `a`; ids behind it do not count; int [rows].
        b: int [rows, other steps].
        b_lengths: Length of each row of `b`; int [rows].
        max_cells: Table cells held at once.
    """
    distances = np.zeros(len(a), np.int64)
    a_steps, b_steps = int(a_lengths.max(initial=0)), int(b_lengths.max(initial=0))
    for rows in _row_slices(len(a), b_steps + 1, max_cells):
        a_ends, b_ends = a_lengths[rows], b_lengths[rows]
        for i, row_distances in enumerate(_table_rows(a[rows, :a_steps], b[rows, :b_steps])):
            ended = np.flatnonzero(a_ends == i)
            distances[rows.start + ended] = row_distances[b_ends[ended], ended]
    return distances


def alignments(
    a: Ids, a_lengths: Lengths, b: Ids, b_lengths: Lengths, max_cells: int = MAX_TABLE_CELLS
) -> Iterator[Alignment]:
    """Yield an alignment of each row of `a` with the same row of `b` that has the fewest edits.

    Of several, the one that prefers substitutions to gaps, seen from the end of the rows.

    Args:
        a: int [rows, steps].
        a_lengths: As for `edit_distances`.
        b: int [rows, other steps].
        b_lengths: As for `edit_distances`.
        max_cells: Table cells held at once.
    """
    a_steps, b_steps = int(a_lengths.max(initial=0)), int(b_lengths.max(initial=0))
    for rows in _row_slices(len(a), (a_steps + 1) * (b_steps + 1), max_cells):
        tables = np.stack(list(_table_rows(a[rows, :a_steps], b[rows, :b_steps])))
        for row, table in zip(range(rows.start, rows.stop), np.moveaxis(tables, 2, 0), strict=True):
            yield _backtrace(table, a[row, : a_lengths[row]].tolist(), b[row, : b_lengths[row]].tolist())


def _row_slices(rows: int, cells_per_row: int, max_cells: int) -> Iterator[slice]:
    size = max(1, max_cells // cells_per_row)
    for begin in range(0, rows, size):
        yield slice(begin, min(begin + size, rows))


def _table_rows(a: Ids, b: Ids) -> Iterator[NDArray[np.int32]]:
    """Yield, for each prefix of `a` from the empty one on, its distances to all prefixes of `b`.

    Yields:
        int32 [steps of b + 1, rows]; once more than `a` has steps.
    """
    a_steps, b_steps = np.ascontiguousarray(a.T), np.ascontiguousarray(b.T)
    distances = np.tile(np.arange(len(b_steps) + 1, dtype=np.int32)[:, None], len(b))
    yield distances
    for symbols in a_steps:
        substituted = distances[:-1] + (symbols != b_steps)
        distances = distances + 1  # deletions
        np.minimum(distances[1:], substituted, out=distances[1:])
        for j in range(len(b_steps)):  # insertions
            np.minimum(distances[j + 1], distances[j] + 1, out=distances[j + 1])
        yield distances


def _backtrace(table: NDArray[np.int32], a: list[int], b: list[int]) -> Alignment:
    i, j = len(a), len(b)
    pairs: Alignment = []
    while i or j:
        if i and j and table[i, j] == table[i - 1, j - 1] + (a[i - 1] != b[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((a[i], b[j]))
        elif i and table[i, j] == table[i - 1, j] + 1:
            i -= 1
            pairs.append((a[i], None))
        else:
            j -= 1
            pairs.append((None, b[j]))
    return pairs[::-1]
