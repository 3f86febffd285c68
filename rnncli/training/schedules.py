"""Learning rate schedules: linear warm-up, then a decay. `rnncli.config.schedules` has the table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import keras
from keras import ops

from rnncli.config import Training
from rnncli.layers import Tensor

Schedule: TypeAlias = keras.optimizers.schedules.LearningRateSchedule


class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up from 0 to the maximum, then a decay.

    Keras cannot serialize it: checkpoints hold the step, and the config the rest.

    Args:
        maximum: The maximum learning rate.
        warmup: Warm-up steps.
        decay: Returns the share of the maximum, float32 [], after so many steps behind the warm-up, float32 [].
    """

    def __init__(self, maximum: float, warmup: int, decay: Callable[[Tensor], Tensor]) -> None:
        self.maximum, self.warmup, self.decay = maximum, warmup, decay

    def __call__(self, step: Tensor) -> Tensor:
        """Return the learning rate of a step, float32 []; the first step is 0."""
        step = ops.cast(step, "float32")
        decayed = self.decay(ops.maximum(step - self.warmup, 0.0))
        return self.maximum * (ops.where(step < self.warmup, step / max(1, self.warmup), decayed))


def warmup_cosine(config: Training, steps: int) -> Schedule:
    """Return a cosine decay to 0 at the last step (Loshchilov & Hutter 2017, equation 5, without restarts)."""
    warmup = min(config.warmup_steps, steps - 1)
    return keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else config.learning_rate,
        decay_steps=steps - warmup,
        warmup_target=config.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


def cosine_restarts(config: Training, steps: int) -> Schedule:
    """Return cycles of equal length, each from the maximum to 0 (Loshchilov & Hutter 2017, equation 5)."""
    warmup = min(config.warmup_steps, steps - 1)
    length = (steps - warmup) / config.cycles
    return WarmUp(
        config.learning_rate, warmup, lambda after: 0.5 * (1 + ops.cos(math.pi * ops.mod(after, length) / length))
    )


def linear(config: Training, steps: int) -> Schedule:
    """Return a linear decay to 0 at the last step."""
    warmup = min(config.warmup_steps, steps - 1)
    return WarmUp(config.learning_rate, warmup, lambda after: ops.maximum(1 - after / (steps - warmup), 0.0))


def inverse_sqrt(config: Training, steps: int) -> Schedule:
    """Return a decay with the square root of all steps, the warm-up's too (Vaswani et al. 2017, equation 3)."""
    del steps
    warmup = config.warmup_steps
    return WarmUp(config.learning_rate, warmup, lambda after: ops.sqrt(warmup / (after + warmup)))
