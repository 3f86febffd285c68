"""The model in NumPy that is looked into, against that in TensorFlow: predictions, states, attention, ablation."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from random_runs import ADDITION, PAIRS, SHARED, TAGGED, TEXT, random_run

from rnncli.config import CELLS
from rnncli.data.vocabulary import BOS_ID, PAD_ID
from rnncli.errors import InputError
from rnncli.inference.numpy_network import NumpyNetwork
from rnncli.models import AutoregressiveModel

pytestmark = pytest.mark.usefixtures("runtime")
NEVER = (PAD_ID, BOS_ID)
"""Ids that decoders never write; models with a symbol for each source step write no padding."""
MODELS = {
    "general attention, stacked, dense bridge": (
        PAIRS,
        "type: encoder_decoder, attention: general, encoder: {units: 4, bidirectional: true, embedding: 3}, "
        "decoder: {units: 5, embedding: 3, layers: 2}",
        "abc",
    ),
    "additive attention, input feeding, tied": (
        PAIRS,
        "type: encoder_decoder, attention: additive, input_feeding: true, encoder: {units: 4, bidirectional: true, "
        "merge: ave, layers: 2}, decoder: {units: 4, embedding: 3, tied: true}",
        "cbad",
    ),
    "monotonic attention": (
        PAIRS,
        "type: encoder_decoder, attention: monotonic, encoder: {units: 4, bidirectional: true}, "
        "decoder: {units: 4, embedding: 3, tied: true}",
        "cbad",
    ),
    "monotonic attention of order 1": (
        PAIRS,
        "type: encoder_decoder, attention: monotonic, attention_order: 1, attention_window: 2, encoder: {units: 4}, "
        "decoder: {units: 4}",
        "cbad",
    ),
    "concatenated states": (
        PAIRS,
        "type: encoder_decoder, bridge: concat, encoder: {units: 2, bidirectional: true, merge: sum}, "
        "decoder: {units: 4}",
        "ba",
    ),
    "uneven layers": (
        PAIRS,
        "type: encoder_decoder, attention: general, encoder: {units: [4, 3], bidirectional: true}, "
        "decoder: {units: [3, 5]}",
        "abc",
    ),
    "encoder of features, input feeding": (
        TAGGED,
        "type: encoder_decoder, attention: general, input_feeding: true, encoder: {units: 4, embedding: 3}, "
        "decoder: {units: 5}",
        "abc\tV;PST",
    ),
    "encoder of features, one-hot": (
        TAGGED,
        "type: encoder_decoder, encoder: {units: 4}, decoder: {units: 4}",
        "b\t",
    ),
    "one embedding of both sides": (
        SHARED,
        "type: encoder_decoder, attention: general, shared_embedding: true, encoder: {units: 4, embedding: 3}, "
        "decoder: {units: 4, embedding: 3, tied: true}",
        "abc",
    ),
    "copying": (
        PAIRS,
        "type: encoder_decoder, attention: general, copy: pointer_generator, encoder: {units: 4, embedding: 3}, "
        "decoder: {units: 4}",
        "aczb",
    ),
    "copying with an encoder of features": (
        TAGGED,
        "type: encoder_decoder, attention: additive, copy: pointer_generator, encoder: {units: 4, embedding: 3}, "
        "decoder: {units: 5, embedding: 2}",
        "xbca\tV;PST",
    ),
    "repeat vector": (
        ADDITION,
        "type: repeat_vector, encoder: {units: 4, bidirectional: true, merge: mul}, decoder: {units: 3, layers: 2}",
        "12+3",
    ),
    "classifier by the maximum": (ADDITION, "type: classifier, units: 4, layers: 2, pooling: max", "9+12"),
    "next symbol": ("{type: alphabet}", "type: next_step, units: 4, symbols: number", "ABC"),
    "next symbols": (TEXT, "type: next_step, units: 4, embedding: 3", "abc"),
}
CASES = [
    (name, "[gru, lstm]" if name == "uneven layers" else cell)
    for name, cell in zip(MODELS, itertools.cycle(CELLS), strict=False)
]


def network_of(name, cell="lstm"):
    task, model, source = MODELS[name]
    saved, built = random_run(task, f"{{{model}, cell: {cell}}}")
    return saved, built, NumpyNetwork(saved.config, saved.task.sizes, saved.weights), source


@pytest.mark.parametrize(("name", "cell"), CASES, ids=lambda value: value)
def test_everything_is_as_in_the_model(tmp_path, monkeypatch, name, cell):
    monkeypatch.chdir(tmp_path)
    saved, built, network, source = network_of(name, cell)
    ids = saved.task.read_source(source)
    found = network.read(ids)
    read, lengths, target = tf.constant([ids], built.source_dtype), tf.constant([len(ids)]), tf.constant([found.ids])
    if isinstance(built, AutoregressiveModel):
        logits = built.target_logits(target, *built.encode(read, lengths))
    else:
        logits = built.read(read, lengths)
    np.testing.assert_allclose(found.probabilities, tf.nn.softmax(logits)[0], atol=1e-5)
    written = found.probabilities.copy()
    written[:, list(NEVER[: 2 if isinstance(built, AutoregressiveModel) else built.per_step])] = -1
    assert found.ids == written.argmax(axis=1).tolist()
    if built.has_attention:
        weights = built.attention_weights(read, lengths, target)[0, :, saved.task.sizes.tags :]
        np.testing.assert_allclose(found.attention, weights, atol=1e-5)
    wanted = built.trace(read, lengths, target, tf.constant([len(found.ids)]))
    states = [array for array in wanted if not array.endswith("/output") and "/final/" not in array]
    assert sorted(states) == sorted(network.units)
    for state in states:
        np.testing.assert_allclose(found.arrays[state], wanted[state][0], atol=1e-5)


@pytest.fixture
def attending(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved, _, network, source = network_of("general attention, stacked, dense bridge")
    return saved, network, source


def test_a_held_unit_keeps_its_value_and_changes_what_follows(attending):
    saved, network, source = attending
    held = {"encoder/0/forward/h": {1: 0.0, 3: 0.5}, "encoder/0/forward/c": {1: 0.0}}
    before, after = (network.read(saved.task.read_source(source), held=each) for each in ({}, held))
    np.testing.assert_array_equal(after.arrays["encoder/0/forward/h"][:, [1, 3]], [[0.0, 0.5]] * len(source))
    assert before.arrays["encoder/0/forward/h"][:, [1, 3]].any()
    assert abs(after.probabilities[0] - before.probabilities[0]).max() > 1e-3


def test_a_unit_without_outgoing_weights_may_be_held(attending):
    saved, _, source = attending
    weights = {name: array.copy() for name, array in saved.weights.items()}
    reading = ["encoder_0/forward/lstm_cell/recurrent_kernel", "attention/key/kernel"]
    for name in [*reading, *(name for name in weights if name.startswith("bridge/") and name.endswith("kernel"))]:
        weights[name][1] = 0
    weights["attention/combine/kernel"][1] = 0
    deaf = NumpyNetwork(saved.config, saved.task.sizes, weights)
    ids = saved.task.read_source(source)
    held = {"encoder/0/forward/h": {1: 0.7}}
    np.testing.assert_allclose(deaf.read(ids).probabilities, deaf.read(ids, held=held).probabilities, atol=1e-6)


def test_a_decoder_goes_on_from_what_it_is_made_to_write(attending):
    saved, network, source = attending
    ids = saved.task.target_vocabulary.encode("ca")
    found = network.read(saved.task.read_source(source), prefix=ids)
    assert found.ids[:2] == ids
    assert len(found.ids) > 2
    free = network.read(saved.task.read_source(source))
    np.testing.assert_array_equal(found.probabilities[0], free.probabilities[0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"held": {"nowhere/0/forward/h": {1: 0}}}, "no state"),
        ({"held": {"encoder/0/forward/h": {4: 0}}}, "units 0 to 3"),
        ({"held": {"encoder/0/forward/h": {-1: 0}}}, "units 0 to 3"),
    ],
)
def test_units_that_are_not_there_are_refused(attending, arguments, words):
    saved, network, source = attending
    with pytest.raises(InputError, match=words):
        network.read(saved.task.read_source(source), **arguments)


def test_a_cell_without_a_step_is_refused(attending, monkeypatch):
    saved, *_ = attending
    monkeypatch.setitem(CELLS, "lstm", replace(CELLS["lstm"], gated_step=None))
    with pytest.raises(InputError, match="the cells gru, simple_rnn can"):
        NumpyNetwork(saved.config, saved.task.sizes, saved.weights)
