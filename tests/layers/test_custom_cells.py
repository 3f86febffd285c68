"""Recurrent layers of custom cells."""

import importlib.util
from pathlib import Path

import custom_cells as own_cells
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from rnncli.config import Stack
from rnncli.errors import InputError
from rnncli.layers import BuiltInRecurrent, CustomRecurrent, KernelChoice, RecurrentStack, UserCell

pytestmark = [pytest.mark.usefixtures("runtime"), pytest.mark.xla(unroll=False)]

CELL = KernelChoice("cell", "a test")
LENGTHS = [5, 0, 2]
PARTS = ((3,), (2, 2))


def nested_cell():
    """The class that configs/nested_cell.yaml names."""
    path = Path(__file__).parents[2] / "configs/nested_cell.py"
    spec = importlib.util.spec_from_file_location("nested_cell_example", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.NestedCell


def numbers(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(0, 0.7, shape).astype(np.float32))


def built(make, units=4, features=3, bidirectional=False, parts=(), **options):
    """A layer of a cell with weights drawn from a fixed seed."""
    user = UserCell("own:Cell", make, None, options, parts)
    layer = CustomRecurrent(user, units, CELL, "rnn/0", bidirectional=bidirectional)
    layer.build((None, 5, features))
    rng = np.random.default_rng(3)
    layer.set_weights([rng.normal(0, 0.5, v.shape) for v in layer.weights])
    return layer


def assert_same(found, wanted, rows=slice(None)):
    assert found.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_allclose(found[name][rows], wanted[name][rows], atol=1e-5, err_msg=name)


@pytest.fixture(params=[False, True], ids=["forward", "bidirectional"])
def lstms(request):
    """The same LSTM as a custom cell and as a built-in one that is stepped through."""
    ours = built(own_cells.LikeLSTM, bidirectional=request.param)
    theirs = BuiltInRecurrent("lstm", 4, CELL, "rnn/0", bidirectional=request.param)
    theirs.build((None, 5, 3))
    theirs.set_weights(ours.get_weights())
    return ours, theirs


@pytest.mark.parametrize("start", [False, True], ids=["from_zeros", "from_a_state"])
def test_custom_lstm_cell_matches_the_built_in_lstm(lstms, start):
    x, lengths = numbers(3, 5, 3), tf.constant(LENGTHS)
    initial = {name: numbers(3, 4, seed=i) for i, name in enumerate(lstms[0].state_spec)} if start else None
    assert lstms[0].state_spec == lstms[1].state_spec
    (output, state), (wanted, wanted_state) = (layer(x, lengths, initial) for layer in lstms)
    np.testing.assert_allclose(output, wanted, atol=1e-6)
    assert_same(state, wanted_state)
    (_, _, arrays), (_, _, wanted_arrays) = (layer.trace(x, lengths, initial) for layer in lstms)
    assert_same(arrays, wanted_arrays)


def test_custom_lstm_cell_has_the_gradients_of_the_built_in_lstm(lstms):
    x, lengths = numbers(3, 5, 3), tf.constant([5, 3, 2])
    gradients, finals = [], []
    for layer in lstms:
        with tf.GradientTape() as tape:
            sequence, state = layer(x, lengths)
            finals.append(layer.final_output(sequence, state))
            loss = tf.reduce_sum(finals[-1] ** 2)
        gradients.append(tape.gradient(loss, [v.value for v in layer.trainable_weights]))
    np.testing.assert_allclose(*finals, atol=1e-6)
    for found, wanted in zip(*gradients, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def nested_by_hand(weights, steps, units, shape, start=None):
    """The states after each step of one row, by loops: (vector [units], matrix [a, b]) a step."""
    kernel_1, kernel_2_3, fade_1, fade_2_3 = weights
    vector, matrix = start or (np.zeros(units), np.zeros(shape))
    for step in steps:
        read = step[3:].reshape(2, 2)
        new = np.array([[np.sum(read * kernel_2_3[:, :, k, m]) for m in range(shape[1])] for k in range(shape[0])])
        vector = vector / (1 + np.exp(-3 * fade_1)) + np.tanh(step[:3] @ kernel_1)
        matrix = matrix / (1 + np.exp(-3 * fade_2_3)) + np.tanh(new)
        yield vector, matrix


def test_cell_with_structured_states_matches_a_numpy_loop():
    layer = built(nested_cell(), 4, 7, bidirectional=True, parts=PARTS, matrix_units=[2, 3])
    assert layer.state_spec == {
        "rnn/0/forward/vector": (4,),
        "rnn/0/forward/matrix": (2, 3),
        "rnn/0/backward/vector": (4,),
        "rnn/0/backward/matrix": (2, 3),
    }
    assert layer.width == 2 * (4 + 6)
    x, weights = numbers(3, 5, 7), layer.get_weights()
    start = {name: numbers(3, *shape, seed=i) for i, (name, shape) in enumerate(layer.state_spec.items())}
    for initial in (None, start):
        sequence, state, arrays = layer.trace(x, tf.constant(LENGTHS), initial)
        assert sequence.shape == (3, 5, 20)
        for row, length in enumerate(LENGTHS):
            for number, (direction, order) in enumerate((("forward", 1), ("backward", -1))):
                names = [f"rnn/0/{direction}/{state}" for state in ("vector", "matrix")]
                first = (np.zeros(4), np.zeros((2, 3))) if initial is None else [start[n][row].numpy() for n in names]
                steps = x[row, :length].numpy()[::order]
                by_hand = list(nested_by_hand(weights[4 * number :][:4], steps, 4, (2, 3), first))
                for name, wanted in zip(names, (by_hand or [first])[-1], strict=True):
                    np.testing.assert_allclose(state[name][row], wanted, atol=1e-5)
                for t, (vector, matrix) in enumerate(by_hand[::order]):
                    np.testing.assert_allclose(arrays[names[0]][row, t], vector, atol=1e-5)
                    np.testing.assert_allclose(arrays[names[1]][row, t], matrix, atol=1e-5)
                    both = np.concatenate([vector, matrix.ravel()])
                    np.testing.assert_allclose(sequence[row, t, 10 * number :][:10], both, atol=1e-5)
                if length == 0:  # what the state was at first, it still is
                    np.testing.assert_allclose(arrays[names[1]][row], np.repeat(first[1][None], 5, 0), atol=1e-6)


@pytest.mark.parametrize("make", [own_cells.LikeLSTM, own_cells.Matrix])
def test_custom_cell_does_not_read_padding(make):
    layer, lengths = built(make, bidirectional=True), tf.constant([5, 1, 2])
    x = numbers(3, 5, 3)
    read = tf.sequence_mask(lengths, 5)[:, :, None]
    (one, state), (other, other_state) = (layer(tf.where(read, x, noise), lengths) for noise in (0.0, -x[::-1]))
    np.testing.assert_array_equal(tf.where(read, one, 0), tf.where(read, other, 0))
    for name, value in state.items():
        np.testing.assert_array_equal(value, other_state[name])
    np.testing.assert_array_equal(layer.final_output(one, state), layer.final_output(other, other_state))


def test_custom_cell_step_by_step_matches_the_whole_sequence():
    layer, x, state = built(own_cells.Matrix), numbers(2, 5, 3), None
    whole, final = layer(x)
    for t in range(5):
        output, state = layer(x[:, t : t + 1], initial=state)
        np.testing.assert_allclose(output[:, 0], whole[:, t], atol=1e-6)
    assert_same(state, final)


def test_custom_cell_starts_from_its_initial_state():
    layer = built(own_cells.Leaky, first=2.0, leak=1.0)
    layer.set_weights([np.zeros((3, 4)), np.ones(4)])
    output, state, arrays = layer.trace(numbers(2, 5, 3), tf.constant([5, 0]))
    np.testing.assert_allclose(output[0, 0], np.tanh([3.0] * 4), atol=1e-6)
    np.testing.assert_array_equal(state["rnn/0/forward/h"], [[7.0] * 4, [2.0] * 4])
    np.testing.assert_array_equal(arrays["rnn/0/forward/h"][:, :, 0], [[3, 4, 5, 6, 7], [2] * 5])
    zeros = {"rnn/0/forward/h": tf.zeros([2, 4])}
    np.testing.assert_array_equal(layer(numbers(2, 5, 3), None, zeros)[1]["rnn/0/forward/h"], np.full((2, 4), 5.0))


def test_variable_names_do_not_depend_on_cells_made_before():
    names = [[w.path for w in built(own_cells.Leaky, bidirectional=True).weights] for _ in range(2)]
    assert names[0] == names[1]
    assert len(set(names[0])) == 4
    assert names[0][0] == "rnn_0/forward/cell/leaky/dense/kernel"
    before, after = (keras.layers.Dense(1).name for _ in range(2))
    assert before != after  # the process goes on counting where it was


class Cell(keras.layers.Layer):
    """A correct cell; the tests below change one thing each."""

    state_size = 2

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)

    def call(self, inputs, states):
        return states[0], states


def cell_with(**attributes):
    return type("Cell", (Cell,), attributes)


class SameNames(Cell):
    def build(self, input_shape):
        self.one, self.two = (self.add_weight(shape=(2,), name="kernel") for _ in range(2))


def test_states_without_names_are_numbered():
    cell = cell_with(state_size=[2, [3, (4, 5)], tf.TensorShape([6])], call=lambda self, x, s: (s[0], s))
    spec = built(cell).state_spec
    assert list(spec.values()) == [(2,), (3,), (4, 5), (6,)]
    assert list(spec) == [f"rnn/0/forward/state_{i}" for i in range(4)]
    assert list(built(Cell).state_spec) == ["rnn/0/forward/h"]


def raises(error):
    def call(self, inputs, states):
        raise error

    return call


@pytest.mark.parametrize(
    ("make", "options", "problem"),
    [
        (Cell, {"alpha": 1}, r"cannot be made: ValueError: Unrecognized keyword arguments passed to Cell"),
        (lambda units: units, {"alpha": 1}, r"cannot be made: TypeError: .*unexpected keyword argument 'alpha'"),
        (lambda units: units, {}, "makes int, not a keras.layers.Layer"),
        (cell_with(state_size=None), {}, "the cell has no state_size"),
        (cell_with(state_size="3"), {}, "state_size contains '3'"),
        (cell_with(state_size=[2, 0]), {}, "state_size contains 0"),
        (cell_with(state_size=[()]), {}, r"state_size contains \(\)"),
        (cell_with(state_names=("a", "b")), {}, "2 state_names for 1 states"),
        (cell_with(state_names=("a/b",)), {}, "'a/b' is not a valid name in state_names"),
        (cell_with(state_names="final"), {}, "'final' is not a valid name in state_names"),
        (cell_with(state_names=("a", "a"), state_size=[2, 2]), {}, "two states have the same name: a, a"),
        (cell_with(call=raises(ValueError("no\nway"))), {}, "cannot read a step: ValueError: no$"),
        (
            cell_with(call=lambda self, x, s: (x, [x])),
            {},
            r"a step returns states of shapes \[\(3,\)\], .* \[\(2,\)\]",
        ),
        (cell_with(call=lambda self, x, s: (x, [])), {}, r"a step returns states of shapes \[\]"),
        (
            cell_with(get_initial_state=lambda self, batch_size: ops.zeros((batch_size, 7))),
            {},
            "get_initial_state returns",
        ),
        (SameNames, {}, "two variables have the same name, kernel"),
    ],
)
def test_invalid_custom_cell_is_refused_in_one_line(make, options, problem):
    with pytest.raises(InputError, match=f"^model.cell: own:Cell: {problem}") as refused:
        built(make, **options)
    assert "\n" not in refused.value.message


def test_stack_gives_structured_inputs_to_its_first_layer_only():
    user = UserCell("own:Nested", nested_cell())
    with pytest.raises(InputError, match="own:Nested"):
        RecurrentStack("rnn", user, Stack(units=4, layers=2), CELL, PARTS)(numbers(2, 5, 7))
