"""The optimizer's step, divided among the cores, against `optimizer.apply`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnncli.config import Training
from rnncli.training.optimizer import build_optimizer
from rnncli.training.update import Update, _shares

pytestmark = pytest.mark.usefixtures("runtime")

SHAPES = [(5, 8), (8,), (3,), (4, 8), (1, 1)]


def variables():
    rng = np.random.default_rng(0)
    return [keras.Variable(rng.normal(size=shape).astype(np.float32)) for shape in SHAPES]


def gradients(step, scale=1.0):
    """Those of two parts."""
    rng = np.random.default_rng([1, step])
    return [[tf.constant(scale * rng.normal(size=shape), tf.float32) for shape in SHAPES] for _ in range(2)]


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
@pytest.mark.parametrize(
    ("parts", "clip", "compiled"),
    [(1, 0.3, False), (2, None, False), (2, 100.0, False), (2, 0.3, True), (3, 0.3, False), (9, 0.3, False)],
)
def test_it_changes_what_the_optimizer_changes(parts, optimizer, clip, compiled):
    config = Training(
        optimizer=optimizer, clip_norm=clip, schedule="warmup_cosine", warmup_steps=2, learning_rate=0.1
    )
    plain, divided = (build_optimizer(config, 9) for _ in range(2))
    wanted, found = variables(), variables()
    plain.build(wanted)
    divided.build(found)
    update = tf.function(Update(divided, found, parts, compiled), autograph=False)
    for step in range(4):
        given = gradients(step)
        plain.apply([(a + b) / 7.0 for a, b in zip(*given, strict=True)], wanted)
        update(given, tf.constant(7.0))
    assert int(divided.iterations) == 4
    for one, other in zip([*wanted, *plain.variables], [*found, *divided.variables], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6, err_msg=one.path)


@pytest.mark.parametrize("parts", [1, 2])
def test_gradients_that_are_not_finite_leave_no_finite_weight(parts):
    optimizer, weights = keras.optimizers.Adam(global_clipnorm=1.0), variables()
    optimizer.build(weights)
    Update(optimizer, weights, parts, False)(gradients(0, np.inf), tf.constant(1.0))
    assert not any(np.isfinite(weight).any() for weight in weights)


def test_variables_are_shared_out_evenly():
    assert sorted(sum([9, 1, 4, 6, 4][i] for i in share) for share in _shares([9, 1, 4, 6, 4], 2)) == [11, 13]
    assert _shares([1, 2], 5) == [[1], [0]]
