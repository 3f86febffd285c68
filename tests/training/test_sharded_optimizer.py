"""The sharded optimizer, compared with `optimizer.apply`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnncli.config import Training
from rnncli.config.optimizers import OPTIMIZERS
from rnncli.training.optimizer import build_optimizer
from rnncli.training.sharded_optimizer import (
    MIN_PAIRWISE_SIZE,
    ShardedOptimizer,
    _sum_of_squares,
    balanced_parts,
    updates_variables_separately,
)

pytestmark = [pytest.mark.usefixtures("runtime"), pytest.mark.xla(unroll=False)]

SHAPES = [(5, 8), (8,), (3,), (4, 8), (1, 1)]


def make_variables(**options):
    rng = np.random.default_rng(0)
    return [keras.Variable(rng.normal(size=shape).astype(np.float32), **options) for shape in SHAPES]


def make_gradients(step, shards, scale=1.0):
    rng = np.random.default_rng([1, step])
    return [[tf.constant(scale * rng.normal(size=shape), tf.float32) for shape in SHAPES] for _ in range(shards)]


def apply(optimizer, variables, gradients, count):
    """Apply the mean gradients by Keras."""
    optimizer.apply([tf.add_n(each) / count for each in zip(*gradients, strict=True)], variables)


def assert_same_updates(make_optimizer, shards, compiled=False, steps=4):
    """Train with Keras's `apply` and with the sharded optimizer, and compare all variables."""
    plain, sharded = make_optimizer(), make_optimizer()
    wanted, found = make_variables(), make_variables()
    plain.build(wanted)
    sharded.build(found)
    update = tf.function(ShardedOptimizer(sharded, found, shards, compiled), autograph=False)
    for step in range(steps):
        gradients = make_gradients(step, shards)
        apply(plain, wanted, gradients, 7.0)
        mean = [np.sum(each, axis=0) / 7 for each in zip(*gradients, strict=True)]
        norm = np.sqrt(sum(np.sum(each**2) for each in mean)) / float(plain.scale_loss(tf.ones([])))
        np.testing.assert_allclose(update(gradients, tf.constant(7.0)), norm, rtol=1e-5)
    assert int(sharded.iterations) == int(plain.iterations)
    for one, other in zip([*wanted, *plain.variables], [*found, *sharded.variables], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6, err_msg=one.path)


@pytest.mark.parametrize(
    ("name", "shards", "clip_norm", "compiled"),
    [("adam", 1, 0.3, False), ("adam", 2, None, False), ("adam", 3, 0.3, False)]
    + [(name, 2, 0.3, True) for name in OPTIMIZERS],
)
def test_sharded_update_equals_keras_apply(name, shards, clip_norm, compiled):
    config = Training(
        optimizer=name, clip_norm=clip_norm, schedule="warmup_cosine", warmup_steps=2, learning_rate=0.1
    )
    assert_same_updates(lambda: build_optimizer(config, 9), shards, compiled)


OPTIONS = {
    "weight_decay": 0.5,
    "clipnorm": 0.1,
    "clipvalue": 0.1,
    "use_ema": True,
    "gradient_accumulation_steps": 2,
    "loss_scale_factor": 8.0,
}


@pytest.mark.parametrize("option", OPTIONS)
def test_unsupported_option_is_left_to_keras(option):
    def make():
        return keras.optimizers.Adam(0.1, **{option: OPTIONS[option]})

    optimizer, variables = make(), make_variables()
    assert not updates_variables_separately(optimizer, variables)
    assert_same_updates(make, 2)


@pytest.mark.parametrize("shards", [1, 2])
def test_adamw_decays_weights_without_gradients(shards):
    optimizer, variables = keras.optimizers.AdamW(0.1, weight_decay=0.5), make_variables()
    before = [variable.numpy() for variable in variables]
    optimizer.build(variables)
    ShardedOptimizer(optimizer, variables, shards, False)(make_gradients(0, shards, 0.0), tf.constant(1.0))
    for old, new in zip(before, variables, strict=True):
        np.testing.assert_allclose(new, 0.95 * old, rtol=1e-6)


class OwnSGD(keras.optimizers.SGD):
    """A subclass, which may override anything."""


def test_only_known_optimizers_and_plain_variables_are_sharded():
    adam = keras.optimizers.Adam()
    assert updates_variables_separately(adam, make_variables())
    assert not updates_variables_separately(OwnSGD(), make_variables())
    assert not updates_variables_separately(keras.optimizers.Nadam(), make_variables())
    assert not updates_variables_separately(keras.optimizers.LossScaleOptimizer(adam), make_variables())
    constrained = make_variables()
    constrained[0].constraint = keras.constraints.NonNeg()
    assert not updates_variables_separately(adam, constrained)


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("shards", [1, 2, 3])
def test_gradient_that_is_not_finite_leaves_no_finite_weight(shards, value):
    optimizer, variables = keras.optimizers.SGD(global_clipnorm=1.0), make_variables()
    optimizer.build(variables)
    gradients = make_gradients(0, shards)
    gradients[-1][2] = tf.constant([0.5, value, 0.5])
    ShardedOptimizer(optimizer, variables, shards, False)(gradients, tf.constant(1.0))
    assert not any(np.isfinite(variable).any() for variable in variables)


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_gradients_far_too_large_are_clipped_as_by_keras(shards):
    plain, sharded = (keras.optimizers.SGD(0.1, global_clipnorm=1.0) for _ in range(2))
    wanted, found, gradients = make_variables(), make_variables(), make_gradients(0, shards, 1e19)
    apply(plain, wanted, gradients, 1e3)
    sharded.build(found)
    ShardedOptimizer(sharded, found, shards, False)(gradients, tf.constant(1e3))
    for one, other in zip(wanted, found, strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_balanced_parts_have_equal_sums_and_lengths():
    sizes = [9, 1, 4, 6, 4]
    assert sorted(sum(sizes[i] for i in part) for part in balanced_parts(sizes, 2)) == [11, 13]
    assert balanced_parts([1, 2], 5) == [[1], [0]]
    assert sorted(map(len, balanced_parts([100, 3, 2, 1, 1], 2))) == [2, 3]


@pytest.mark.parametrize("size", [1, MIN_PAIRWISE_SIZE, MIN_PAIRWISE_SIZE + 1, 64 * MIN_PAIRWISE_SIZE])
def test_sum_of_squares(size):
    values = np.random.default_rng(0).normal(size=size).astype(np.float32)
    unknown = tf.function(_sum_of_squares, input_signature=[tf.TensorSpec([None])])
    for squares in (_sum_of_squares(tf.constant(values)), unknown(tf.constant(values))):
        np.testing.assert_allclose(squares, np.square(values, dtype=np.float64).sum(), rtol=1e-5)
