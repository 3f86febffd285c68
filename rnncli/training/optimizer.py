"""The optimizer and its learning rate schedule."""

from __future__ import annotations

import math

import keras

from rnncli.config import Training
from rnncli.config.named_objects import import_named
from rnncli.config.optimizers import OPTIMIZERS


def build_optimizer(config: Training, steps: int, precision: str = "float32") -> keras.optimizers.Optimizer:
    """Return the optimizer of a config, not yet built.

    Args:
        config: The `training` section.
        steps: The number of steps of the whole training, in which a cosine schedule decays to zero (Loshchilov &
            Hutter 2017).
        precision: The config's `runtime.precision`. Float16 needs loss scaling, or small gradients become zero; a
            step with too large a scale is skipped, and the scale halved (Micikevicius et al. 2018).
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
    # with a name, because Keras would number it, and checkpoints store variables by their names
    optimizer = import_named(OPTIMIZERS[config.optimizer])(
        rate, global_clipnorm=config.clip_norm, name=config.optimizer
    )
    if precision != "mixed_float16":
        return optimizer
    scale = 2.0 ** (
        15 - math.ceil(math.log2(config.batch_size))
    )  # Keras's default, 2^15, is for a mean; this loss is a sum
    return keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=scale, name="loss_scale")
