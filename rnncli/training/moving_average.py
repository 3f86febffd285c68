"""The exponential moving average of the parameters, which predicts better than those of the last step.

Polyak & Juditsky 1992 average all steps; the exponential average forgets the first ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import tensorflow as tf

from rnncli.training.sharded_optimizer import balanced_parts


def average_variables(variables: list[keras.Variable], decay: float | None) -> dict[str, Any]:
    """Return a variable for the average of each parameter, by its name, with its value; none without a decay."""
    if decay is None:
        return {}
    return {each.path: tf.Variable(tf.identity(each.value), trainable=False) for each in variables}


class AverageUpdate:
    """Moves the averages towards the parameters, after each update of these.

    Early averages move faster, by the decay `min(decay, (1 + t) / (10 + t))` of step t, so that they soon forget the
    initial parameters. As in the optimizer's update, several shards divide the variables among them.

    Args:
        variables: The parameters.
        averages: The average of each, by its name.
        decay: The decay of an average at each step, between 0 and 1.
        shards: The number of computations that run side by side.
        compiled: Whether XLA compiles them.
    """

    def __init__(
        self, variables: list[keras.Variable], averages: Mapping[str, Any], decay: float, shards: int, compiled: bool
    ) -> None:
        self.pairs = [(variable.value, averages[variable.path]) for variable in variables]
        self.decay = decay
        parts = balanced_parts([value.shape.num_elements() for value, _ in self.pairs], shards)
        compile_ = partial(tf.function, jit_compile=compiled, autograph=False)
        self._move_parts = [compile_(partial(self._move, part)) for part in parts]

    def __call__(self, step: tf.Tensor) -> None:
        """Move the averages; `step` is the number of steps before, int32 []."""
        for move in self._move_parts:
            move(step)

    def _move(self, part: list[int], step: tf.Tensor) -> None:
        done = tf.cast(step, tf.float32)
        share = 1.0 - tf.minimum(self.decay, (1.0 + done) / (10.0 + done))
        for value, average in (self.pairs[i] for i in part):
            average.assign_add(tf.cast(share, value.dtype) * (value - average))


@contextmanager
def averages_in_place(variables: list[keras.Variable], averages: Mapping[str, Any]) -> Iterator[None]:
    """Let the parameters have the values of their averages in the block, if there are any."""
    if not averages:
        yield
        return
    trained = [variable.numpy() for variable in variables]
    for variable in variables:
        variable.assign(averages[variable.path])
    try:
        yield
    finally:
        for variable, value in zip(variables, trained, strict=True):
            variable.assign(value)
