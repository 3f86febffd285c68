"""Recurrent layers, stacks, dropout and the bridge."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnncli.config import CELLS, Stack
from rnncli.config.models import Encoder
from rnncli.layers import Bridge, BuiltInRecurrent, KernelChoice, RecurrentStack, choose_kernel
from rnncli.layers.cells import keras_layer

pytestmark = [pytest.mark.usefixtures("runtime"), pytest.mark.xla(unroll=False)]

FUSED, GENERIC = KernelChoice("fused", "a test"), KernelChoice("generic", "a test")
cells = pytest.mark.parametrize("cell", CELLS)
both_kernels = pytest.mark.parametrize("choice", [FUSED, GENERIC], ids=lambda choice: choice.kernel)
both_ways = pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])

LENGTHS = [5, 0, 2]
"""Rows read whole, not at all and in part."""


def numbers(*shape, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(0, 0.7, shape).astype(np.float32))


def give_weights(*layers):
    """The same random weights, biases too, to every layer."""
    rng = np.random.default_rng(3)
    weights = [rng.normal(0, 0.5, v.shape) for v in layers[0].weights]
    for layer in layers:
        layer.set_weights(weights)


def built(*args, features=3, **options):
    layer = BuiltInRecurrent(*args, **options)
    layer.build((None, 5, features))
    return layer


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], atol=1e-5, err_msg=name)


def compiled(layer):
    return tf.function(lambda x, lengths: layer(x, lengths), jit_compile=True, autograph=False)


@both_kernels
@cells
def test_recurrent_layer_returns_outputs_and_named_states(cell, choice):
    layer = built(cell, 4, choice, "encoder/0", bidirectional=True)
    sequence, state = layer(numbers(2, 5, 3))
    assert sequence.shape == (2, 5, 8)
    names = [f"encoder/0/{d}/{s}" for d in ("forward", "backward") for s in CELLS[cell].states]
    assert list(state) == list(layer.state_spec) == names
    assert all(layer.state_spec[name] == (4,) for name in names)
    assert all(value.shape == (2, 4) for value in state.values())


@pytest.mark.quick(
    "lstm-bidirectional-from_a_state",
    "gru-bidirectional-from_zeros",
    "simple_rnn-forward-from_a_state",
)
@pytest.mark.parametrize("initial", [False, True], ids=["from_zeros", "from_a_state"])
@both_ways
@cells
def test_fused_and_generic_kernel_give_the_same_outputs_and_states(cell, bidirectional, initial):
    fused, generic = (built(cell, 4, c, "rnn/0", bidirectional=bidirectional) for c in (FUSED, GENERIC))
    give_weights(fused, generic)
    start = {name: numbers(3, 4, seed=i) for i, name in enumerate(fused.state_spec)} if initial else None
    x, lengths = numbers(3, 5, 3), tf.constant(LENGTHS)
    read = tf.sequence_mask(lengths, 5, tf.float32)[:, :, None]
    (found, found_state), (wanted, wanted_state) = (layer(x, lengths, start) for layer in (fused, generic))
    np.testing.assert_allclose(found * read, wanted * read, atol=1e-5)
    assert_same(found_state, wanted_state)


@pytest.mark.quick("gru")
@pytest.mark.xla
@cells
def test_short_sequences_are_unrolled_and_compiled_as_for_users(cell):
    fused, generic = (built(cell, 4, c, "rnn/0", bidirectional=True) for c in (FUSED, GENERIC))
    give_weights(fused, generic)
    x, lengths = numbers(3, 5, 3), tf.constant(LENGTHS)
    read = tf.sequence_mask(lengths, 5, tf.float32)[:, :, None]
    run = compiled(fused)
    (found, found_state), (wanted, wanted_state) = run(x, lengths), generic(x, lengths)
    operations = {node.op for node in run.get_concrete_function(x, lengths).graph.as_graph_def().node}
    assert not {"While", "StatelessWhile"} & operations
    np.testing.assert_allclose(found * read, wanted * read, atol=1e-5)
    assert_same(found_state, wanted_state)


@pytest.mark.quick("lstm-fused-in_part", "gru-fused-whole", "simple_rnn-generic-in_part")
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "in_part"])
@both_kernels
@cells
def test_bidirectional_layer_matches_keras(cell, choice, lengths):
    ours = built(cell, 4, choice, "encoder/0", bidirectional=True)
    inner = keras_layer(cell)(4, return_sequences=True, return_state=True)
    theirs = keras.layers.Bidirectional(inner, merge_mode="concat")
    theirs.build((None, 5, 3))
    give_weights(ours, theirs)
    x = numbers(3, 5, 3)
    mask = None if lengths is None else tf.sequence_mask(lengths, 5)
    read = 1.0 if mask is None else tf.cast(mask, tf.float32)[:, :, None]
    sequence, state = ours(x, None if lengths is None else tf.constant(lengths))
    wanted, *wanted_state = theirs(x, mask=mask)
    np.testing.assert_allclose(sequence * read, wanted * read, atol=1e-5)
    assert_same(state, dict(zip(state, wanted_state, strict=True)))


@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave"])
def test_merge_modes_match_keras(merge):
    ours = built("lstm", 4, FUSED, "encoder/0", bidirectional=True, merge=merge)
    theirs = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True), merge_mode=merge)
    theirs.build((None, 5, 3))
    give_weights(ours, theirs)
    sequence, _ = ours(numbers(3, 5, 3))
    assert sequence.shape == (3, 5, ours.width)
    np.testing.assert_allclose(sequence, theirs(numbers(3, 5, 3)), atol=1e-5)


def test_final_state_is_the_last_output_before_the_padding():
    layer = built("gru", 2, FUSED, "rnn/0", bidirectional=True)
    sequence, state = layer(numbers(2, 5, 3), tf.constant([3, 5]))
    np.testing.assert_array_equal(state["rnn/0/forward/h"], [sequence[0, 2, :2], sequence[1, 4, :2]])
    np.testing.assert_array_equal(state["rnn/0/backward/h"], sequence[:, 0, 2:])


def test_initial_states_of_other_layers_are_ignored():
    layer = built("gru", 2, FUSED, "rnn/1")
    start = {"rnn/0/forward/h": numbers(1, 7), "rnn/1/forward/h": numbers(1, 2)}
    _, state = layer(numbers(1, 5, 3), tf.constant([0]), start)
    assert_same(state, {"rnn/1/forward/h": start["rnn/1/forward/h"]})


def test_stack_names_the_states_of_all_layers():
    stack = RecurrentStack("encoder", "lstm", Encoder(units=4, layers=2, bidirectional=True), FUSED)
    assert list(stack.state_spec) == [
        *("encoder/0/forward/h", "encoder/0/forward/c", "encoder/0/backward/h", "encoder/0/backward/c"),
        *("encoder/1/forward/h", "encoder/1/forward/c", "encoder/1/backward/h", "encoder/1/backward/c"),
    ]
    _, state = stack(numbers(2, 3, 3))
    assert {name: value.shape[1:] for name, value in state.items()} == stack.state_spec


@pytest.mark.quick("gru-fused", "lstm-generic")
@both_kernels
@cells
def test_stack_step_by_step_matches_the_whole_sequence(cell, choice):
    stack = RecurrentStack("decoder", cell, Stack(units=4, layers=2), choice)
    x, state = numbers(2, 5, 3), {name: numbers(2, 4, seed=i) for i, name in enumerate(stack.state_spec)}
    whole, final = stack(x, initial=state)
    for t in range(5):
        output, state = stack(x[:, t : t + 1], initial=state)
        np.testing.assert_allclose(output[:, 0], whole[:, t], atol=1e-5)
    assert_same(state, final)


@pytest.mark.quick("lstm-fused", "gru-generic")
@both_kernels
@cells
def test_trace_has_the_state_after_every_step(cell, choice):
    stack = RecurrentStack("rnn", cell, Stack(units=4, layers=2), choice)
    x, lengths = numbers(3, 5, 3), tf.constant(LENGTHS)
    output, final, arrays = stack.trace(x, lengths)
    wanted_output, wanted_final = stack(x, lengths)
    np.testing.assert_array_equal(output, wanted_output)
    assert_same(final, wanted_final)
    assert_same({n: arrays[n.replace("forward/", "forward/final/")] for n in final}, final)
    for t in range(5):
        _, state = stack(x[:, : t + 1], tf.minimum(lengths, t + 1))
        assert_same({name: arrays[name][:, t] for name in final}, state)


def test_dropout_depends_on_the_seed_only():
    stack, x = RecurrentStack("rnn", "gru", Stack(units=4, layers=2, dropout=0.5), FUSED), numbers(2, 5, 3)
    first, again, other_step, other_run = (stack(x, seed=tf.constant(s))[0] for s in ([1, 2], [1, 2], [1, 3], [2, 2]))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other_step)
    assert not np.allclose(first, other_run)


def test_stack_without_a_seed_has_no_dropout():
    stack, x = RecurrentStack("rnn", "gru", Stack(units=4, layers=2, dropout=0.5), FUSED), numbers(2, 5, 3)
    found = stack(x)[0]
    stack.dropout = 0.0
    np.testing.assert_array_equal(found, stack(x, seed=tf.constant([1, 2]))[0])


class Eye:
    """In a layer's place: keeps what it was given to read."""

    def __init__(self, layer):
        self.prefix = layer.prefix

    def __call__(self, sequence, *_, **__):
        self.saw = sequence.numpy().ravel()
        return tf.ones_like(sequence), {}


def dropped_of_ones(rate, seed=(0, 0)):
    """Return the input of each of 32 encoder and 32 decoder layers, which is 1000 ones without dropout."""
    saw = []
    for prefix in ("encoder", "decoder"):
        stack = RecurrentStack(prefix, "gru", Stack(units=1, layers=32, dropout=rate), FUSED)
        stack.layers = [Eye(layer) for layer in stack.layers]
        stack(tf.ones([10, 10, 10]), seed=tf.constant(seed))
        saw += [layer.saw for layer in stack.layers]
    return saw


def test_dropout_rate_and_scale():
    for saw in dropped_of_ones(0.2):
        assert set(np.round(saw, 5)) == {0.0, 1.25}
        assert 130 < (saw == 0).sum() < 270  # 200 expected, standard deviation 13


def test_every_layer_and_step_has_its_own_dropout_mask():
    masks = {tuple(saw) for step in range(3) for saw in dropped_of_ones(0.5, (1, step))}
    assert len(masks) == 3 * 64


def test_stack_with_constant_input_matches_the_repeated_input():
    stack, x = (
        RecurrentStack("decoder", "lstm", Stack(units=4, layers=2, dropout=0.5), FUSED),
        tf.repeat(numbers(2, 1, 3), 5, axis=1),
    )
    for seed in (None, tf.constant([1, 2])):
        np.testing.assert_allclose(stack(x, seed=seed, constant=True)[0], stack(x, seed=seed)[0], atol=1e-6)


def test_copy_bridge_copies_states_in_order():
    bridge = Bridge({"e/h": (2,), "e/c": (3,)}, {"d/h": (2,), "d/c": (3,)}, "copy")
    state = {"e/c": numbers(4, 3), "e/h": numbers(4, 2)}
    assert_same(bridge(state), {"d/h": state["e/h"], "d/c": state["e/c"]})
    assert bridge.weights == []


def test_copy_bridge_refuses_states_of_other_shapes():
    with pytest.raises(ValueError, match="differ in shape"):
        Bridge({"e/h": (2,)}, {"d/h": (3,)}, "copy")


def test_dense_bridge_computes_each_state_from_all_states():
    bridge = Bridge({"e/h": (1,), "e/c": (2,)}, {"d/h": (2,)}, "dense")
    bridge.build(None)
    bridge.set_weights([np.array([[1.0, 0.0], [0.0, 10.0], [100.0, 0.0]]), np.array([0.5, 0.25])])
    state = {"e/h": tf.constant([[1.0]]), "e/c": tf.constant([[2.0, 3.0]])}
    assert_same(bridge(state), {"d/h": [[301.5, 20.25]]})


@pytest.mark.parametrize("cell", CELLS)
def test_implementation_cell_matches_the_layer(cell):
    chosen = choose_kernel(cell, "auto", True, "cell")
    assert chosen.kernel == "cell"
    assert "model.implementation: cell" in chosen.reason
    assert "cuDNN" in chosen.reason
    layers = [BuiltInRecurrent(cell, 3, choice, "rnn/0", bidirectional=True) for choice in (chosen, FUSED)]
    x, lengths = tf.random.stateless_normal([4, 6, 2], [1, 2]), tf.constant([6, 3, 1, 5])
    for layer in layers:
        layer.build(x.shape)
    assert [v.path for v in layers[0].weights] == [v.path for v in layers[1].weights]
    layers[0].set_weights(layers[1].get_weights())
    (by_cell, cell_state), (by_layer, state) = (layer(x, lengths) for layer in layers)
    for row, length in enumerate(lengths.numpy()):
        np.testing.assert_allclose(by_cell[row, :length], by_layer[row, :length], atol=1e-5)
    for name, value in state.items():
        np.testing.assert_allclose(cell_state[name], value, atol=1e-5)


def test_recurrent_dropout_depends_on_seed_layer_and_direction():
    stack, x = (
        RecurrentStack("rnn", "gru", Encoder(units=30, layers=2, bidirectional=True, recurrent_dropout=0.5), FUSED),
        numbers(2, 5, 3),
    )
    plain, _ = stack(x)
    seed = tf.constant([3, 1])
    dropped, _ = stack(x, seed=seed)
    np.testing.assert_array_equal(dropped, stack(x, seed=seed)[0])
    assert not np.allclose(dropped, plain)
    assert not np.allclose(dropped, stack(x, seed=tf.constant([3, 2]))[0])
    keep = stack.recurrent_dropout_masks(stack.layers[1], 2, seed)
    assert set(np.unique(keep["forward"])) == {0.0, 2.0}
    assert not np.array_equal(keep["forward"], keep["backward"])
    assert not np.array_equal(keep["forward"], stack.recurrent_dropout_masks(stack.layers[0], 2, seed)["forward"])
