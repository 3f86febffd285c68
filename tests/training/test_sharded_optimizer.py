"""The optimizer's step, divided among the cores, against `optimizer.apply`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnncli.config import Training
from rnncli.training.optimizer import build_optimizer
from rnncli.training.sharded_optimizer import HALVED_ABOVE, Update, _shares, _squares

pytestmark = pytest.mark.usefixtures("runtime")

SHAPES = [(5, 8), (8,), (3,), (4, 8), (1, 1)]


def variables():
    rng = np.random.default_rng(0)
    return [keras.Variable(rng.normal(size=shape).astype(np.float32)) for shape in SHAPES]


def gradients(step, parts, scale=1.0):
    rng = np.random.default_rng([1, step])
    return [[tf.constant(scale * rng.normal(size=shape), tf.float32) for shape in SHAPES] for _ in range(parts)]


def applied(parts, count, optimizer, weights):
    """What Keras makes of their means."""
    optimizer.build(weights)
    optimizer.apply([tf.add_n(each) / count for each in zip(*parts, strict=True)], weights)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
@pytest.mark.parametrize(
    ("parts", "clip", "compiled"),
    [
        (1, 0.3, False),
        (2, None, False),
        (2, 100.0, False),
        (2, 0.3, True),
        (3, None, False),
        (3, 0.3, True),
        (9, 0.3, False),
    ],
)
def test_it_changes_what_the_optimizer_changes(parts, optimizer, clip, compiled):
    config = Training(
        optimizer=optimizer, clip_norm=clip, schedule="warmup_cosine", warmup_steps=2, learning_rate=0.1
    )
    plain, divided = (build_optimizer(config, 9) for _ in range(2))
    wanted, found = variables(), variables()
    divided.build(found)
    update = tf.function(Update(divided, found, parts, compiled), autograph=False)
    for step in range(4):
        given = gradients(step, parts)
        applied(given, 7.0, plain, wanted)
        update(given, tf.constant(7.0))
    assert int(divided.iterations) == 4
    for one, other in zip([*wanted, *plain.variables], [*found, *divided.variables], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6, err_msg=one.path)


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_one_gradient_that_is_not_finite_leaves_no_finite_weight(parts, value):
    optimizer, weights = keras.optimizers.SGD(global_clipnorm=1.0), variables()
    optimizer.build(weights)
    given = gradients(0, parts)
    given[-1][2] = tf.constant([0.5, value, 0.5])
    Update(optimizer, weights, parts, False)(given, tf.constant(1.0))
    assert not any(np.isfinite(weight).any() for weight in weights)


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_gradients_far_too_large_are_clipped_as_by_keras(parts):
    plain, divided = (keras.optimizers.SGD(0.1, global_clipnorm=1.0) for _ in range(2))
    wanted, found, given = variables(), variables(), gradients(0, parts, 1e19)
    applied(given, 1e3, plain, wanted)
    divided.build(found)
    Update(divided, found, parts, False)(given, tf.constant(1e3))
    for one, other in zip(wanted, found, strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_variables_are_shared_out_evenly():
    assert sorted(sum([9, 1, 4, 6, 4][i] for i in share) for share in _shares([9, 1, 4, 6, 4], 2)) == [11, 13]
    assert _shares([1, 2], 5) == [[1], [0]]
    assert sorted(map(len, _shares([100, 3, 2, 1, 1], 2))) == [2, 3]  # or all small ones would be in one list


@pytest.mark.parametrize("count", [1, HALVED_ABOVE, HALVED_ABOVE + 1, 2 * HALVED_ABOVE + 4, 64 * HALVED_ABOVE])
def test_squares_are_added_up_however_many_there_are(count):
    values = np.random.default_rng(0).normal(size=count).astype(np.float32)
    unknown = tf.function(_squares, input_signature=[tf.TensorSpec([None])])
    for squares in (_squares(tf.constant(values)), unknown(tf.constant(values))):
        np.testing.assert_allclose(squares, np.square(values, dtype=np.float64).sum(), rtol=1e-5)
