"""The order of examples in training, from the seed and the epoch alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_SIZES = 512
"""Lengths that are told apart where buckets are chosen; the time for that goes with its square."""


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Batches that hold every example once."""
    return math.ceil(examples / batch_size)


def epoch_order(examples: int, batch_size: int, seed: int, epoch: int) -> NDArray[np.int32]:
    """Which examples each batch of an epoch holds.

    Args:
        examples: How many there are.
        batch_size: Rows of a batch.
        seed: With the epoch it decides the order, and nothing else does: no state has to be kept to resume.
        epoch: From 0.

    Returns:
        int32 [steps, batch_size]; the last batch is filled up with -1.
    """
    return _filled_up(np.random.default_rng([seed, epoch]).permutation(examples), batch_size)


def carried_order(examples: int, batch_size: int, continuing: bool) -> NDArray[np.int32]:
    """Which examples each batch holds where states go on from batch to batch.

    Args:
        examples: How many there are.
        batch_size: Rows of a batch.
        continuing: Whether each example goes on where the one before it ended. Then so does row i of each batch with
            row i of the batch before: there are as many stretches of consecutive examples as rows. Otherwise the
            examples come in order.

    Returns:
        int32 [steps, batch_size]; -1 is no example.
    """
    order = _filled_up(np.arange(examples), batch_size)
    return order.reshape(batch_size, -1).T if continuing else order


@dataclass(frozen=True)
class Buckets:
    """The few shapes that batches of examples of different lengths are padded to.

    Attributes:
        shapes: Padded source and target steps, int32 [buckets, 2]; no bucket is shorter than the one before it on
            either side, so that what fits into one fits into every later one. The last holds every example.
        bucket: The first bucket that each example fits into, int32 [examples].
    """

    shapes: NDArray[np.int32]
    bucket: NDArray[np.int32]


def make_buckets(source_lengths: NDArray[np.integer], target_lengths: NDArray[np.integer], most: int = 6) -> Buckets:
    """Shapes that leave little padding to compute, chosen from the lengths alone.

    Examples are ordered by their source and target steps together and cut into runs; a run's shape is the longest
    source and the longest target up to its end. The cuts are those with the fewest steps in all, found by dynamic
    programming.

    Args:
        source_lengths: int [examples], at least one.
        target_lengths: int [examples], the end-of-sequence symbol counted.
        most: Shapes at most, each of which is compiled once.
    """
    size = source_lengths.astype(np.int64) + target_lengths
    size //= -(-int(size.max()) // MOST_SIZES)
    sizes, place, counts = np.unique(size, return_inverse=True, return_counts=True)
    longest = np.zeros((len(sizes), 2), np.int64)
    for column, lengths in enumerate((source_lengths, target_lengths)):
        np.maximum.at(longest[:, column], place, lengths)
    longest = np.maximum.accumulate(longest)
    ends = _cheapest_ends(np.cumsum(counts), longest.sum(axis=1), most)
    shapes = np.unique(longest[ends], axis=0)  # in the order of the first column, and so of the second
    fits = [np.searchsorted(shapes[:, i], lengths) for i, lengths in enumerate((source_lengths, target_lengths))]
    return Buckets(shapes.astype(np.int32), np.maximum(*fits).astype(np.int32))


def _cheapest_ends(before: NDArray[np.int64], cost: NDArray[np.int64], most: int) -> list[int]:
    """Where to cut a row of groups into at most so many runs, so that all examples together cost least.

    Args:
        before: Examples in each group and those before it, int64 [groups].
        cost: Of an example in a run that ends with the group; never falls, int64 [groups].
        most: Runs.

    Returns:
        The last group of each run.
    """
    starts = np.concatenate([[0], before])  # examples before each group
    best = np.where(np.arange(len(starts)) == 0, 0.0, np.inf)  # cheapest way to have so many groups in runs
    choices = []
    for _ in range(min(most, len(cost))):
        totals = best[:-1, None] + (before[None, :] - starts[:-1, None]) * cost[None, :]  # [first group, last group]
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
    """Which examples each batch of an epoch holds where examples of similar length share a batch.

    Examples are shuffled within their buckets, cut into as many batches as `epoch_order` makes, and the batches are
    shuffled. Where a batch has the end of one bucket and the beginning of the next, it has the later one's shape. The
    seed and the epoch alone decide, so that no state has to be kept to resume.

    Args:
        buckets: Of the examples.
        batch_size: Rows of a batch.
        seed: As for `epoch_order`.
        epoch: From 0.

    Returns:
        The examples, int32 [steps, batch_size], every one once, one batch filled up with -1; and the bucket of each
        batch, int32 [steps]. All rows of batch `i` fit into `buckets.shapes[bucket[i]]`, so that a training step may
        cut its source to so many steps, its target to so many, and loses nothing but padding.
    """
    rng = np.random.default_rng([seed, epoch])
    examples = len(buckets.bucket)
    shuffled = rng.permutation(examples)
    order = shuffled[np.argsort(buckets.bucket[shuffled], kind="stable")]
    steps = steps_per_epoch(examples, batch_size)
    filled = np.full(steps * batch_size, -1, np.int32)
    missing = steps * batch_size - examples
    gap = (int(rng.integers(steps)) + 1) * batch_size  # any batch may be the short one, not always the longest rows'
    filled[: gap - missing], filled[gap:] = order[: gap - missing], order[gap - missing :]
    rows = filled.reshape(steps, batch_size)[rng.permutation(steps)]
    bucket = np.where(rows >= 0, buckets.bucket[rows], 0).max(axis=1)
    return rows, bucket.astype(np.int32)


def _filled_up(order: NDArray[np.integer], batch_size: int) -> NDArray[np.int32]:
    steps = steps_per_epoch(len(order), batch_size)
    filled = np.full(steps * batch_size, -1, np.int32)
    filled[: len(order)] = order
    return filled.reshape(steps, batch_size)
