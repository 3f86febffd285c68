"""Two passes of scheduled sampling in all kinds of encoder-decoders: values and gradients against plain Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnncli.config import EncoderDecoderModel
from rnncli.data.copying import COPY_BY_PLACE, NEVER_COPIED
from rnncli.data.examples import Sizes
from rnncli.data.vocabulary import BOS_ID
from rnncli.layers import KernelChoice, replace_by_samples
from rnncli.models.encoder_decoder import EncoderDecoder

pytestmark = pytest.mark.usefixtures("runtime")
SYMBOLS = 9
SIZES = Sizes(source_symbols=6, source_steps=5, target_symbols=SYMBOLS, target_steps=4)
SOURCE = np.array([[5, 3, 2, 4, 1], [2, 4, 0, 0, 0]], np.int32)
LENGTHS = np.array([5, 2], np.int32)
TARGET = np.array([[3, 8, 5, 2], [4, 2, 0, 0]], np.int32)
COUNTED = np.array([4, 2])
SEED = (7, 11)
VARIANTS = {
    "no attention": {},
    "cell": {"implementation": "cell", "cell": "gru"},
    "attention": {"attention": "general", "decoder": {"units": 4, "embedding": 3, "tied": True}},
    "input feeding": {"attention": "additive", "input_feeding": True},
    "copying": {"attention": "dot", "copy": "pointer_generator"},
    "monotonic": {"attention": "monotonic"},
    "monotonic of order 1": {"attention": "monotonic", "attention_order": 1, "attention_window": 2},
}


def make(kernel="fused", sizes=SIZES, **section):
    """A model with weights from a fixed seed."""
    small = {"type": "encoder_decoder", "encoder": {"units": 4}, "decoder": {"units": 4}}
    config = EncoderDecoderModel.model_validate({**small, **section})
    choice = KernelChoice("cell" if config.implementation == "cell" else kernel, "a test")
    if config.copies_source:
        sizes = Sizes(6, 5, SYMBOLS, 4, copies=(NEVER_COPIED, COPY_BY_PLACE, 3, COPY_BY_PLACE, 4, NEVER_COPIED))
    model = EncoderDecoder(config, sizes, config.cell, choice)
    rng = np.random.default_rng(5)
    arrays = {name: rng.normal(0, 0.8, a.shape).astype(np.float32) for name, a in model.arrays().items()}
    if config.copies_source:
        arrays["pointer_generator/switch/bias"][:] = -5  # mostly copies
    model.assign(arrays)
    return model


def logits(model, target=TARGET):
    return model.logits(*map(tf.constant, (SOURCE, LENGTHS, target)), tf.constant(SEED)).numpy()


def sampled(model, probability, target=TARGET, seed=SEED):
    given = map(tf.constant, (SOURCE, LENGTHS, target, seed))
    return model.sampled_logits(*given, tf.constant(probability, tf.float32))


def without_specials(values, last=2):
    return np.where(np.arange(values.shape[-1]) <= last, -np.inf, values)


@pytest.mark.parametrize("variant", VARIANTS)
def test_probability_0_is_teacher_forcing_to_the_bit(variant):
    model = make(**VARIANTS[variant])
    assert np.array_equal(sampled(model, 0.0), logits(model))


@pytest.mark.parametrize("variant", [name for name in VARIANTS if not name.startswith("monotonic")])
def test_probability_1_reads_samples_of_the_first_pass_alone(variant):
    model = make(**VARIANTS[variant])
    predicted = tf.constant(without_specials(logits(model)), tf.float32)
    read = replace_by_samples(tf.constant(TARGET), predicted, tf.constant(1.0), tf.constant(SEED)).numpy()
    assert read.min() >= 3
    if variant == "copying":
        assert read.max() >= SYMBOLS  # read as unknown
    found = sampled(model, 1.0).numpy()
    np.testing.assert_allclose(found, logits(model, read), atol=1e-5)
    assert not np.allclose(found[:, 1:], logits(model)[:, 1:], atol=1e-3)
    np.testing.assert_allclose(found[:, 0], logits(model)[:, 0], atol=1e-6)  # begin-of-sequence is read


def test_unknown_symbols_are_never_read():
    model = make(sizes=Sizes(6, 5, SYMBOLS, 4, unknown=True))
    arrays = model.arrays()
    arrays["output/bias"][:4] = 100  # predicted always, if they could be
    model.assign(arrays)
    predicted = tf.constant(without_specials(logits(model), 3), tf.float32)
    read = replace_by_samples(tf.constant(TARGET), predicted, tf.constant(1.0), tf.constant(SEED)).numpy()
    assert read.min() >= 4
    np.testing.assert_allclose(sampled(model, 1.0), logits(model, read), atol=1e-5)


@pytest.mark.parametrize("order", [0, 1])
def test_monotonic_alignments_are_those_of_the_target(order):
    model = make(attention="monotonic", attention_order=order)
    arrays = model.arrays()
    for name in arrays:
        if name.startswith("decoder") and name.endswith("/kernel"):
            arrays[name][:] = 0  # whatever is read, the decoder's outputs are the same
    model.assign(arrays)
    found = sampled(model, 1.0).numpy()
    np.testing.assert_allclose(found, logits(model), atol=1e-5)
    other = np.where(TARGET > 2, 6, TARGET)
    assert not np.allclose(found, logits(model, other), atol=1e-3)


class PlainKeras:
    """The encoder-decoder without attention of Keras's own layers, with the weights of a model."""

    def __init__(self, model):
        self.encoder, self.decoder = (keras.layers.LSTM(4, return_sequences=True, return_state=True) for _ in "12")
        self.output = keras.layers.Dense(SYMBOLS)
        self.layers = {"encoder_0": self.encoder, "decoder_0": self.decoder, "output": self.output}
        for layer, shape in zip(self.layers.values(), ((2, 5, 6), (2, 4, SYMBOLS), (2, 4, 4)), strict=True):
            layer.build(shape)
        for name, layer in self.layers.items():
            layer.set_weights([array for path, array in model.arrays().items() if path.startswith(f"{name}/")])

    @property
    def weights(self):
        return [weight for layer in self.layers.values() for weight in layer.trainable_weights]

    def __call__(self, read):
        mask = tf.sequence_mask(LENGTHS, 5)
        _, *state = self.encoder(tf.one_hot(SOURCE, 6), mask=mask)
        sequence, *_ = self.decoder(tf.one_hot(read, SYMBOLS), initial_state=state)
        return self.output(sequence)


def shifted(target):
    return np.concatenate([np.full((2, 1), BOS_ID), target[:, :-1]], axis=1)


def loss_of(values):
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(TARGET, values)
    return tf.reduce_sum(tf.where(tf.sequence_mask(COUNTED, 4), losses, 0.0))


@pytest.mark.parametrize("kernel", ["generic", "fused"])
def test_loss_and_gradients_are_those_of_two_passes_of_plain_keras(kernel):
    model = make(kernel)
    plain = PlainKeras(model)
    first = tf.constant(without_specials(plain(shifted(TARGET)).numpy()), tf.float32)
    read = replace_by_samples(tf.constant(TARGET), first, tf.constant(0.5), tf.constant(SEED)).numpy()
    assert 0 < np.sum(read[:, :3] != TARGET[:, :3]) < 6
    with tf.GradientTape() as tape:
        wanted = loss_of(plain(shifted(read)))
    gradients = tape.gradient(wanted, [weight.value for weight in plain.weights])
    with tf.GradientTape() as tape:
        found = loss_of(sampled(model, 0.5))
    ours = {weight.path: weight.value for weight in model.network.trainable_weights}
    by_path = dict(zip(ours, tape.gradient(found, list(ours.values())), strict=True))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert len(gradients) == len(ours) == 8
    paths = [path for name in plain.layers for path in ours if path.startswith(f"{name}/")]
    for path, gradient in zip(paths, gradients, strict=True):
        np.testing.assert_allclose(by_path[path], gradient, atol=1e-5, err_msg=path)
