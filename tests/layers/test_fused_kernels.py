"""Fused kernels against Keras layers: values, final states and gradients."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from rnncli.config import CELLS
from rnncli.layers.cells import fused_kernel, keras_layer
from rnncli.layers.fused_kernels import GRU, LSTM, unroll_states
from rnncli.runtime import xla

pytestmark = [pytest.mark.usefixtures("runtime"), pytest.mark.xla(unroll=False)]

UNROLLED, LOOPED = 1000, 0
few = settings(max_examples=20)
cells = pytest.mark.parametrize("cell", CELLS)


@st.composite
def cases(draw):
    """Sizes, lengths of rows (of nothing up to all steps), and how the cell is run."""
    batch, time = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    lengths = st.lists(st.integers(0, time), min_size=batch, max_size=batch)
    return {
        "batch": batch,
        "time": time,
        "features": draw(st.integers(1, 4)),
        "units": draw(st.integers(1, 5)),
        "lengths": draw(st.none() | lengths),
        "initial": draw(st.booleans()),
        "backwards": draw(st.booleans()),
        "dropout": draw(st.booleans()),
        "unroll": draw(st.sampled_from([UNROLLED, LOOPED])),
        "seed": draw(st.integers(0, 10_000)),
    }


class Case:
    """A fused layer, the Keras layer with the same weights, and inputs for both."""

    def __init__(
        self,
        cell,
        batch,
        time,
        features,
        units,
        lengths,
        initial,
        backwards,
        unroll,
        seed,
        dropout=False,
        keras_options=None,
    ):
        rng = np.random.default_rng(seed)
        self.unroll = unroll
        options = {"return_sequences": True, "return_state": True, "go_backwards": backwards, **(keras_options or {})}
        if CELLS[cell].cudnn:
            options["use_cudnn"] = False
        self.step, self.fused = fused_kernel(cell), keras_layer(cell)(units, **options)
        self.dropout_mask = tf.constant(rng.integers(0, 2, (batch, units)) * 2, tf.float32) if dropout else None
        dropping = (
            {"recurrent_dropout": 0.5, **({"implementation": 1} if CELLS[cell].cudnn else {})} if dropout else {}
        )
        self.keras = keras_layer(cell)(units, **options, **dropping)
        for layer in (self.fused, self.keras):
            layer.build((None, None, features))
        self.weights = [normal(rng, *v.shape) for v in self.keras.weights]
        for layer in (self.fused, self.keras):
            layer.set_weights(self.weights)
        self.x = tf.constant(normal(rng, batch, time, features))
        states = len(CELLS[cell].states)
        self.initial = tuple(tf.constant(normal(rng, batch, units)) for _ in range(states)) if initial else None
        self.mask = None if lengths is None else tf.sequence_mask(lengths, time)
        self.read = np.ones((batch, time, 1), np.float32)  # where outputs count, in the order of the steps read
        if lengths is not None:
            self.read = self.mask.numpy()[:, :: -1 if backwards else 1, None].astype(np.float32)
        self.d_output = normal(rng, batch, time, units) * self.read
        self.d_final = [normal(rng, batch, units) for _ in range(states)]

    def by_fused(self, x, initial):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(xla, "UNROLL_STEPS", self.unroll)
            states = unroll_states(
                self.step, self.fused, x, initial, self.mask, recurrent_dropout_mask=self.dropout_mask
            )
        return states[0], [state[:, -1] for state in states]

    def by_keras(self, x, initial):
        if self.dropout_mask is not None:  # Keras would draw a mask for each gate
            gates = getattr(self.keras.cell, "dropout_mask_count", None)
            self.keras.cell._recurrent_dropout_mask = (
                self.dropout_mask if gates is None else [self.dropout_mask] * gates
            )
        start = initial and list(initial)
        output, *final = self.keras(x, initial_state=start, mask=self.mask, training=self.dropout_mask is not None)
        return output, final

    def results(self, run, layer):
        """Outputs at the steps read, final states, and gradients of all that has one."""
        given_ = [self.x, *(self.initial or ())]
        weights = [variable.value for variable in layer.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch(given_)
            output, final = run(self.x, self.initial)
            loss = tf.reduce_sum(output * self.d_output)
            loss += sum(tf.reduce_sum(f * d) for f, d in zip(final, self.d_final, strict=True))
        gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, [*given_, *weights])]
        return [output * self.read, *final], gradients

    def check(self, wrap=lambda function: function):
        values, gradients = wrap(lambda: self.results(self.by_fused, self.fused))()
        true_values, true_gradients = self.results(self.by_keras, self.keras)
        assert_close(values, true_values, 1e-5)
        assert_close(gradients, true_gradients, 1e-4)


def normal(rng, *shape):
    return rng.normal(0, 0.7, shape).astype(np.float32)


def assert_close(found, wanted, tolerance):
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@cells
@few
@given(case=cases())
def test_fused_kernel_matches_keras_values_and_gradients(cell, case):
    Case(cell, **case).check()


def fixed(**changes):
    case = {"batch": 3, "time": 3, "features": 2, "units": 4, "lengths": [3, 0, 2], "initial": True}
    return case | {"backwards": False, "unroll": UNROLLED, "seed": 1} | changes


@pytest.mark.parametrize("unroll", [UNROLLED, LOOPED], ids=["unrolled", "looped"])
@pytest.mark.parametrize(
    "cell", ["gru", *(pytest.param(each, marks=pytest.mark.long) for each in ("lstm", "simple_rnn"))]
)
def test_fused_kernel_compiled_by_xla_matches_keras(cell, unroll):
    Case(cell, **fixed(unroll=unroll)).check(lambda function: tf.function(function, jit_compile=True))


def test_backward_fused_kernel_compiled_by_xla_matches_keras():
    case = Case("lstm", **fixed(backwards=True, initial=False))
    case.check(lambda function: tf.function(function, jit_compile=True))


@cells
def test_sequence_of_unknown_length_is_looped(cell):
    case = Case(cell, **fixed(lengths=None, initial=False, unroll=UNROLLED))
    run = tf.function(
        lambda x: unroll_states(case.step, case.fused, x)[0], input_signature=[tf.TensorSpec([None, None, 2])]
    )
    for steps in (2, 3):
        np.testing.assert_allclose(run(case.x[:, :steps]), case.by_keras(case.x[:, :steps], None)[0], atol=1e-5)


@cells
@settings(max_examples=8)
@given(case=cases())
def test_constant_input_matches_the_repeated_input(cell, case):
    case = Case(cell, **case)
    vector = case.x[:, :1]

    def run(constant):
        with tf.GradientTape() as tape, pytest.MonkeyPatch.context() as patch:
            patch.setattr(xla, "UNROLL_STEPS", case.unroll)
            tape.watch(vector)
            repeated = tf.repeat(vector, case.x.shape[1], axis=1)
            states = unroll_states(case.step, case.fused, repeated, case.initial, case.mask, constant=constant)
            loss = tf.reduce_sum(states[0] * case.d_output)
        return [*states, tape.gradient(loss, vector), *(s[:, -1] for s in states)]

    assert_close(run(constant=True), run(constant=False), 1e-5)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_step(x, h, c, kernel, recurrent, bias):
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(x, h, kernel, recurrent, bias):
    x_z, x_r, x_h = np.split(x @ kernel + bias[0], 3, axis=1)
    h_z, h_r, h_h = np.split(h @ recurrent + bias[1], 3, axis=1)
    z = sigmoid(x_z + h_z)
    return (z * h + (1 - z) * np.tanh(x_h + sigmoid(x_r + h_r) * h_h),)


def simple_step(x, h, kernel, recurrent, bias):
    return (np.tanh(x @ kernel + h @ recurrent + bias),)


STEPS = {"lstm": lstm_step, "gru": gru_step, "simple_rnn": simple_step}


@cells
@few
@given(case=cases())
def test_states_after_every_step_match_the_equations(cell, case):
    backwards = case["backwards"]
    case = Case(cell, **case)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xla, "UNROLL_STEPS", case.unroll)
        found = unroll_states(case.step, case.fused, case.x, case.initial, case.mask)

    x = case.x.numpy()[:, :: -1 if backwards else 1]
    zeros = np.zeros(found[0][:, 0].shape)
    states = [s.numpy() for s in case.initial] if case.initial else [zeros] * len(found)
    for t in range(x.shape[1]):
        new = STEPS[cell](x[:, t], *states, *case.weights)
        m = case.read[:, t]
        states = [m * n + (1 - m) * s for n, s in zip(new, states, strict=True)]
        assert_close([state[:, t] for state in found], states, 1e-5)


def test_lstm_step_with_zero_weights_halves_the_cell_state():
    """Weights 0 and bias 0: every gate is 1/2 and the candidate 0, so c halves at each step."""
    layer = keras_layer("lstm")(1, bias_initializer="zeros", unit_forget_bias=False)
    layer.build((None, None, 1))
    layer.set_weights([np.zeros((1, 4)), np.zeros((1, 4)), np.zeros(4)])
    h, c = unroll_states(LSTM, layer, tf.ones([1, 2, 1]), (tf.constant([[9.0]]), tf.constant([[8.0]])))
    np.testing.assert_allclose(c[0, :, 0], [4, 2], rtol=1e-6)
    np.testing.assert_allclose(h[0, :, 0], [np.tanh(4) / 2, np.tanh(2) / 2], rtol=1e-6)


@cells
@pytest.mark.parametrize(
    "unroll", [UNROLLED, pytest.param(LOOPED, marks=pytest.mark.long)], ids=["unrolled", "looped"]
)
def test_saturated_gates_match_keras_and_are_finite(cell, unroll):
    case = Case(cell, **fixed(unroll=unroll))
    case.x *= 1000.0  # the exponential of which overflows
    case.check()
    function = tf.function(lambda: case.results(case.by_fused, case.fused), jit_compile=True)
    for value in (*function()[0], *function()[1]):  # XLA's tanh ends at 1 - 6e-8, times inputs of 1,000
        assert np.isfinite(value).all()


def test_sequences_are_unrolled_up_to_the_limit(monkeypatch):
    monkeypatch.setattr(xla, "UNROLL_STEPS", 3)
    layer = keras_layer("gru")(2)
    layer.build((None, None, 1))

    def loops(steps):
        graph = (
            tf.function(lambda x: unroll_states(GRU, layer, x))
            .get_concrete_function(tf.TensorSpec([1, steps, 1]))
            .graph
        )
        return sum("While" in operation.type for operation in graph.get_operations())

    assert loops(3) == 0
    assert loops(4) == 1


@cells
def test_loop_in_a_graph_has_the_gradients_of_keras(cell):
    Case(cell, **fixed(unroll=LOOPED)).check(tf.function)
