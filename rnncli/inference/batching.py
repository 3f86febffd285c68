"""Run a function over rows of different lengths, in batches of few shapes. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rnncli.data.padding import RaggedRows

Batch: TypeAlias = dict[str, Any]
"""Arrays of [rows, ...] by name; a value may be such a dictionary itself."""

BATCH_ROWS = 192
"""Rows of every full batch; each hypothesis of a source is a row. Smaller batches are filled up, so that few shapes
are compiled, and so that results do not depend on the other rows of a batch."""

LONG_STEPS = 128
"""Padded steps above which batches have fewer rows in proportion, so that long sources fit into memory."""

MIN_PADDED_STEPS = 8
"""Sources are padded to this number of steps or 1.5, 2, 3, 4, 6, ... times it: few shapes to compile, and at most a
third of the steps is padding."""


def padded_lengths(max_steps: int, features: int = 0) -> NDArray[np.int32]:
    """Return the lengths that sources may be padded to, in ascending order; the last is `max_steps`.

    Args:
        max_steps: The maximum length.
        features: Steps that each source begins with, which no recurrent layer reads; see `Sizes.tags`.
    """
    if features:
        return padded_lengths(max_steps - features) + np.int32(features)
    powers = [MIN_PADDED_STEPS << n for n in range(max_steps.bit_length())]
    between = [steps + steps // 2 for steps in powers]
    return np.array(sorted({max_steps, *(steps for steps in (*powers, *between) if steps < max_steps)}), np.int32)


def pad_to(source: NDArray[Any], steps: int) -> NDArray[Any]:
    """Return sources, [rows, steps, ...], padded with zeros to so many steps."""
    missing = steps - source.shape[1]
    return np.pad(source, ((0, 0), (0, missing), *((0, 0),) * (source.ndim - 2))) if missing else source


class BatchRows(NamedTuple):
    """The rows of one batch.

    Attributes:
        rows: Row numbers, int [rows].
        steps: Steps that their sources are padded to.
        size: Rows of the batch; it is filled up with copies of the first row, so that no row is empty.
    """

    rows: NDArray[np.integer]
    steps: int
    size: int


def run_in_batches(
    run: Callable[[Batch], Batch],
    inputs: Batch,
    padded: NDArray[np.integer],
    batch_rows: int,
    workers: int,
    max_rows: int = BATCH_ROWS,
    *,
    filled: bool = True,
) -> Batch:
    """Run a function over any number of rows, rows of similar length together.

    Args:
        run: Takes a batch of `inputs` to arrays. It is called from several threads.
        inputs: Arrays of equally many rows; among them `source`, [rows, steps, ...], and `lengths`, int [rows]. A
            batch alone is padded to its steps, so that memory follows the lengths of the sources.
        padded: Steps that each source is padded to, int [rows].
        batch_rows: Rows of a batch up to `LONG_STEPS` steps.
        workers: Batches to run at a time, each in a thread; 1 runs them in the calling thread.
        max_rows: Maximum rows of any batch.
        filled: True to fill small batches up to the size of the others, where each size is compiled.

    Returns:
        The results as arrays, in the order of the rows.
    """
    outputs: Batch = {}
    batches = list(_split_rows(inputs["lengths"], padded, batch_rows, max_rows))
    with _mapping(min(workers, len(batches))) as each:
        for batch, results in zip(batches, each(partial(_run_batch, run, inputs, filled), batches), strict=True):
            outputs = outputs or _empty_arrays(results, len(padded))
            _set_rows(outputs, batch.rows, results)
    return outputs


def _split_rows(
    lengths: NDArray[np.integer], padded: NDArray[np.integer], batch_rows: int, max_rows: int
) -> Iterator[BatchRows]:
    by_length = np.argsort(lengths, kind="stable")  # sources of similar length tend to end at similar steps
    # longest first, so that none of them runs alone at the end; `np.unique` would import all of `numpy.ma`
    for steps in sorted(set(padded.tolist()), reverse=True):
        size = max(1, min(max_rows, batch_rows * LONG_STEPS // max(LONG_STEPS, steps)))
        equal = by_length[padded[by_length] == steps]
        for rows in np.split(equal, range(size, len(equal), size)):
            yield BatchRows(rows, steps, size)


@contextmanager
def _mapping(workers: int) -> Iterator[Callable[..., Iterator[Batch]]]:
    """Provide a `map` that makes several calls at a time; calls that have not begun when it ends are dropped."""
    if workers == 1:
        yield map
        return
    pool = ThreadPoolExecutor(workers, "rnncli-decoder")
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def map_arrays(function: Callable[[Any], Any], batch: Batch) -> Batch:
    """Return a batch with a function applied to each of its arrays."""
    return {
        name: map_arrays(function, value) if isinstance(value, dict) else function(value)
        for name, value in batch.items()
    }


def _empty_arrays(like: Batch, rows: int) -> Batch:
    return map_arrays(lambda value: np.zeros((rows, *value.shape[1:]), value.dtype), like)


def _set_rows(outputs: Batch, rows: NDArray[np.integer], results: Batch) -> None:
    for name, value in results.items():
        if isinstance(value, dict):
            _set_rows(outputs[name], rows, value)
        else:
            outputs[name][rows] = value


def _run_batch(run: Callable[[Batch], Batch], inputs: Batch, filled: bool, batch: BatchRows) -> Batch:
    count, rows = len(batch.rows), batch.rows
    if filled:
        rows = np.concatenate([rows, np.repeat(rows[:1], batch.size - count)])
    others = {name: values for name, values in inputs.items() if name != "source"}
    selected = map_arrays(lambda values: values[rows], others)
    selected["source"] = _padded(inputs["source"], rows, batch.steps)
    return map_arrays(lambda value: value[:count], run(selected))


def _padded(source: NDArray[Any] | RaggedRows, rows: NDArray[np.integer], steps: int) -> NDArray[Any]:
    """Return rows of sources, padded to so many steps."""
    if isinstance(source, RaggedRows):
        return source.padded(rows.tolist(), steps)
    return pad_to(source[:, :steps][rows], steps)
