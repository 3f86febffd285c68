"""The optimizer and its learning rate."""

from __future__ import annotations

import math

import keras

from rnncli.config import Training
from rnncli.config.optimizers import OPTIMIZERS


def build_optimizer(config: Training, steps: int, precision: str = "float32") -> keras.optimizers.Optimizer:
    """The optimizer of a config.

    Args:
        config: The `training` section.
        steps: Steps of the whole training, over which a cosine falls to zero (Loshchilov & Hutter 2017).
        precision: `runtime.precision` of the config. In float16 small gradients would vanish, so the loss is scaled
            up; where the scale is too high a step is left out and the scale halved (Micikevicius et al. 2018).
    """
    rate: float | keras.optimizers.schedules.LearningRateSchedule = config.learning_rate
    if config.schedule == "warmup_cosine":
        warmup = min(config.warmup_steps, steps - 1)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else config.learning_rate,
            decay_steps=steps - warmup,
            warmup_target=config.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    # named, for Keras numbers what has no name, and checkpoints know the variables by their names
    optimizer = getattr(keras.optimizers, OPTIMIZERS[config.optimizer])(
        rate, global_clipnorm=config.clip_norm, name=config.optimizer
    )
    if precision != "mixed_float16":
        return optimizer
    scale = 2.0 ** (15 - math.ceil(math.log2(config.batch_size)))  # Keras's 2^15 is for a mean, this loss is a sum
    return keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=scale, name="loss_scale")
