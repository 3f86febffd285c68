"""Rows of different lengths through a compiled function, in batches of few shapes, some side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Batch: TypeAlias = dict[str, Any]

BATCH_ROWS = 192
"""Rows of every batch, filled up where there are fewer: few shapes are compiled, each once, and what a row gets never
depends on which rows stand beside it. Each hypothesis of a source is a row."""

LONG_STEPS = 128
"""Of sources that are padded to more, batches have as many fewer rows, so that long ones fit into memory."""

SHORTEST_STEPS = 8
"""Sources are padded to so many steps or 1.5, 2, 3, 4, 6, ... times as many, and at most to the longest there may
be: few shapes to compile, and at most a third of the steps is padding."""

STRAGGLERS, MANY_BATCHES = 16, 4
"""Of so many rows one is not waited for where it takes far longer than the others (`rnncli.decoding.Waits`) and there
are that many batches: such rows are run again at the end, among each other, so that an answer that does not end keeps
only its like waiting."""


def ladder(most: int) -> NDArray[np.int32]:
    """To how many steps sources may be padded, where the longest has `most`; see `SHORTEST_STEPS`."""
    steps = [SHORTEST_STEPS << n for n in range(most.bit_length())]
    between = [step + step // 2 for step in steps]
    return np.array(sorted({most, *(step for step in (*steps, *between) if step < most)}), np.int32)


class Piece(NamedTuple):
    """Some rows that are run together.

    Attributes:
        rows: Their numbers, int [rows].
        steps: To how many steps their sources are padded.
        size: Rows of the batch, which is filled up by the first of them again, so that no row is empty.
        leave: How many need not be finished.
    """

    rows: NDArray[np.integer]
    steps: int
    size: int
    leave: int


def in_pieces(
    run: Callable[[Batch, int], Batch],
    whole: Batch,
    padded: NDArray[np.integer],
    rows: int,
    most: int,
    workers: int,
) -> Batch:
    """Run over any number of rows, those of like length together, and put the results in the order of the rows.

    Args:
        run: Takes some rows of `whole`, and how many of them it need not finish, to tensors. Of those that it did
            not, `done`, bool [rows], is false in its results, where it is there. It is called from several threads.
        whole: Arrays of as many rows each; `source` has the steps, and `lengths` how many of them count, int [rows].
        padded: To how many steps each source is cut, int [rows].
        rows: Of a batch of sources that are not long; of long ones there are as many fewer.
        most: Rows of any batch.
        workers: So many batches at a time, a thread each; one is run in the thread that asks.

    Returns:
        The results but `done`, as arrays.
    """
    joined: Batch = {}
    waiting = np.argsort(whole["lengths"], kind="stable")  # of like length they are likely to end together
    pieces = list(_cut(waiting, padded, rows, most, leave=True))
    with _side_by_side(min(workers, len(pieces))) as each:
        while pieces:
            left = []
            for piece, results in zip(pieces, each(partial(_run_piece, run, whole), pieces), strict=True):
                left.append(piece.rows[~results.pop("done", np.ones(len(piece.rows), bool))])
                joined = joined or _empty(results, len(padded))
                for all_rows, some in zip(tf.nest.flatten(joined), tf.nest.flatten(results), strict=True):
                    all_rows[piece.rows] = some
            pieces = list(_cut(np.concatenate(left), padded, rows, most, leave=False))
    return joined


def _cut(
    waiting: NDArray[np.integer], padded: NDArray[np.integer], rows: int, most: int, leave: bool
) -> Iterator[Piece]:
    for steps in np.unique(padded[waiting])[::-1].tolist():  # the longest first, so that none of them ends alone
        size = max(1, min(most, rows * LONG_STEPS // max(LONG_STEPS, steps)))
        of_like_length = waiting[padded[waiting] == steps]
        may_leave = leave and len(of_like_length) >= MANY_BATCHES * size
        for some in np.split(of_like_length, range(size, len(of_like_length), size)):
            yield Piece(some, steps, size, size // STRAGGLERS if may_leave else 0)


@contextmanager
def _side_by_side(workers: int) -> Iterator[Callable[..., Iterator[Batch]]]:
    """As `map`, with so many calls at a time; what has not begun when it ends is not called."""
    if workers == 1:
        yield map
        return
    pool = ThreadPoolExecutor(workers, "rnncli-decoder")
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def _empty(like: Batch, rows: int) -> Batch:
    """Arrays of zeros, as those but with other rows."""
    return dict(tf.nest.map_structure(lambda value: np.zeros((rows, *value.shape[1:]), value.dtype), like))


def _run_piece(run: Callable[[Batch, int], Batch], whole: Batch, piece: Piece) -> Batch:
    count = len(piece.rows)
    filled = np.concatenate([piece.rows, np.repeat(piece.rows[:1], piece.size - count)])
    cut = {**whole, "source": whole["source"][:, : piece.steps]}
    batch = dict(tf.nest.map_structure(lambda values: values[filled], cut))
    return dict(tf.nest.map_structure(lambda value: value.numpy()[:count], run(batch, piece.leave)))
