"""Encoder-decoders with one embedding of both sides: against plain Keras layers, and from other weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from random_runs import PAIRS, SHARED, random_run

from rnncli.config import EncoderDecoderModel, parse_config
from rnncli.data.examples import Sizes
from rnncli.data.vocabulary import Vocabularies
from rnncli.layers import KernelChoice
from rnncli.models import build_model, make_model
from rnncli.runs.checkpoints import CheckpointRecord
from rnncli.runs.size_limits import check_size
from rnncli.runs.start_weights import StartWeights
from rnncli.training.inputs import TrainingInputs
from rnncli.training.warm_start import take_weights

pytestmark = [pytest.mark.usefixtures("runtime"), pytest.mark.xla(unroll=False)]
SIZES = Sizes(source_symbols=7, source_steps=4, target_symbols=7, target_steps=3)
SOURCE, LENGTHS = np.array([[5, 3, 4, 6], [4, 6, 0, 0]], np.int32), np.array([4, 2], np.int32)
TARGET, BEFORE = np.array([[3, 5, 2], [4, 2, 0]], np.int32), np.array([[1, 3, 5], [1, 4, 2]], np.int32)
EMBEDDING = "source_symbols/embedding/embeddings"
MODEL = (
    "{type: encoder_decoder, attention: general, SHARED, encoder: {units: 4, embedding: 3}, "
    "decoder: {units: 4, embedding: 3, tied: true}}"
)


@pytest.mark.parametrize("tied", [False, True])
def test_values_and_gradients_are_those_of_one_keras_embedding(tied):
    parts = {"encoder": {"units": 4, "embedding": 3}, "decoder": {"units": 4, "embedding": 3, "tied": tied}}
    section = {"type": "encoder_decoder", "attention": "dot", "shared_embedding": True, **parts}
    config = EncoderDecoderModel.model_validate(section)
    model = make_model(config, SIZES, "lstm", KernelChoice("fused", "a test"))
    rng = np.random.default_rng(5)
    arrays = {name: rng.normal(0, 0.6, a.shape).astype(np.float32) for name, a in model.arrays().items()}
    model.assign(arrays)
    assert [name for name in arrays if "embeddings" in name] == [EMBEDDING]
    table = tf.Variable(arrays[EMBEDDING])
    layers = {}
    for name in ("encoder", "decoder"):
        layers[name] = keras.layers.LSTM(4, return_sequences=True, return_state=True)
        layers[name].build((None, None, 3))
        own = [array for path, array in arrays.items() if path.startswith(f"{name}_0/")]
        layers[name].set_weights(own)
    own = {variable.path: variable.value for variable in model.network.trainable_variables}
    slope = tf.constant(rng.normal(size=(2, 3, 7)), tf.float32)
    with tf.GradientTape(persistent=True) as tape:
        mask = tf.sequence_mask(LENGTHS, 4)
        values, *state = layers["encoder"](tf.gather(table, SOURCE), mask=mask)
        query, *_ = layers["decoder"](tf.gather(table, BEFORE), initial_state=state)
        context = keras.layers.Attention()([query, values], mask=[None, mask])
        output = tf.tanh(tf.concat([context, query], axis=-1) @ arrays["attention/combine/kernel"])
        wanted = output @ (tf.transpose(table) if tied else arrays["output/kernel"]) + arrays["output/bias"]
        found = model.logits(*map(tf.constant, (SOURCE, LENGTHS, TARGET)))
        plain_loss, loss = tf.reduce_sum(wanted * slope), tf.reduce_sum(found * slope)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    gradient, plain = (
        tf.convert_to_tensor(tape.gradient(*each)) for each in ((loss, own[EMBEDDING]), (plain_loss, table))
    )
    np.testing.assert_allclose(gradient, plain, atol=1e-4)


def start_from(saved, config):
    vocabularies = Vocabularies(saved.task.source_vocabulary, saved.task.target_vocabulary)
    start = StartWeights(saved.path, "last", saved.config, vocabularies, saved.weights, CheckpointRecord())
    inputs = TrainingInputs.read(config)
    inputs.task.extend_vocabulary(vocabularies)
    model = build_model(inputs.config, inputs.task.sizes)
    return model, take_weights(model, start, inputs), inputs.task


@pytest.mark.parametrize("shared", [True, False])
def test_rows_of_another_run_are_taken_by_their_symbols(tmp_path, monkeypatch, shared):
    monkeypatch.chdir(tmp_path)
    own = "shared_embedding: true"
    saved, _ = random_run(SHARED if shared else PAIRS, MODEL.replace("SHARED", own if shared else "bridge: auto"))
    check_size(saved.config, saved.task, saved.weights, "run")
    (tmp_path / "more.tsv").write_text("aéb\tXéa\n")
    task = SHARED.replace("pairs.tsv", "more.tsv")
    model, taken, made = start_from(
        saved, parse_config(f"{{task: {task}, model: {MODEL.replace('SHARED', own)}}}", "c")
    )
    found, before = model.arrays()[EMBEDDING], saved.weights[EMBEDDING]
    symbols = saved.task.source_vocabulary.symbols
    np.testing.assert_array_equal(found[[made.source_vocabulary.ids[symbol] for symbol in symbols]], before)
    assert EMBEDDING in taken.parts
    assert (taken.unused == {}) is shared
    assert made.source_vocabulary == made.target_vocabulary
