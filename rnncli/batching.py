"""The order of examples in training, from the seed and the epoch alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


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


def _filled_up(order: NDArray[np.integer], batch_size: int) -> NDArray[np.int32]:
    steps = steps_per_epoch(len(order), batch_size)
    filled = np.full(steps * batch_size, -1, np.int32)
    filled[: len(order)] = order
    return filled.reshape(steps, batch_size)
