"""The order of examples in training, from the seed and the epoch alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Batches that hold every example once."""
    return math.ceil(examples / batch_size)


def epoch_order(examples: int, batch_size: int, seed: int, epoch: int, shuffle: bool = True) -> NDArray[np.int32]:
    """Which examples each batch of an epoch holds.

    Args:
        examples: How many there are.
        batch_size: Rows of a batch.
        seed: With the epoch it decides the order, and nothing else does: no state has to be kept to resume.
        epoch: From 0.
        shuffle: False keeps the examples' own order, for states that go on from batch to batch.

    Returns:
        int32 [steps, batch_size]; the last batch is filled up with -1.
    """
    order = np.full(steps_per_epoch(examples, batch_size) * batch_size, -1, np.int32)
    order[:examples] = np.random.default_rng([seed, epoch]).permutation(examples) if shuffle else range(examples)
    return order.reshape(-1, batch_size)
