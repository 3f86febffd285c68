"""Rows of different lengths through a compiled function, in batches of few shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Batch: TypeAlias = dict[str, Any]

BATCH_ROWS = 256
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


def in_pieces(
    run: Callable[[Batch, int], Batch], whole: Batch, padded: NDArray[np.integer], rows: int, parts: int
) -> Batch:
    """Run over any number of rows, those of like length together, and put the results in the order of the rows.

    Args:
        run: Takes some rows of `whole` as tensors, and how many of them it need not finish. Of those that it did not,
            `done`, bool [rows], is false in its results, where it is there.
        whole: Arrays of as many rows each; `source` has the steps, and `lengths` how many of them count, int [rows].
        padded: To how many steps each source is cut, int [rows].
        rows: Of a batch of sources that are not long.
        parts: Rows of a batch are a multiple of it.

    Returns:
        The results but `done`, as arrays.
    """
    joined: Batch = {}
    for steps in np.unique(padded):
        batch = {**whole, "source": whole["source"][:, :steps]}
        most = max(1, rows * LONG_STEPS // max(LONG_STEPS, int(steps)))
        most += -most % parts
        waiting = np.flatnonzero(padded == steps)
        # of like length they are likely to end together
        waiting = waiting[np.argsort(whole["lengths"][waiting], kind="stable")]
        leave = most // STRAGGLERS if len(waiting) >= MANY_BATCHES * most else 0
        while len(waiting):
            left = []
            for piece in np.split(waiting, range(most, len(waiting), most)):
                results = _piece(run, batch, piece, most, leave)
                done = results.pop("done", np.ones(len(piece), bool))
                left.append(piece[~done])
                joined = joined or _empty(results, len(padded))
                for all_rows, some in zip(tf.nest.flatten(joined), tf.nest.flatten(results), strict=True):
                    all_rows[piece] = some
            waiting, leave = np.concatenate(left), 0
    return joined


def _empty(like: Batch, rows: int) -> Batch:
    """Arrays of zeros, as those but with other rows."""
    return dict(tf.nest.map_structure(lambda value: np.zeros((rows, *value.shape[1:]), value.dtype), like))


def _piece(
    run: Callable[[Batch, int], Batch], whole: Batch, rows: NDArray[np.integer], most: int, leave: int
) -> Batch:
    """One batch, filled up by its first row again, so that no row is empty."""
    filled = np.concatenate([rows, np.repeat(rows[:1], most - len(rows))])
    results = run(tf.nest.map_structure(lambda values: tf.constant(values[filled]), whole), leave)
    return dict(tf.nest.map_structure(lambda value: value.numpy()[: len(rows)], results))
