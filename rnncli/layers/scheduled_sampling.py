"""Targets that are partly predictions, which a decoder reads in training by scheduled sampling."""

from __future__ import annotations

import tensorflow as tf

from rnncli.layers.stack import name_hash

REPLACED, SAMPLED = "scheduled_sampling/replaced", "scheduled_sampling/sampled"
"""Names that the seeds of both draws differ by, as those of dropout differ by the names of layers."""


def replace_by_samples(target: tf.Tensor, logits: tf.Tensor, probability: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Replace each symbol of targets, with a probability, by a sample of the model's prediction.

    Bengio et al. 2015, section 2.4, draw anew for each symbol. An argmax has no gradient, so none flows through the
    samples.

    Args:
        target: int [batch, steps].
        logits: The prediction of each step, float [batch, steps, symbols].
        probability: float32 [].
        seed: int32 [2], which alone decides what is replaced, and the samples.

    Returns:
        int [batch, steps].
    """
    seeds = [tf.stack([seed[0] ^ name_hash(name), seed[1]]) for name in (REPLACED, SAMPLED)]
    return _replace(target, tf.cast(logits, tf.float32), probability, *seeds)


# compiled by XLA always, as dropout is: TensorFlow itself has no Threefry generator
@tf.function(jit_compile=True, autograph=False)
def _replace(
    target: tf.Tensor, logits: tf.Tensor, probability: tf.Tensor, seed: tf.Tensor, sample_seed: tf.Tensor
) -> tf.Tensor:
    # the maximum of logits with Gumbel noise is a sample of their softmax (Gumbel 1954)
    noise = -tf.math.log(-tf.math.log(_uniform(logits, sample_seed)))
    samples = tf.argmax(logits + noise, axis=-1, output_type=target.dtype)
    return tf.where(_uniform(target, seed) < probability, samples, target)


def _uniform(like: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Return random numbers from 0 to below 1, float32, of the shape of a tensor."""
    return tf.random.stateless_uniform(tf.shape(like), seed, alg="threefry")
