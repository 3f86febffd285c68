"""The optimizer and its learning rate schedule."""

from __future__ import annotations

import math

import keras

from rnncli.config import Training
from rnncli.config.named_objects import import_named
from rnncli.config.optimizers import OPTIMIZERS
from rnncli.config.schedules import SCHEDULES


def build_optimizer(config: Training, steps: int, precision: str = "float32") -> keras.optimizers.Optimizer:
    """Return the optimizer of a config, not yet built.

    Args:
        config: The `training` section.
        steps: The number of steps of the whole training, in which most schedules decay to zero.
        precision: The config's `runtime.precision`. Float16 needs loss scaling, or small gradients become zero; a
            step with too large a scale is skipped, and the scale halved (Micikevicius et al. 2018).
    """
    rate: float | keras.optimizers.schedules.LearningRateSchedule = config.learning_rate
    if (function := SCHEDULES[config.schedule].function) is not None:
        rate = import_named(function)(config, steps)
    # with a name, because Keras would number it, and checkpoints store variables by their names
    optimizer = import_named(OPTIMIZERS[config.optimizer])(
        rate, global_clipnorm=config.clip_norm, clipvalue=config.clip_value, name=config.optimizer
    )
    if precision != "mixed_float16":
        return optimizer
    scale = 2.0 ** (
        15 - math.ceil(math.log2(config.batch_size))
    )  # Keras's default, 2^15, is for a mean; this loss is a sum
    return keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=scale, name="loss_scale")
