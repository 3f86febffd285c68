"""The pointer-generator: a case by hand, a plain NumPy reference with gradients, and search over copied symbols."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnncli.data.copying import COPY_BY_PLACE, NEVER_COPIED
from rnncli.layers import PointerGenerator

pytestmark = pytest.mark.usefixtures("runtime")
SYMBOLS = 5
COPIES = (NEVER_COPIED, COPY_BY_PLACE, 3, 4, NEVER_COPIED)
"""Of source ids: 0 is padding, 1 is no target symbol, 2 and 3 are target symbols 3 and 4, 4 is a feature."""


def layer(width, switch=0.0):
    made = PointerGenerator(SYMBOLS, COPIES, width, name="pointer_generator")
    made.build()
    made.switch.set_weights([np.full((width, 1), switch), np.zeros(1)])
    return made


def test_copied_and_generated_probabilities_by_hand():
    pointer = layer(1)  # p_gen is 1/2
    source = np.array([[4, 2, 1, 2]])
    places = pointer.places(source)
    np.testing.assert_array_equal(places, [[NEVER_COPIED, 3, SYMBOLS + 2, 3]])
    weights = np.array([[[0.5, 0.2, 0.2, 0.1]]], np.float32)  # without the feature 0.4, 0.4, 0.2
    found = np.exp(pointer(np.zeros((1, 1, SYMBOLS)), [np.zeros((1, 1, 1))], weights, places))
    expected = [0.1, 0.1, 0.1, 0.1 + 0.5 * 0.6, 0.1, 0, 0, 0.5 * 0.4, 0]
    np.testing.assert_allclose(found[0, 0], expected, atol=1e-7)


def test_generator_alone_writes_where_nothing_can_be_copied():
    pointer = layer(1)
    places = pointer.places(np.array([[4, 4, 0]]))
    weights = np.array([[[0.7, 0.3, 0.0]]], np.float32)
    found = np.exp(pointer(np.zeros((1, 1, SYMBOLS)), [np.zeros((1, 1, 1))], weights, places))
    np.testing.assert_allclose(found[0, 0], [0.2] * SYMBOLS + [0] * 3, atol=1e-7)


def reference(logits, inputs, weights, kernel, bias, source):
    """The probabilities by loops over rows, steps and source symbols, from the equations."""
    rows, steps, _ = logits.shape
    found = np.zeros((rows, steps, SYMBOLS + source.shape[1]))
    for row in range(rows):
        for t in range(steps):
            generates = 1 / (1 + np.exp(-(inputs[row, t] @ kernel[:, 0] + bias[0])))
            written = np.exp(logits[row, t] - logits[row, t].max())
            found[row, t, :SYMBOLS] = generates * written / written.sum()
            can = [COPIES[symbol] != NEVER_COPIED for symbol in source[row]]
            total = weights[row, t][can].sum()
            for i, symbol in enumerate(source[row]):
                if can[i]:
                    to = SYMBOLS + i if COPIES[symbol] == COPY_BY_PLACE else COPIES[symbol]
                    found[row, t, to] += (1 - generates) * weights[row, t, i] / total
    return found


def test_values_and_gradients_are_those_of_a_plain_reference():
    rng = np.random.default_rng(0)
    source = rng.integers(1, 5, (3, 4))
    source[:, 0] = 2
    logits, inputs = rng.normal(size=(3, 2, SYMBOLS)), rng.normal(size=(3, 2, 6))
    weights = rng.dirichlet(np.ones(4), (3, 2))
    pointer = layer(6)
    kernel, bias = rng.normal(size=(6, 1)), rng.normal(size=1)
    pointer.switch.set_weights([kernel, bias])
    given = [tf.constant(each, tf.float32) for each in (logits, inputs, weights)]
    target = np.array([[3, SYMBOLS], [4, 1], [2, 3]])
    with tf.GradientTape() as tape:
        tape.watch(given)
        found = pointer(given[0], [given[1]], given[2], pointer.places(source))
        loss = tf.reduce_sum(tf.gather(found, target, batch_dims=2))
    gradients = tape.gradient(loss, [*given, pointer.switch.kernel.value])
    expected = reference(logits, inputs, weights, kernel, bias, source)
    np.testing.assert_allclose(np.exp(found), expected, atol=1e-6)
    np.testing.assert_allclose(expected.sum(axis=2), 1)

    def total(*values):
        probabilities = np.maximum(reference(*values, bias, source), 1e-20)
        return np.log(np.take_along_axis(probabilities, target[:, :, None], axis=2)).sum()

    values = [logits, inputs, weights, kernel]
    for number, gradient in enumerate(gradients):
        direction = rng.normal(size=values[number].shape)
        shifted = [
            [*values[:number], values[number] + step * direction, *values[number + 1 :]] for step in (1e-6, -1e-6)
        ]
        numeric = (total(*shifted[0]) - total(*shifted[1])) / 2e-6
        assert float(np.sum(gradient * direction)) == pytest.approx(numeric, rel=2e-3, abs=1e-4)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"


def test_gradients_are_finite_where_attention_looks_at_features_only():
    pointer = layer(1)
    scores = tf.Variable([[[90.0, 0.0, 10.0]]])
    source = np.array([[4, 2, 1]])
    with tf.GradientTape() as tape:
        found = pointer(
            np.zeros((1, 1, SYMBOLS)), [np.zeros((1, 1, 1))], tf.nn.softmax(scores), pointer.places(source)
        )
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits([[3]], found)
    assert np.isfinite(tape.gradient(loss, scores)).all()
