"""The classifier of two texts: the counts of the Keras guide, plain Keras with the same weights, bridges, FLOP."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from random_weights import give_random_weights

from rnncli.config import ClassifierModel
from rnncli.data.examples import Examples, Sizes
from rnncli.layers import KernelChoice
from rnncli.models import make_model
from rnncli.models.summary import describe
from rnncli.runtime.flops import needed_flop

pytestmark = [pytest.mark.usefixtures("runtime"), pytest.mark.xla(unroll=False)]

FIRST_STEPS, STEPS = 4, 5
# ids 0 and 1 are padding and the unknown symbol, 2 to 5 those of the second text, 6 to 8 those of the first
SIZES = Sizes(9, FIRST_STEPS + STEPS, 3, 1, tags=FIRST_STEPS, first_symbols=5)
FIRST = np.array([[6, 8, 7, 0], [1, 8, 6, 7], [8, 0, 0, 0]], np.int32)
SECOND = np.array([[5, 3, 2, 4, 1], [2, 4, 0, 0, 0], [3, 3, 4, 0, 0]], np.int32)
FIRST_OF_ITS_OWN = np.array([[2, 4, 3, 0], [1, 4, 2, 3], [4, 0, 0, 0]], np.int32)
SOURCE = np.concatenate([FIRST, SECOND], axis=1)
LENGTHS = FIRST_STEPS + np.array([5, 2, 3], np.int32)
LAYERS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "simple_rnn": keras.layers.SimpleRNN}


def make(kernel="fused", sizes=SIZES, **section):
    small = {"units": 4, "embedding": 2, "encoder": {"units": 4, "embedding": 3}}
    config = ClassifierModel.model_validate({"type": "classifier", **small, **section})
    model = make_model(config, sizes, config.cell, KernelChoice(kernel, "a test"))
    return give_random_weights(model)


def read(model, source=SOURCE, lengths=LENGTHS):
    return model.read(tf.constant(source), tf.constant(lengths))[:, 0]


def test_counts_are_those_of_the_guide_of_keras():
    """https://keras.io/guides/working_with_rnns: two embeddings, an encoder, a decoder and Dense(10)."""
    sizes = Sizes(1000 + 2000 - 2, 12, 10, 1, tags=6, first_symbols=1000)
    model = make(sizes=sizes, units=64, embedding=64, encoder={"units": 64, "embedding": 64})
    counts = {layer.name: layer.count_params() for layer in model.network.layers if layer.count_params()}
    assert counts == {
        "first_symbols": 64_000,
        "second_symbols": 128_000,
        "encoder_0": 33_024,
        "decoder_0": 33_024,
        "output": 650,
    }
    shown = describe(model)
    assert "total: 258,698 parameters" in shown
    assert re.search(r"bridge +Bridge +\(None, 64\), \(None, 64\) +0\n", shown), "both states pass as they are"


def plain_network(model, cell, embeddings):
    """The same network of Keras's own layers with the same weights, and its variables by the names of the model's."""
    arrays, variables, made = model.arrays(), {}, {}

    def named(name, layer):
        made[name] = layer
        return layer

    def vectors(name, ids, symbols, width):
        if width is None:
            return keras.ops.one_hot(ids, symbols)
        return named(name, keras.layers.Embedding(symbols, width))(ids)

    first, second = (keras.Input((steps,), dtype="int32") for steps in (FIRST_STEPS, STEPS))
    encoder = named("encoder_0/forward", LAYERS[cell](4, return_state=True))
    _, *state = encoder(vectors("first_symbols", first, 5, embeddings[0]), mask=first != 0)
    decoder = named("decoder_0/forward", LAYERS[cell](4))
    last = decoder(vectors("second_symbols", second, 6, embeddings[1]), initial_state=state, mask=second != 0)
    network = keras.Model([first, second], named("output", keras.layers.Dense(3))(last))
    for name, layer in made.items():
        own = {path: array for path, array in arrays.items() if path.startswith(name + "/")}
        layer.set_weights(list(own.values()))
        variables |= dict(zip(own, layer.trainable_variables, strict=True))
    return network, variables


@pytest.mark.parametrize(
    ("cell", "kernel", "embeddings"),
    [
        ("lstm", "fused", (3, 2)),
        ("gru", "fused", (None, 2)),
        pytest.param("simple_rnn", "fused", (3, None), marks=pytest.mark.long),
        pytest.param("gru", "generic", (3, 2), marks=pytest.mark.long),
        pytest.param("lstm", "generic", (None, None), marks=pytest.mark.long),
    ],
)
def test_values_and_gradients_are_those_of_plain_keras(cell, kernel, embeddings):
    model = make(kernel, cell=cell, embedding=embeddings[1], encoder={"units": 4, "embedding": embeddings[0]})
    network, variables = plain_network(model, cell, embeddings)
    own = {variable.path: variable.value for variable in model.network.trainable_variables}
    slope = tf.constant(np.random.default_rng(1).normal(size=(3, 3)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        found, wanted = read(model), network([FIRST_OF_ITS_OWN, SECOND])
        loss, plain_loss = tf.reduce_sum(found * slope), tf.reduce_sum(wanted * slope)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert set(own) == set(variables)
    for name, variable in variables.items():
        gradient, plain = (
            tf.convert_to_tensor(tape.gradient(each, [of])[0])
            for each, of in ((loss, own[name]), (plain_loss, variable.value))
        )
        assert np.abs(plain).max() > 0, name
        np.testing.assert_allclose(gradient, plain, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_the_network_of_keras_and_any_padding_give_the_same_logits(pooling):
    model = make(pooling=pooling, layers=2, encoder={"units": 4, "layers": 2, "embedding": 3})
    np.testing.assert_allclose(model.network([SOURCE, LENGTHS])[:, 0], read(model), atol=1e-5)
    short = read(model, SOURCE[1:2, : FIRST_STEPS + 2], LENGTHS[1:2])
    np.testing.assert_allclose(short, read(model)[1:2], atol=1e-6)


@pytest.mark.parametrize(
    ("encoder", "decoder", "kind"),
    [
        ({"units": 4}, {"units": 4}, "copy"),
        ({"units": 4, "bidirectional": True}, {"units": 8}, "copy"),
        ({"units": 4, "bidirectional": True}, {"units": 4, "bidirectional": True}, "copy"),
        ({"units": [4, 3]}, {"units": [4, 3]}, "copy"),
        ({"units": 4}, {"units": 5}, "dense"),
        ({"units": 4}, {"units": 4, "layers": 2}, "dense"),
        ({"units": 4, "layers": 2}, {"units": 4, "bidirectional": True}, "dense"),
        ({"units": 4, "bidirectional": True}, {"units": 4}, "dense"),
    ],
)
def test_states_pass_as_they_are_if_they_fit_and_else_by_dense_layers(encoder, decoder, kind):
    model = make(**decoder, encoder=encoder)
    assert model.bridge.kind == kind
    traced = model.trace(*map(tf.constant, (SOURCE, LENGTHS, LENGTHS[:, None], LENGTHS)))
    final = {
        name.replace("/final/", "/"): value
        for name, value in traced.items()
        if name.startswith("encoder/") and "/final/" in name
    }
    start = model.bridge(final)
    assert {name: value.shape[1:] for name, value in start.items()} == model.state_spec
    if encoder.get("bidirectional") and decoder.get("bidirectional"):
        for name, value in start.items():
            np.testing.assert_array_equal(value, final[name.replace("decoder", "encoder")])
    from_states = model.read_from(start, tf.constant(SOURCE), tf.constant(LENGTHS))[0][:, 0]
    np.testing.assert_allclose(from_states, read(model), atol=1e-6)


def test_trace_has_the_states_of_each_text_after_its_own_steps():
    model = make()
    traced = model.trace(*map(tf.constant, (SOURCE, LENGTHS, LENGTHS[:, None], LENGTHS)))
    assert traced["encoder/0/forward/h"].shape == (3, FIRST_STEPS, 4)
    assert traced["decoder/0/forward/h"].shape == (3, STEPS, 4)
    for side, lengths in (("encoder", [3, 4, 1]), ("decoder", [5, 2, 3])):
        for row, length in enumerate(lengths):
            last = traced[f"{side}/0/forward/h"][row, length - 1]
            np.testing.assert_array_equal(last, traced[f"{side}/0/forward/final/h"][row])
    _, final = model.read_from(None, tf.constant(SOURCE), tf.constant(LENGTHS))
    np.testing.assert_allclose(final["decoder/0/forward/c"], traced["decoder/0/forward/final/c"], atol=1e-6)


def test_unrolled_sources_begin_with_their_first_text():
    model = make()
    whole = tf.constant(SOURCE[:1])
    outputs, final = model.unroll(whole, None)
    traced = model.trace(whole, tf.constant(LENGTHS[:1]), tf.constant([[0]]), tf.constant([1]))
    np.testing.assert_allclose(outputs, traced["decoder/0/output"], atol=1e-6)
    _, states = model.unroll(tf.constant(SOURCE[:1, : FIRST_STEPS + 2]), None)
    rest = np.concatenate([FIRST[:1], SECOND[:1, 2:]], axis=1)
    for name, state in model.unroll(tf.constant(rest), states)[1].items():
        np.testing.assert_allclose(state, final[name], atol=1e-6)


def test_dropout_masks_differ_between_both_stacks_and_follow_from_the_seed():
    encoder = {"units": 4, "embedding": 4, "recurrent_dropout": 0.5}
    model = make(embedding=4, recurrent_dropout=0.5, dropout=0.5, encoder=encoder)
    seeds = [tf.constant([3, 4]), tf.constant([3, 4]), tf.constant([3, 5])]
    one, same, other = (
        model.logits(tf.constant(SOURCE), tf.constant(LENGTHS), tf.constant(LENGTHS[:, None]), seed) for seed in seeds
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3
    masks = [
        stack.recurrent_dropout_masks(stack.layers[0], 3, seeds[0])["forward"]
        for stack in (model.encoder, model.decoder)
    ]
    assert (masks[0] != masks[1]).numpy().any()


@pytest.mark.parametrize(("units", "bridge"), [(4, 0), (5, 6 * 8 * 10)])
def test_flop_count_has_both_texts_at_their_own_lengths(units, bridge):
    config = ClassifierModel.model_validate({"type": "classifier", "units": units, "encoder": {"units": 4}})
    ones = np.ones((3, 1), np.int32)
    found = needed_flop(config, SIZES, Examples(SOURCE, LENGTHS, ones, ones[:, 0]))
    first = 6 * 4 * 4 * 4 * np.mean([2, 3, 0])  # the first step from zeros is no product
    second = 6 * 4 * units * units * np.mean([5, 2, 3])
    assert found == pytest.approx(first + second + bridge + 6 * units * 3)
