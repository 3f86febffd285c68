"""Encoder-decoders whose features have an encoder of their own, against a plain functional Keras model."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from random_weights import give_random_weights

from rnncli.config import EncoderDecoderModel
from rnncli.data.examples import Examples, Sizes
from rnncli.layers import KernelChoice
from rnncli.models import make_model
from rnncli.runtime.flops import needed_flop

pytestmark = [pytest.mark.usefixtures("runtime"), pytest.mark.xla(unroll=False)]

TAGS, STEPS = 3, 5
SIZES = Sizes(source_symbols=9, source_steps=TAGS + STEPS, target_symbols=6, target_steps=3, tags=TAGS)
FEATURES = np.array([[7, 8, 0], [8, 0, 0], [0, 0, 0]], np.int32)
TEXT = np.array([[5, 3, 4, 4, 6], [4, 6, 0, 0, 0], [3, 5, 5, 0, 0]], np.int32)
SOURCE = np.concatenate([FEATURES, TEXT], axis=1)
LENGTHS = np.array([8, 5, 6], np.int32)
TARGET = np.array([[3, 5, 2], [4, 2, 0], [3, 2, 0]], np.int32)
BEFORE = np.array([[1, 3, 5], [1, 4, 2], [1, 3, 2]], np.int32)
LAYERS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "simple_rnn": keras.layers.SimpleRNN}


def make(kernel="fused", sizes=SIZES, **section):
    small = {"encoder": {"units": 4, "embedding": 3}, "decoder": {"units": 4, "embedding": 2}}
    config = EncoderDecoderModel.model_validate({"type": "encoder_decoder", **small, **section})
    model = make_model(config, sizes, config.cell, KernelChoice(kernel, "a test"))
    return give_random_weights(model)


def logits(model, source=SOURCE, lengths=LENGTHS):
    return model.logits(*map(tf.constant, (source, lengths, TARGET)))


class Vectors(keras.layers.Layer):
    """One-hot vectors, or those of a learned embedding."""

    def __init__(self, symbols, embedding):
        super().__init__()
        self.symbols, self.table = symbols, embedding and keras.layers.Embedding(symbols, embedding)

    def call(self, ids):
        return self.table(ids) if self.table else ops.one_hot(ids, self.symbols)


def plain_network(model, cell="lstm", attention=True, embeddings=(3, 2)):
    """The same network of Keras's own layers with the same weights, and its variables by the names of the model's."""
    arrays, variables, made = model.arrays(), {}, {}

    def named(name, layer):
        made[name] = layer
        return layer

    features, text, before = (keras.Input((steps,), dtype="int32") for steps in (TAGS, STEPS, 3))
    source_vectors = named("source_symbols", Vectors(9, embeddings[0]))
    given = ops.cast(features != 0, "float32")[:, :, None]
    dense = named("feature_encoder/dense", keras.layers.Dense(4, activation="tanh"))
    vector = dense(ops.sum(source_vectors(features) * given, axis=1))
    beside = keras.layers.Concatenate()
    options = {"return_sequences": True, "return_state": True}
    encoder = named("encoder_0/forward", LAYERS[cell](4, **options))
    read = beside([source_vectors(text), keras.layers.RepeatVector(STEPS)(vector)])
    values, *state = encoder(read, mask=text != 0)
    read = beside([named("target_symbols", Vectors(6, embeddings[1]))(before), keras.layers.RepeatVector(3)(vector)])
    decoder = named("decoder_0/forward", LAYERS[cell](4, **options))
    query, *_ = decoder(read, initial_state=state)
    if attention:
        keys = named("attention/key", keras.layers.Dense(4, use_bias=False))(values)
        context = keras.layers.Attention()([query, values, keys], mask=[None, text != 0])
        combine = named("attention/combine", keras.layers.Dense(4, use_bias=False, activation="tanh"))
        query = combine(beside([context, query]))
    network = keras.Model([features, text, before], named("output", keras.layers.Dense(6))(query))
    for name, layer in made.items():
        own = {path: array for path, array in arrays.items() if path.startswith(name + "/")}
        layer.set_weights(list(own.values()))
        variables |= dict(zip(own, layer.trainable_variables, strict=True))
    return network, variables


@pytest.mark.parametrize(
    ("cell", "kernel", "attention", "embeddings"),
    [
        ("lstm", "fused", True, (3, 2)),
        ("gru", "fused", False, (None, None)),
        pytest.param("simple_rnn", "fused", True, (3, None), marks=pytest.mark.long),
        pytest.param("gru", "generic", True, (3, 2), marks=pytest.mark.long),
        pytest.param("lstm", "generic", False, (None, 2), marks=pytest.mark.long),
    ],
)
def test_values_and_gradients_are_those_of_plain_keras(cell, kernel, attention, embeddings):
    encoder, decoder = ({"units": 4, "embedding": width} for width in embeddings)
    kind = "general" if attention else "none"
    model = make(kernel, cell=cell, attention=kind, encoder=encoder, decoder=decoder)
    network, variables = plain_network(model, cell, attention, embeddings)
    own = {variable.path: variable.value for variable in model.network.trainable_variables}
    slope = tf.constant(np.random.default_rng(1).normal(size=(3, 3, 6)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        found, wanted = logits(model), network([FEATURES, TEXT, BEFORE])
        loss, plain_loss = tf.reduce_sum(found * slope), tf.reduce_sum(wanted * slope)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert set(own) == set(variables)
    for name, variable in variables.items():
        gradient, plain = (
            tf.convert_to_tensor(tape.gradient(each, [of])[0])
            for each, of in ((loss, own[name]), (plain_loss, variable.value))
        )
        np.testing.assert_allclose(gradient, plain, atol=1e-4, err_msg=name)


def test_lookup_and_vectors_give_the_same_logits():
    """The network of Keras's functional model projects vectors, the training step rows of the table."""
    for section in ({}, {"attention": "additive", "input_feeding": True, "bridge": "zero"}):
        model = make(**section)
        steps = BEFORE if not section else BEFORE[:, :1]
        found = model.network([SOURCE, LENGTHS, steps])
        np.testing.assert_allclose(found, logits(model)[:, : steps.shape[1]], atol=1e-5)


MONOTONIC = {"attention": "monotonic", "attention_order": 1}


@pytest.mark.parametrize(
    "section", [{}, {"attention": "general"}, {"attention": "general", "input_feeding": True}, MONOTONIC]
)
def test_decoding_steps_match_the_logits_of_training(section):
    model = make(**section)
    assert model.has_memory
    state, memory = model.encode(SOURCE, LENGTHS)
    for step, wanted in enumerate(np.moveaxis(logits(model).numpy(), 1, 0)):
        found, state = model.step(BEFORE[:, step], state, memory)
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_unrolled_sources_begin_with_their_features():
    model = make(encoder={"units": 4, "embedding": 3})
    whole = np.array([[7, 8, 0, 5, 3, 4], [8, 0, 0, 4, 6, 4]], np.int32)
    outputs, final = model.unroll(tf.constant(whole), None)
    traced = model.trace(tf.constant(whole), tf.constant([6, 6]), tf.constant(TARGET[:2]), tf.constant([3, 2]))
    np.testing.assert_allclose(outputs, traced["encoder/0/output"], atol=1e-6)
    _, states = model.unroll(tf.constant(whole[:, :4]), None)
    rest = np.concatenate([whole[:, :TAGS], whole[:, 4:]], axis=1)
    for name, state in model.unroll(tf.constant(rest), states)[1].items():
        np.testing.assert_allclose(state, final[name], atol=1e-6)


def test_order_of_features_and_padding_do_not_matter():
    model = make(attention="general")
    other = SOURCE.copy()
    other[:2, :TAGS] = [[0, 8, 7], [0, 0, 8]]
    np.testing.assert_allclose(logits(model, other), logits(model), atol=1e-6)
    other[0, 2] = 8
    assert not np.allclose(logits(model, other)[0], logits(model)[0], atol=1e-3)
    padded = np.concatenate([SOURCE, [[5], [6], [3]]], axis=1).astype(np.int32)
    np.testing.assert_allclose(logits(model, padded), logits(model), atol=1e-6)


@pytest.mark.parametrize("section", [{"attention": "general"}, MONOTONIC])
def test_no_step_attends_to_features_and_states_have_the_steps_of_the_text(section):
    model = make(**section)
    weights = model.attention_weights(*map(tf.constant, (SOURCE, LENGTHS, TARGET))).numpy()
    assert weights.shape == (3, 3, TAGS + STEPS)
    assert (weights[:, :, :TAGS] == 0).all()
    np.testing.assert_allclose(weights.sum(axis=2), 1, atol=1e-6)
    lengths = tf.constant([3, 2, 2])
    traced = model.trace(*map(tf.constant, (SOURCE, LENGTHS, TARGET)), lengths)
    assert traced["encoder/0/forward/h"].shape == (3, STEPS, 4)
    assert traced["decoder/0/forward/h"].shape == (3, 3, 4)
    start, _ = model.encode(SOURCE, LENGTHS)
    np.testing.assert_allclose(traced["encoder/0/forward/final/h"], start["decoder/0/forward/h"], atol=1e-6)


@pytest.mark.parametrize(("dropout", "rows"), [(0.0, 1 + 1), (0.5, STEPS + 3)])
def test_flop_count_has_the_dense_layer_and_the_projections_of_its_vector(dropout, rows):
    counted = []
    for tags in (0, TAGS):
        encoder, decoder = ({"units": 4, "embedding": width, "dropout": dropout} for width in (3, 2))
        section = {"type": "encoder_decoder", "encoder": encoder, "decoder": decoder}
        config = EncoderDecoderModel.model_validate(section)
        source = np.zeros((1, STEPS + tags), np.int32)
        examples = Examples(source, np.array([STEPS + tags]), np.zeros((1, 3), np.int32), np.array([3]))
        sizes = Sizes(9, STEPS + tags, 6, 3, tags=tags)
        counted.append(needed_flop(config, sizes, examples))
    assert counted[1] - counted[0] == 6 * 3 * 4 + 6 * rows * 4 * 16
