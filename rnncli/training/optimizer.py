"""The optimizer and its learning rate."""

from __future__ import annotations

import keras

from rnncli.config import Training

OPTIMIZERS = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop, "sgd": keras.optimizers.SGD}


def build_optimizer(config: Training, steps: int) -> keras.optimizers.Optimizer:
    """The optimizer of a config.

    Args:
        config: The `training` section.
        steps: Steps of the whole training, over which a cosine falls to zero (Loshchilov & Hutter 2017).
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
    return OPTIMIZERS[config.optimizer](rate, global_clipnorm=config.clip_norm)
