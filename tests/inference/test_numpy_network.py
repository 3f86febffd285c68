"""The model in NumPy that is looked into, against that in TensorFlow: predictions, states, attention, ablation."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from random_runs import ADDITION, PAIRS, TEXT, random_run

from rnncli.config import CELLS
from rnncli.data.vocabulary import EOS_ID
from rnncli.errors import InputError
from rnncli.inference.numpy_network import NumpyNetwork
from rnncli.inference.predictor import TrainedRun
from rnncli.inference.state_export import Exporter, Selection

pytestmark = pytest.mark.usefixtures("runtime")
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
    "concatenated states": (
        PAIRS,
        "type: encoder_decoder, bridge: concat, encoder: {units: 2, bidirectional: true, merge: sum}, "
        "decoder: {units: 4}",
        "ba",
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
CASES = list(zip(MODELS, itertools.cycle(CELLS), strict=False))


def network_of(name, cell="lstm"):
    task, model, source = MODELS[name]
    saved, _ = random_run(task, f"{{{model}, cell: {cell}}}")
    return saved, NumpyNetwork(saved.config, saved.task.sizes, saved.weights), source


@pytest.mark.parametrize(("name", "cell"), CASES, ids=lambda value: value)
def test_predictions_and_states_are_those_of_the_model(tmp_path, monkeypatch, runtime, name, cell):
    monkeypatch.chdir(tmp_path)
    saved, network, source = network_of(name, cell)
    trained = TrainedRun(saved, runtime)
    (wanted,) = trained.predict([source], attention=trained.attends)
    found = network.read(saved.task.read_source(source))
    assert saved.task.show_target(found.ids) == wanted.text
    if EOS_ID in found.ids or "repeat" not in name:
        assert found.score == pytest.approx(wanted.score, abs=1e-3)
    if trained.attends:
        np.testing.assert_allclose(found.attention, wanted.attention.weights, atol=1e-5)
    states = [name for name in network.units if name in found.arrays]
    (batch,) = Exporter(trained, Selection(), teacher_forced=False).batches([source], "source")
    for state in states:
        steps = found.arrays[state]
        np.testing.assert_allclose(steps, batch.arrays[state][0, : len(steps)], atol=1e-5)
    assert states == list(network.units)


@pytest.fixture
def attending(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return network_of("general attention, stacked, dense bridge")


def test_a_unit_that_is_off_is_zero_and_changes_what_follows(attending):
    saved, network, source = attending
    off = {"encoder/0/forward/h": [1, 3], "encoder/0/forward/c": [1, 3]}
    before, after = (network.read(saved.task.read_source(source), off=each) for each in ({}, off))
    assert not after.arrays["encoder/0/forward/h"][:, [1, 3]].any()
    assert before.arrays["encoder/0/forward/h"][:, [1, 3]].any()
    assert abs(after.probabilities[0] - before.probabilities[0]).max() > 1e-3


def test_a_unit_without_outgoing_weights_may_be_off(attending):
    saved, _, source = attending
    weights = {name: array.copy() for name, array in saved.weights.items()}
    reading = ["encoder_0/forward/lstm_cell/recurrent_kernel", "attention/key/kernel"]
    for name in [*reading, *(name for name in weights if name.startswith("bridge/") and name.endswith("kernel"))]:
        weights[name][1] = 0
    weights["attention/combine/kernel"][1] = 0
    deaf = NumpyNetwork(saved.config, saved.task.sizes, weights)
    ids = saved.task.read_source(source)
    off = {"encoder/0/forward/h": [1]}
    np.testing.assert_allclose(deaf.read(ids).probabilities, deaf.read(ids, off=off).probabilities, atol=1e-6)


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
        ({"off": {"nowhere/0/forward/h": [1]}}, "no state"),
        ({"off": {"encoder/0/forward/h": [4]}}, "units 0 to 3"),
        ({"off": {"encoder/0/forward/h": [-1]}}, "units 0 to 3"),
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
