"""Models against plain Keras layers with the same weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from random_weights import give_random_weights

from rnncli.config import CELLS, ClassifierModel, EncoderDecoderModel, NextStepModel, RepeatVectorModel, parse_config
from rnncli.data.examples import Sizes
from rnncli.data.tasks import build_task
from rnncli.errors import InputError
from rnncli.layers import KernelChoice
from rnncli.layers.cells import keras_layer
from rnncli.models import build_model, make_model

pytestmark = [pytest.mark.usefixtures("runtime"), pytest.mark.xla(unroll=False)]

SIZES = Sizes(source_symbols=6, source_steps=5, target_symbols=4, target_steps=3)
SOURCE = np.array([[5, 3, 2, 4, 1], [2, 4, 0, 0, 0]], np.int32)
LENGTHS = np.array([5, 2], np.int32)
TARGET = np.array([[3, 1, 2], [3, 2, 0]], np.int32)
BEFORE = np.array([[1, 3, 1], [1, 3, 2]], np.int32)  # what stands before each step of TARGET, after <bos>

cells = pytest.mark.parametrize("cell", CELLS)
SECTIONS = {
    "encoder_decoder": EncoderDecoderModel,
    "repeat_vector": RepeatVectorModel,
    "next_step": NextStepModel,
    "classifier": ClassifierModel,
}
kinds = pytest.mark.parametrize("kind", SECTIONS)
MANY_TO_ONE = ("next_step", "classifier")


def make(kind, sizes=SIZES, kernel="fused", **section):
    """A model with weights, biases too, that are drawn from a fixed seed."""
    small = {"units": 4} if kind in MANY_TO_ONE else {"encoder": {"units": 4}, "decoder": {"units": 4}}
    config = SECTIONS[kind].model_validate({"type": kind, **small, **section})
    model = make_model(config, sizes, config.cell, KernelChoice(kernel, "a test"))
    return give_random_weights(model)


def logits(model, source=SOURCE, lengths=LENGTHS, target=TARGET):
    return model.logits(*map(tf.constant, (source, lengths, target))).numpy()


class Plain:
    """Keras layers in the place of a model's own, each with the weights that the model has under a name."""

    def __init__(self, model):
        self.arrays = model.arrays()

    def layer(self, layer, *inputs, name, **options):
        layer.build(tuple(inputs[0].shape))
        layer.set_weights([array for path, array in self.arrays.items() if path.startswith(name + "/")])
        return layer(*inputs, **options)

    def recurrent(self, cell, inputs, name, mask=None, initial=None, units=4):
        """Outputs, and the states as a list."""
        options = {"use_cudnn": False} if CELLS[cell].cudnn else {}
        layer = keras_layer(cell)(units, return_sequences=True, return_state=True, **options)
        output, *states = self.layer(layer, inputs, name=name, mask=mask, initial_state=initial)
        return output, states

    def dense(self, inputs, symbols, name="output"):
        return self.layer(keras.layers.Dense(symbols), inputs, name=name)


@cells
def test_encoder_decoder_matches_two_keras_layers_joined_by_their_state(cell):
    model = make("encoder_decoder", cell=cell)
    plain = Plain(model)
    mask = tf.sequence_mask(LENGTHS, 5)
    _, state = plain.recurrent(cell, tf.one_hot(SOURCE, 6), "encoder_0/forward", mask)
    sequence, _ = plain.recurrent(cell, tf.one_hot(BEFORE, 4), "decoder_0/forward", initial=state)
    np.testing.assert_allclose(logits(model), plain.dense(sequence, 4), atol=1e-5)


def two_layers_both_ways(plain, vectors, name):
    """The outputs and final states of two bidirectional GRU layers of 3 units."""
    mask = tf.sequence_mask(LENGTHS, 5)
    read = tf.cast(mask, tf.float32)[:, :, None]
    sequence, states = vectors, []
    for layer in (f"{name}_0", f"{name}_1"):
        both = keras.layers.Bidirectional(keras.layers.GRU(3, return_sequences=True, return_state=True))
        sequence, *ends = plain.layer(both, sequence * read, name=layer, mask=mask)
        states.append(tf.concat(ends, axis=1))
    return states


def test_encoder_decoder_with_all_options_matches_keras():
    """Two layers, both directions, embeddings, and a bridge from 2 x 2 x 3 to 4 values."""
    encoder = {"units": 3, "layers": 2, "bidirectional": True, "embedding": 2}
    model = make("encoder_decoder", cell="gru", encoder=encoder, decoder={"units": 4, "embedding": 3})
    plain = Plain(model)
    vectors = plain.layer(keras.layers.Embedding(6, 2), SOURCE, name="source_symbols")
    states = two_layers_both_ways(plain, vectors, "encoder")
    begin = plain.dense(tf.concat(states, axis=1), 4, "bridge")
    before = plain.layer(keras.layers.Embedding(4, 3), BEFORE, name="target_symbols")
    sequence, _ = plain.recurrent("gru", before, "decoder_0/forward", initial=[begin])
    np.testing.assert_allclose(logits(model), plain.dense(sequence, 4), atol=1e-5)


@pytest.mark.quick("gru")
@cells
def test_repeat_vector_matches_keras(cell):
    model = make("repeat_vector", cell=cell, decoder={"units": 5, "layers": 2})
    plain = Plain(model)
    last, _ = plain.recurrent(cell, tf.one_hot(SOURCE, 6), "encoder_0/forward", tf.sequence_mask(LENGTHS, 5))
    sequence = keras.layers.RepeatVector(3)(last[:, -1])
    for name in ("decoder_0", "decoder_1"):
        sequence, _ = plain.recurrent(cell, sequence, name + "/forward", units=5)
    output = plain.layer(keras.layers.TimeDistributed(keras.layers.Dense(4)), sequence, name="output")
    np.testing.assert_allclose(logits(model), output, atol=1e-5)


def test_bidirectional_repeat_vector_matches_keras():
    model = make("repeat_vector", cell="gru", encoder={"units": 3, "layers": 2, "bidirectional": True})
    plain = Plain(model)
    vector = two_layers_both_ways(plain, tf.one_hot(SOURCE, 6), "encoder")[-1]
    sequence, _ = plain.recurrent("gru", tf.repeat(vector[:, None], 3, axis=1), "decoder_0/forward")
    np.testing.assert_allclose(logits(model), plain.dense(sequence, 4), atol=1e-5)


@pytest.mark.parametrize("symbols", ["one_hot", "number", "embedding"])
@cells
def test_next_step_model_matches_keras(cell, symbols):
    model = make("next_step", cell=cell, **({"embedding": 2} if symbols == "embedding" else {"symbols": symbols}))
    plain = Plain(model)
    vectors = {
        "one_hot": lambda: tf.one_hot(SOURCE, 6),
        "number": lambda: tf.cast(SOURCE, tf.float32)[:, :, None] / 6,
        "embedding": lambda: plain.layer(keras.layers.Embedding(6, 2), SOURCE, name="source_symbols"),
    }[symbols]()
    sequence, _ = plain.recurrent(cell, vectors, "rnn_0/forward", tf.sequence_mask(LENGTHS, 5))
    np.testing.assert_allclose(logits(model), plain.dense(sequence[:, -1], 4)[:, None], atol=1e-5)
    assert model.steps == 1


@cells
@kinds
def test_variable_names_depend_on_the_config_only(kind, cell):
    parts = {"embedding": 2}
    if kind not in MANY_TO_ONE:
        encoder = {"units": 2, "layers": 2, "bidirectional": True, "embedding": 2}
        parts = {"encoder": encoder, "decoder": {"units": 2, "layers": 2}}
    first, second = (make(kind, cell=cell, **parts) for _ in range(2))
    assert list(first.arrays()) == list(second.arrays())
    assert not [name for name in first.arrays() if name.startswith(("dense", "lstm", "gru", "simple"))]


@kinds
def test_fused_and_generic_kernel_give_the_same_logits(kind):
    fused, generic = make(kind), make(kind, kernel="generic")
    generic.assign(fused.arrays())
    np.testing.assert_allclose(logits(fused), logits(generic), atol=1e-5)


@kinds
def test_functional_network_computes_the_logits(kind):
    model = make(kind)
    inputs = [SOURCE, LENGTHS, BEFORE] if kind == "encoder_decoder" else [SOURCE, LENGTHS]
    found = model.network(inputs).numpy().reshape(logits(model).shape)
    np.testing.assert_allclose(found, logits(model), atol=1e-6)


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_target_symbol_influences_later_steps_only(changed):
    model = make("encoder_decoder")
    other = TARGET.copy()
    other[:, changed] = 0
    same = np.isclose(logits(model), logits(model, target=other), atol=1e-7).all(axis=(0, 2))
    assert same.tolist() == [step <= changed for step in range(3)]


@kinds
def test_logits_do_not_depend_on_padding(kind):
    model = make(kind)
    wider = Sizes(SIZES.source_symbols, 8, SIZES.target_symbols, SIZES.target_steps)
    padded = make(kind, wider)
    padded.assign(model.arrays())
    garbage = np.array([[3, 1, 2], [5, 5, 5]], np.int32)  # behind the length nothing is read
    found = logits(padded, source=np.concatenate([SOURCE, garbage], axis=1))
    np.testing.assert_allclose(found, logits(model), atol=1e-6)


@pytest.mark.xla
@cells
def test_decoding_steps_match_the_logits_of_training(cell):
    model = make("encoder_decoder", cell=cell, decoder={"units": 4, "layers": 2})
    state, memory = model.encode(SOURCE, LENGTHS)
    assert {name: tuple(value.shape[1:]) for name, value in state.items()} == model.state_spec
    for step, wanted in enumerate(np.moveaxis(logits(model), 1, 0)):
        found, state = model.step(BEFORE[:, step], state, memory)
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("sections", "copies"),
    [
        ({}, True),
        ({"bridge": "copy"}, True),
        ({"bridge": "dense"}, False),
        ({"encoder": {"units": 3}}, False),
        ({"encoder": {"units": 4, "bidirectional": True}}, False),
        ({"encoder": {"units": 4, "layers": 2}}, False),
    ],
)
def test_bridge_copies_states_that_fit(sections, copies):
    assert make("encoder_decoder", **sections).bridge.kind == ("copy" if copies else "dense")


@pytest.mark.quick("dropout-encoder_decoder", "recurrent_dropout-repeat_vector", "dropout-classifier")
@kinds
@pytest.mark.parametrize("key", ["dropout", "recurrent_dropout"])
def test_dropout_depends_on_the_seed(kind, key):
    parts = {key: 0.5} if kind in MANY_TO_ONE else {"decoder": {"units": 4, key: 0.5}}
    model = make(kind, **parts)
    with_seed = [
        model.logits(SOURCE, LENGTHS, tf.constant(TARGET), tf.constant([0, step])).numpy() for step in (1, 1, 2)
    ]
    np.testing.assert_array_equal(logits(model), logits(make(kind)))
    np.testing.assert_array_equal(with_seed[0], with_seed[1])
    assert not np.allclose(with_seed[0], with_seed[2])
    assert not np.allclose(with_seed[0], logits(model))


NAME = "output/bias"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: {k: v for k, v in a.items() if k != NAME}, "output/bias is missing"),
        (lambda a: {**a, "more": np.zeros(1, np.float32)}, "more"),
        (lambda a: {**a, NAME: a[NAME][:-1]}, r"output/bias is float32 \[3\], not float32 \[4\]"),
        (lambda a: {**a, NAME: a[NAME][None]}, r"output/bias is float32 \[1, 4\]"),
        (lambda a: {**a, NAME: a[NAME].astype(np.float64)}, r"output/bias is float64 \[4\]"),
        (lambda a: {**a, NAME: a[NAME] * np.float32(np.nan)}, "output/bias "),
        (lambda a: {**a, NAME: a[NAME] + np.float32(np.inf)}, "output/bias "),
    ],
)
def test_assign_refuses_arrays_that_do_not_fit_and_changes_nothing(spoil, message):
    model = make("encoder_decoder")
    before = model.arrays()
    assert list(before)[-1] == NAME  # so all the others would have been assigned before it
    wrong = {name: array + 1 for name, array in before.items()}
    with pytest.raises(InputError, match=message):
        model.assign(spoil(wrong))
    for name, array in model.arrays().items():
        np.testing.assert_array_equal(array, before[name])


def test_arrays_returns_assigned_values():
    model = make("encoder_decoder")
    wanted = {name: array * 2 for name, array in model.arrays().items()}
    model.assign(wanted)
    for name, array in model.arrays().items():
        np.testing.assert_array_equal(array, wanted[name])


def test_repeat_vector_shapes_for_three_digit_sums():
    config = parse_config("task: {type: addition, digits: 3, examples: 9, held_out: 1}\nmodel: repeat_vector", "c")
    model = build_model(config, build_task(config).sizes)
    vectors = model.source_embedding(tf.zeros([1, 7], tf.int32))
    assert vectors.shape == (1, 7, 12)
    assert model.network.input_shape[0] == (None, 7)
    assert model.network.output_shape == (None, 4, 12)
    assert model.read(tf.zeros([1, 7], tf.int32), tf.constant([7])).shape == (1, 4, 12)


def test_build_model_uses_the_kernel_of_the_config():
    config = parse_config("task: addition\nmodel: encoder_decoder\nruntime: {kernel: generic}", "c")
    layers = build_model(config, SIZES).recurrent_layers
    assert [(layer.prefix, layer.choice.kernel) for layer in layers] == [
        ("encoder/0", "generic"),
        ("decoder/0", "generic"),
    ]
