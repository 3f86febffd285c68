"""The probability of scheduled sampling at each step of training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from rnncli.config import Training

Probability: TypeAlias = Callable[[tf.Tensor], tf.Tensor]
"""Returns the probability of a step, float32 [], from the number of steps before it, int32 []."""

REACHED = 0.99
"""The share of its final value at which the inverse sigmoid ends, since it never reaches it."""


def sampling_probability(config: Training, steps_per_epoch: int) -> Probability | None:
    """Return the probability with which the decoder reads its own predictions; None if it never does.

    It follows from the step alone, so that resumed training goes on as it would have.

    Args:
        config: The `training` section.
        steps_per_epoch: The number of steps of an epoch.
    """
    sampling = config.scheduled_sampling
    if sampling is None or not sampling.probability:
        return None
    final, share = sampling.probability, _linear if sampling.ramp == "linear" else _inverse_sigmoid
    epochs = config.epochs if sampling.ramp_epochs is None else sampling.ramp_epochs
    rising = float(epochs * steps_per_epoch)

    def probability(step: tf.Tensor) -> tf.Tensor:
        done = tf.cast(step, tf.float32)
        return final * tf.where(done < rising, share(done, rising) if rising else 1.0, 1.0)

    return probability


def _linear(step: tf.Tensor, rising: float) -> tf.Tensor:
    """Return the share of the final probability, which begins at 0."""
    return step / rising


def _inverse_sigmoid(step: tf.Tensor, rising: float) -> tf.Tensor:
    """Return the share 1 - k / (k + exp(i / k)) of the final probability (Bengio et al. 2015, section 2.4)."""
    k = sigmoid_scale(rising)
    grown = tf.exp(tf.minimum(step, rising) / k)
    return grown / (k + grown)  # the same, without cancellation


def sigmoid_scale(rising: float) -> float:
    """Return the k with which the inverse sigmoid is `REACHED` after so many steps, by bisection."""
    odds = REACHED / (1 - REACHED)
    low, high = 1 / odds, rising
    for _ in range(100):
        k = (low + high) / 2
        low, high = (k, high) if k * math.log(odds * k) < rising else (low, k)
    return high
