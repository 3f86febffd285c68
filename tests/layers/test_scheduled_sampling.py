"""Mixing of targets and samples, against NumPy and the laws of chance."""

import zlib

import numpy as np
import pytest
import tensorflow as tf

from rnncli.layers import replace_by_samples

pytestmark = pytest.mark.usefixtures("runtime")
ROWS, STEPS, SYMBOLS = 200, 30, 5


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 1.5, shape).astype(np.float32)


def mixed(target, logits, probability, seed=(3, 8)):
    given = tf.constant(target), tf.constant(logits), tf.constant(probability, tf.float32), tf.constant(seed)
    return replace_by_samples(*given).numpy()


@tf.function(jit_compile=True)
def uniform(shape, seed):
    return tf.random.stateless_uniform(shape, seed, alg="threefry")


def reference(target, logits, probability, seed):
    """The mixture in NumPy, from the same random numbers."""
    names = [zlib.crc32(f"scheduled_sampling/{name}".encode()) & 0x7FFFFFFF for name in ("replaced", "sampled")]
    replaced, sampled = ([seed[0] ^ name, seed[1]] for name in names)
    coin, chance = uniform(target.shape, replaced).numpy(), uniform(logits.shape, sampled).numpy()
    samples = (logits - np.log(-np.log(chance))).argmax(axis=-1)
    return np.where(coin < probability, samples, target)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_mixture_is_that_of_numpy(probability):
    target = np.random.default_rng(1).integers(0, SYMBOLS, (4, 9)).astype(np.int32)
    logits = numbers(4, 9, SYMBOLS)
    found = mixed(target, logits, probability, (5, 77))
    np.testing.assert_array_equal(found, reference(target, logits, probability, (5, 77)))
    assert found.dtype == np.int32


def test_probability_is_the_share_of_replaced_symbols():
    target, logits = np.zeros((ROWS, STEPS), np.int32), np.eye(SYMBOLS, dtype=np.float32)[3] * 1000
    logits = np.broadcast_to(logits, (ROWS, STEPS, SYMBOLS))
    for probability in (0.0, 0.25, 1.0):
        found = mixed(target, logits, probability)
        assert set(np.unique(found)) <= {0, 3}
        assert np.mean(found == 3) == pytest.approx(probability, abs=0.02)
    assert np.array_equal(mixed(target, logits, 0.0), target)
    assert not np.any(mixed(target, logits, 1.0) == target)


def test_samples_follow_the_softmax():
    logits = numbers(SYMBOLS)
    logits[1] = -np.inf
    target = np.full((ROWS, STEPS), 99, np.int32)
    found = mixed(target, np.broadcast_to(logits, (ROWS, STEPS, SYMBOLS)), 1.0)
    shares = np.bincount(found.reshape(-1), minlength=SYMBOLS) / found.size
    np.testing.assert_allclose(shares, np.exp(logits) / np.exp(logits).sum(), atol=0.02)
    assert shares[1] == 0


def test_draws_follow_from_the_seed_alone():
    target, logits = np.full((ROWS, STEPS), 9, np.int32), np.zeros((ROWS, STEPS, SYMBOLS), np.float32)
    first = mixed(target, logits, 0.5)
    assert np.array_equal(first, mixed(target, logits, 0.5))
    for seed in ((4, 8), (3, 9)):
        other = mixed(target, logits, 0.5, seed)
        assert np.mean((first == 9) == (other == 9)) == pytest.approx(0.5, abs=0.05)


def test_no_gradient_flows_through_samples():
    logits = tf.constant(numbers(3, 4, SYMBOLS))
    table = tf.constant(numbers(SYMBOLS, 2))
    with tf.GradientTape() as tape:
        tape.watch([logits, table])
        read = replace_by_samples(tf.zeros([3, 4], tf.int32), logits, tf.constant(1.0), tf.constant([1, 2]))
        total = tf.reduce_sum(tf.gather(table, read))
    to_logits, to_table = tape.gradient(total, [logits, table])
    assert to_logits is None
    assert np.sum(tf.convert_to_tensor(to_table)) == 3 * 4 * 2
