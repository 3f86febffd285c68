"""The rows of mapped examples, read from their files for each call of the training step."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncli.data.examples import Examples
from rnncli.data.length_bucketing import Buckets
from rnncli.data.mapped_rows import MappedRows

MAX_FED_ROWS, MAX_FED_BYTES = 2**16, 2**23
"""The maximum number of rows, and of bytes of their ids, that are handed to XLA's loop in one call: enough for a long
call, and little to copy for a short one."""


class FedSteps(NamedTuple):
    """The mini-batches of some steps: rows of one worker, and what is known of the whole batches.

    Attributes:
        source: int [steps, own rows, source steps].
        source_lengths: int32 [steps, own rows].
        target: int [steps, own rows, target steps].
        target_lengths: int32 [steps, own rows]; 0 for padding rows.
        tokens: The number of target symbols in the whole batch, float32 [steps].
        bucket: The length bucket of the batch, int32 [steps].
    """

    source: NDArray[Any]
    source_lengths: NDArray[np.int32]
    target: NDArray[Any]
    target_lengths: NDArray[np.int32]
    tokens: NDArray[np.float32]
    bucket: NDArray[np.int32]


class RowFeed:
    """Reads the rows of mini-batches that a worker computes; other rows of the files are not touched.

    Args:
        examples: The training examples, whose source and target are mapped.
        buckets: The length buckets; None if there are none.
        own_rows: The places of this worker's rows in a mini-batch, int32 [own rows].
    """

    def __init__(self, examples: Examples, buckets: Buckets | None, own_rows: NDArray[np.int32]) -> None:
        self.examples, self.buckets, self.own_rows = examples, buckets, own_rows

    @classmethod
    def of(cls, examples: Examples, buckets: Buckets | None, own_rows: NDArray[np.int32]) -> RowFeed | None:
        """Return the feed of mapped examples; None for examples in memory."""
        return cls(examples, buckets, own_rows) if isinstance(examples.source, MappedRows) else None

    def max_steps(self, rows: int, limit: int) -> int:
        """Return the maximum number of steps of a call.

        Args:
            rows: The mini-batch size.
            limit: The most that it may be.
        """
        size = sum(array.dtype.itemsize * array.shape[1] for array in (self.examples.source, self.examples.target))
        return max(1, min(limit, MAX_FED_ROWS // rows, MAX_FED_BYTES // (size * len(self.own_rows))))

    def __call__(self, rows: NDArray[np.int32], steps: int | None) -> FedSteps:
        """Return the mini-batches of some steps.

        Args:
            rows: Row numbers of the examples, int32 [batches, rows]; -1 is padding.
            steps: The number of steps of the result; those behind the batches are zeros. None is that of the batches.
        """
        examples, real = self.examples, rows >= 0
        rows = np.maximum(rows, 0)
        lengths = np.where(real, examples.target_lengths[rows], 0).astype(np.int32)
        bucket = np.zeros(len(rows), np.int32)
        if self.buckets is not None:
            bucket = np.where(real, self.buckets.bucket[rows], 0).max(axis=1)
        own = rows[:, self.own_rows]
        found = FedSteps(
            _read(examples.source, own),
            examples.source_lengths[own].astype(np.int32),
            _read(examples.target, own),
            lengths[:, self.own_rows],
            lengths.sum(axis=1).astype(np.float32),
            bucket,
        )
        return found if steps is None else FedSteps(*(_extended(values, steps) for values in found))


def _read(side: NDArray[Any], rows: NDArray[np.int32]) -> NDArray[Any]:
    """Return rows of one side, int [steps, rows, symbols]."""
    return np.asarray(side[rows.reshape(-1)]).reshape(*rows.shape, side.shape[1])


def _extended(values: NDArray[Any], steps: int) -> NDArray[Any]:
    """Return values with zeros for further steps."""
    extended = np.zeros((steps, *values.shape[1:]), values.dtype)
    extended[: len(values)] = values
    return extended
