"""Length buckets, and the order of examples in an epoch, which follows from the seed and the epoch alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_GROUPS = 512
"""Groups of lengths that the choice of buckets considers; its time is quadratic in them."""


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Return the number of mini-batches of an epoch."""
    return math.ceil(examples / batch_size)


def epoch_order(examples: int, batch_size: int, seed: int, epoch: int) -> NDArray[np.int32]:
    """Return the examples of each mini-batch of an epoch, in random order.

    Args:
        examples: Number of examples.
        batch_size: Examples of a mini-batch.
        seed: Seed; the order follows from seed and epoch alone, so that resuming needs no saved state.
        epoch: Epoch, from 0.

    Returns:
        int32 [steps, batch_size] of indices; the last batch is padded with -1.
    """
    return _pad_order(np.random.default_rng([seed, epoch]).permutation(examples), batch_size)


def stateful_order(examples: int, batch_size: int, continuing: bool) -> NDArray[np.int32]:
    """Return the examples of each mini-batch of a stateful model, whose states are carried from batch to batch.

    Args:
        examples: Number of examples.
        batch_size: Examples of a mini-batch.
        continuing: Whether each example continues the one before it. Then row i of each batch continues row i of the
            batch before: every row is a stretch of consecutive examples. Otherwise the examples come in order.

    Returns:
        int32 [steps, batch_size] of indices; -1 is no example.
    """
    order = _pad_order(np.arange(examples), batch_size)
    return order.reshape(batch_size, -1).T if continuing else order


@dataclass(frozen=True)
class Buckets:
    """Length buckets: the few shapes that mini-batches are padded to.

    Attributes:
        shapes: Padded source and target steps, int32 [buckets, 2]; neither falls from bucket to bucket, so that an
            example that fits into one fits into every later one. All examples fit into the last.
        bucket: Index of the first bucket that each example fits into, int32 [examples].
    """

    shapes: NDArray[np.int32]
    bucket: NDArray[np.int32]


def make_buckets(
    source_lengths: NDArray[np.integer], target_lengths: NDArray[np.integer], max_buckets: int = 6
) -> Buckets:
    """Return the buckets with the least padding, chosen from the lengths alone.

    Examples are sorted by the sum of source and target length and cut into runs; the shape of a run is the
    longest source and the longest target up to its end. Dynamic programming finds the cuts with the fewest padded
    steps. A resumed run computes its buckets again, so that another choice here would change its order of examples.

    Args:
        source_lengths: int [examples], at least one.
        target_lengths: int [examples], the end-of-sequence symbol included.
        max_buckets: Maximum number of buckets, each of which is compiled once.
    """
    size = source_lengths.astype(np.int32) + target_lengths.astype(np.int32)
    size //= -(-int(size.max()) // MAX_GROUPS)
    counts = np.bincount(size)
    longest = np.zeros((len(counts), 2), np.int32)
    for column, lengths in enumerate((source_lengths, target_lengths)):
        np.maximum.at(longest[:, column], size, lengths.astype(np.int32))
    longest = np.maximum.accumulate(longest)[counts > 0].astype(np.int64)
    ends = _optimal_cuts(np.cumsum(counts[counts > 0]), longest.sum(axis=1), max_buckets)
    shapes = np.unique(longest[ends], axis=0)  # in the order of the first column, and so of the second
    return Buckets(
        shapes.astype(np.int32),
        np.maximum(_first_fit(shapes[:, 0], source_lengths), _first_fit(shapes[:, 1], target_lengths)),
    )


def _first_fit(steps: NDArray[np.integer], lengths: NDArray[np.integer]) -> NDArray[np.int32]:
    """Return the first of some ascending numbers of steps that each length fits into, by its index."""
    first = np.searchsorted(steps, np.arange(int(lengths.max()) + 1)).astype(np.int32)
    found: NDArray[np.int32] = first[lengths]
    return found


def _optimal_cuts(counts: NDArray[np.int64], cost: NDArray[np.int64], max_runs: int) -> list[int]:
    """Cut a sequence of groups into runs of the least total cost.

    Args:
        counts: Cumulative number of examples up to and with each group, int64 [groups].
        cost: Cost of an example in a run that ends with the group, not falling, int64 [groups].
        max_runs: Maximum number of runs.

    Returns:
        The last group of each run.
    """
    starts = np.concatenate([[0], counts])  # examples before each group
    best = np.where(np.arange(len(starts)) == 0, 0.0, np.inf)  # least cost of the first so many groups
    choices = []
    for _ in range(min(max_runs, len(cost))):
        totals = best[:-1, None] + (counts[None, :] - starts[:-1, None]) * cost[None, :]  # [first group, last group]
        totals[np.tril_indices(len(cost), -1)] = np.inf
        choices.append(np.argmin(totals, axis=0))
        best = np.concatenate([[np.inf], totals.min(axis=0)])
    ends, last = [], len(cost) - 1
    for choice in reversed(choices):
        ends.append(last)
        last = int(choice[last]) - 1
    return ends[::-1]


def bucketed_order(
    buckets: Buckets, batch_size: int, seed: int, epoch: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the examples of each mini-batch of an epoch, with examples of similar length in the same batch.

    Examples are shuffled within their buckets and cut into as many batches as `epoch_order` makes; the batches are
    shuffled. A batch with the end of one bucket and the beginning of the next has the shape of the later one.

    Args:
        buckets: The buckets.
        batch_size: Examples of a mini-batch.
        seed: As for `epoch_order`.
        epoch: Epoch, from 0.

    Returns:
        Indices, int32 [steps, batch_size], one batch padded with -1; and the bucket of each batch, int32 [steps]. All
        rows of batch `i` fit into `buckets.shapes[bucket[i]]`, so that a training step may cut its source and target
        to these lengths and loses nothing but padding.
    """
    rng = np.random.default_rng([seed, epoch])
    examples = len(buckets.bucket)
    shuffled = rng.permutation(examples)
    bucket_of = buckets.bucket[shuffled].astype(np.uint16)  # which NumPy sorts without comparing
    order = shuffled[np.argsort(bucket_of, kind="stable")]
    steps = steps_per_epoch(examples, batch_size)
    filled = np.full(steps * batch_size, -1, np.int32)
    missing = steps * batch_size - examples
    gap = (int(rng.integers(steps)) + 1) * batch_size  # any batch may be the short one, not always the longest rows'
    filled[: gap - missing], filled[gap:] = order[: gap - missing], order[gap - missing :]
    rows = filled.reshape(steps, batch_size)[rng.permutation(steps)]
    bucket = np.where(rows >= 0, buckets.bucket[rows], 0).max(axis=1)
    return rows, bucket.astype(np.int32)


def _pad_order(order: NDArray[np.integer], batch_size: int) -> NDArray[np.int32]:
    steps = steps_per_epoch(len(order), batch_size)
    filled = np.full(steps * batch_size, -1, np.int32)
    filled[: len(order)] = order
    return filled.reshape(steps, batch_size)
