"""Attention and input feeding against plain Keras layers and the equations of the papers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from random_weights import give_random_weights

from rnncli.config import EncoderDecoderModel, parse_config
from rnncli.data.examples import Sizes
from rnncli.errors import ConfigError
from rnncli.layers import Attention, KernelChoice
from rnncli.models.encoder_decoder import EncoderDecoder
from rnncli.models.summary import parameters
from rnncli.states.named_arrays import FED
from rnncli.training.step import smoothed_losses

pytestmark = pytest.mark.usefixtures("runtime")

SIZES = Sizes(source_symbols=6, source_steps=5, target_symbols=4, target_steps=3)
SOURCE = np.array([[5, 3, 2, 4, 1], [2, 4, 0, 0, 0]], np.int32)
LENGTHS = np.array([5, 2], np.int32)
TARGET = np.array([[3, 1, 2], [3, 2, 0]], np.int32)
BEFORE = np.array([[1, 3, 1], [1, 3, 2]], np.int32)
KINDS = ("dot", "general", "additive")

kinds = pytest.mark.parametrize("kind", KINDS)
VARIANTS = {
    **{kind: {"attention": kind} for kind in KINDS},
    "fed": {"attention": "general", "input_feeding": True},
    "fed_additive_gru": {"attention": "additive", "input_feeding": True, "cell": "gru"},
    "tied": {"attention": "general", "decoder": {"units": 4, "embedding": 3, "tied": True}},
    "fed_and_tied": {
        "attention": "general",
        "input_feeding": True,
        "decoder": {"units": 4, "embedding": 3, "tied": True},
    },
    "zero_bridge": {"attention": "general", "bridge": "zero"},
    "two_layers": {"attention": "general", "decoder": {"units": 4, "layers": 2}},
    "one_way": {"attention": "general", "encoder": {"units": 3}},
    "own_cell_steps": {"attention": "general", "implementation": "cell"},
    "monotonic": {"attention": "monotonic"},
    "monotonic_1": {"attention": "monotonic", "attention_order": 1, "attention_window": 2, "cell": "gru"},
    "monotonic_1_tied": {
        "attention": "monotonic",
        "attention_order": 1,
        "decoder": {"units": 4, "layers": 2, "embedding": 3, "tied": True},
    },
}
variants = pytest.mark.parametrize("variant", VARIANTS)


def make(sizes=SIZES, kernel="fused", **section):
    """A model with weights that are drawn from a fixed seed; the encoder's outputs are as wide as the decoder's."""
    small = {"type": "encoder_decoder", "encoder": {"units": 2, "bidirectional": True}, "decoder": {"units": 4}}
    config = EncoderDecoderModel.model_validate({**small, **section})
    choice = KernelChoice("cell" if section.get("implementation") == "cell" else kernel, "a test")
    model = EncoderDecoder(config, sizes, config.cell, choice)
    return give_random_weights(model)


def logits(model, source=SOURCE, lengths=LENGTHS, target=TARGET, seed=None):
    return model.logits(*map(tf.constant, (source, lengths, target)), seed).numpy()


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.7, shape).astype(np.float32)


def softmax(scores):
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


@kinds
def test_attention_matches_the_equations_of_the_papers(kind):
    layer = Attention(kind, units=4, width=3)
    layer.build((None, None, 4), (None, None, 4))
    layer.set_weights([numbers(*w.shape, seed=i) for i, w in enumerate(layer.weights)])
    weights = {w.path.split("/", 1)[1].rsplit("/", 1)[0]: w.numpy() for w in layer.weights}
    query, values = numbers(2, 3, 4, seed=7), numbers(2, 5, 4, seed=8)
    found, looked = layer(tf.constant(query), **layer.memory(tf.constant(values), tf.constant(LENGTHS)))

    if kind == "additive":
        asked, keys = query @ weights["query"], values @ weights["key"]
        scores = np.tanh(asked[:, :, None] + keys[:, None]) @ weights["attend"]
    else:
        keys = values @ weights["key"] if kind == "general" else values
        scores = np.einsum("btu,bsu->bts", query, keys)
    scores[1, :, 2:] = -np.inf  # the second source has two steps
    wanted = softmax(scores)
    np.testing.assert_allclose(looked, wanted, atol=1e-6)
    context = np.einsum("bts,bsw->btw", wanted, values)
    both = np.concatenate([context, query], axis=-1)
    np.testing.assert_allclose(found, np.tanh(both @ weights["combine"]), atol=1e-6)


def plain_network(kind, arrays):
    """The encoder-decoder with attention of plain Keras layers, given the weights by name."""

    def given(layer, inputs, name, **options):
        out = layer(inputs, **options)
        weights = [array for path, array in arrays.items() if path.startswith(name + "/")]
        layer.set_weights(weights)
        return out

    recurrent = {"return_sequences": True, "return_state": True, "use_cudnn": False}
    source, lengths = keras.Input((5,), dtype="int32"), keras.Input((5,), dtype="bool")
    before = keras.Input((3,), dtype="int32")
    read = keras.layers.Lambda(lambda ids: keras.ops.one_hot(ids, 6))(source)
    ahead, *state = given(keras.layers.LSTM(2, **recurrent), read, "encoder_0/forward", mask=lengths)
    back, *state_back = given(
        keras.layers.LSTM(2, go_backwards=True, **recurrent), read, "encoder_0/backward", mask=lengths
    )
    values = keras.ops.concatenate([ahead, keras.ops.flip(back, axis=1)], axis=-1)
    start = [keras.ops.concatenate(pair, axis=-1) for pair in zip(state, state_back, strict=True)]
    written = keras.layers.Lambda(lambda ids: keras.ops.one_hot(ids, 4))(before)
    sequence, *_ = given(keras.layers.LSTM(4, **recurrent), written, "decoder_0/forward", initial_state=start)

    def dense(inputs, width, name):
        return given(keras.layers.Dense(width, use_bias=False), inputs, name)

    keys = values if kind == "dot" else dense(values, 4, "attention/key")
    query = dense(sequence, 4, "attention/query") if kind == "additive" else sequence
    if kind == "additive":
        context = given(
            keras.layers.AdditiveAttention(), [query, values, keys], "attention/attend", mask=[None, lengths]
        )
    else:
        context = keras.layers.Attention()([query, values, keys], mask=[None, lengths])
    both = keras.ops.concatenate([context, sequence], axis=-1)
    vectors = given(keras.layers.Dense(4, use_bias=False, activation="tanh"), both, "attention/combine")
    answers = given(keras.layers.Dense(4), vectors, "output")
    return keras.Model([source, lengths, before], answers)


@pytest.mark.quick("general", "additive")
@kinds
def test_encoder_decoder_with_attention_matches_plain_keras_values_and_gradients(kind):
    model = make(attention=kind)
    plain = plain_network(kind, model.arrays())
    mask = np.arange(5)[None, :] < LENGTHS[:, None]
    factors = numbers(2, 3, 4, seed=3)
    with tf.GradientTape() as tape:
        wanted = plain([SOURCE, mask, BEFORE])
        loss = tf.reduce_sum(wanted * factors)
    np.testing.assert_allclose(logits(model), wanted, atol=1e-5)
    gradients = tape.gradient(loss, [v.value for v in plain.trainable_variables])

    ours = model.network.trainable_variables
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model.logits(*map(tf.constant, (SOURCE, LENGTHS, TARGET))) * factors)
    found = tape.gradient(loss, [v.value for v in ours])
    by_value = {v.numpy().tobytes(): g.numpy() for v, g in zip(plain.trainable_variables, gradients, strict=True)}
    assert len(by_value) == len(ours)
    for variable, gradient in zip(ours, found, strict=True):
        wanted = by_value[variable.numpy().tobytes()]
        np.testing.assert_allclose(gradient, wanted, atol=1e-4, err_msg=variable.path)


def test_input_feeding_reads_the_attention_output_of_the_previous_step():
    model = make(attention="general", input_feeding=True)
    arrays = model.arrays()
    state, memory = model.encode(tf.constant(SOURCE), tf.constant(LENGTHS))
    np.testing.assert_array_equal(state[FED], np.zeros((2, 4)))
    cell = keras.layers.LSTMCell(4)
    cell.build((None, 8))
    cell.set_weights([array for path, array in arrays.items() if path.startswith("decoder_0/")])
    states, fed = [state["decoder/0/forward/h"], state["decoder/0/forward/c"]], state[FED]
    for step in range(3):
        read = tf.concat([tf.one_hot(BEFORE[:, step], 4), fed], axis=-1)
        h, states = cell(read, states)
        fed = model.attention(h[:, None], **memory)[0][:, 0]
        wanted = fed @ arrays["output/kernel"] + arrays["output/bias"]
        np.testing.assert_allclose(logits(model)[:, step], wanted, atol=1e-5)


def test_tied_output_layer_multiplies_by_the_embedding_matrix():
    model = make(**VARIANTS["tied"])
    arrays = model.arrays()
    assert "output/kernel" not in arrays
    state, memory = model.encode(tf.constant(SOURCE), tf.constant(LENGTHS))
    sequence, _ = model.decoder(model.target_embedding(tf.constant(BEFORE)), initial=state)
    vectors, _ = model.attention(sequence, **memory)
    wanted = vectors.numpy() @ arrays["target_symbols/embedding/embeddings"].T + arrays["output/bias"]
    np.testing.assert_allclose(logits(model), wanted, atol=1e-6)


def test_zero_bridge_starts_the_decoder_from_zeros():
    model = make(**VARIANTS["zero_bridge"])
    state, _ = model.encode(tf.constant(SOURCE), tf.constant(LENGTHS))
    assert {name: value.shape.as_list() for name, value in state.items()} == {name: [2, 4] for name in state}
    assert not any(np.any(value) for value in state.values())


@pytest.mark.quick("fed_additive_gru", "two_layers", "own_cell_steps", "monotonic_1_tied")
@variants
def test_decoding_steps_match_the_logits_of_training(variant):
    model = make(**VARIANTS[variant])
    state, memory = model.encode(tf.constant(SOURCE), tf.constant(LENGTHS))
    assert {name: tuple(value.shape[1:]) for name, value in state.items()} == model.state_spec
    for step, wanted in enumerate(np.moveaxis(logits(model), 1, 0)):
        found, state = model.step(tf.constant(BEFORE[:, step]), state, memory)
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.quick("fed_additive_gru", "two_layers", "own_cell_steps", "monotonic_1_tied")
@variants
def test_logits_and_attention_weights_do_not_depend_on_padding(variant):
    model = make(**VARIANTS[variant])
    wider = make(Sizes(6, 8, 4, 3), **VARIANTS[variant])
    wider.assign(model.arrays())
    garbage = np.array([[3, 1, 2], [5, 5, 5]], np.int32)
    source = np.concatenate([SOURCE, garbage], axis=1)
    np.testing.assert_allclose(logits(wider, source=source), logits(model), atol=1e-6)
    alone = model.attention_weights(*(tf.constant(value[1:]) for value in (SOURCE[:, :2], LENGTHS, TARGET)))
    beside = wider.attention_weights(*map(tf.constant, (source, LENGTHS, TARGET)))
    assert not np.any(beside[1, :, 2:])
    np.testing.assert_allclose(beside[1:, :, :2], alone, atol=1e-6)
    np.testing.assert_allclose(np.sum(beside, axis=-1), np.ones((2, 3)), rtol=1e-6)


@pytest.mark.quick("fed_additive_gru", "two_layers", "own_cell_steps", "monotonic_1_tied")
@variants
def test_fused_and_generic_kernel_give_the_same_logits(variant):
    fused, generic = make(**VARIANTS[variant]), make(kernel="generic", **VARIANTS[variant])
    assert fused.arrays().keys() == generic.arrays().keys()
    np.testing.assert_allclose(logits(generic), logits(fused), atol=1e-5)


@pytest.mark.quick("fed_additive_gru")
@pytest.mark.parametrize("variant", ["fed_additive_gru", "fed_and_tied"])
def test_gradients_through_the_loop_of_input_feeding_match_decoding_steps(variant):
    model, factors = make(**VARIANTS[variant]), numbers(2, 3, 4, seed=3)
    variables = [variable.value for variable in model.network.trainable_variables]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model.logits(*map(tf.constant, (SOURCE, LENGTHS, TARGET))) * factors)
    found = tape.gradient(loss, variables)
    with tf.GradientTape() as tape:
        state, memory = model.encode(tf.constant(SOURCE), tf.constant(LENGTHS))
        loss = 0.0
        for step in range(3):
            answer, state = model.step(tf.constant(BEFORE[:, step]), state, memory)
            loss += tf.reduce_sum(answer * factors[:, step])
    for one, other, variable in zip(found, tape.gradient(loss, variables), model.network.weights, strict=True):
        np.testing.assert_allclose(
            tf.convert_to_tensor(one), tf.convert_to_tensor(other), atol=1e-5, err_msg=variable.path
        )


@pytest.mark.quick("fed_additive_gru", "two_layers", "own_cell_steps", "monotonic_1_tied")
@variants
def test_traced_states_match_decoding_steps(variant):
    model = make(**VARIANTS[variant])
    traced = model.trace(*map(tf.constant, (SOURCE, LENGTHS, TARGET, [3, 3])))
    state, memory = model.encode(tf.constant(SOURCE), tf.constant(LENGTHS))
    for step in range(3):
        _, state = model.step(tf.constant(BEFORE[:, step]), state, memory)
        for name in model.decoder.state_spec:
            np.testing.assert_allclose(traced[name][:, step], state[name], atol=1e-5)


@pytest.mark.parametrize("variant", ["fed_additive_gru", "tied", "monotonic_1"])
def test_summary_counts_each_parameter_once(variant):
    model = make(**VARIANTS[variant])
    assert sum(parameters(model.network.layers).values()) == model.network.count_params()


def test_output_dropout_depends_on_the_seed():
    model = make(attention="general", decoder={"units": 4, "output_dropout": 0.5})
    plain = make(attention="general")
    one, again, other = (logits(model, seed=tf.constant([0, step])) for step in (1, 1, 2))
    np.testing.assert_array_equal(logits(model), logits(plain))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)
    assert not np.allclose(one, logits(plain))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_label_smoothing_matches_keras(smoothing):
    given, target = numbers(2, 3, 4, seed=1) * 5, tf.constant(TARGET)
    keras_loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing, reduction=None)
    wanted = keras_loss(tf.one_hot(target, 4), given)
    np.testing.assert_allclose(smoothed_losses(target, tf.constant(given), smoothing), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "place"),
    [
        ("input_feeding: true", r"c:1: model\.input_feeding: .*model\.attention"),
        ("bridge: zero", r"c:1: model\.bridge: .*model\.attention"),
        ("attention: general, cell: {type: custom, class: 'a:B'}", r"c:1: model\.attention: .*model\.cell: custom"),
        ("decoder: {embedding: 3, tied: true}", r"c:1: model\.decoder\.tied: .*attention"),
        ("attention: general, decoder: {tied: true}", r"c:1: model\.decoder\.tied: .*embedding"),
        (
            "attention: dot, encoder: {units: 3}, decoder: {units: 4}",
            r"c:1: model\.attention: dot .*3 and 4.*general",
        ),
        ("attention: luong", r"c:1: model\.attention: 'luong' .*none, dot, general"),
    ],
)
def test_config_refuses_options_that_need_attention(model, place):
    with pytest.raises(ConfigError, match=place):
        parse_config(f"{{task: addition, model: {{type: encoder_decoder, {model}}}}}", "c")
