"""Models with monotonic attention: search, scores, states and alignments, and what they refuse."""

import numpy as np
import pytest
import tensorflow as tf
from random_runs import PAIRS, random_run

from rnncli.errors import InputError
from rnncli.export.exporter import export
from rnncli.inference.decoder import Decoder
from rnncli.inference.decoding_options import DecodingOptions
from rnncli.inference.predictor import TrainedRun
from rnncli.inference.target_scores import TargetScorer
from rnncli.models.ensemble import Ensemble
from rnncli.runtime.tensorflow_setup import setup_inference
from rnncli.serve.requests import StepRequest
from rnncli.serve.served_run import ServedRun
from rnncli.states.named_arrays import ALIGNMENT

pytestmark = pytest.mark.usefixtures("runtime")
MODEL = (
    "{{type: encoder_decoder, attention: monotonic, attention_order: {}, encoder: {{units: 4, bidirectional: true}}, "
    "decoder: {{units: 5}}}}"
)
LINES = ["cbad", "a", "dabcab", "ab"]


@pytest.fixture(scope="module", params=[pytest.param(0, marks=pytest.mark.long), 1], ids=["order 0", "order 1"])
def run(request, tmp_path_factory, runtime):
    """A run of random weights, ready to predict, and the saved run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("monotonic"))
        saved, _ = random_run(PAIRS, MODEL.format(request.param))
        saved.weights["output/bias"][:2] = -9  # of what no trained model writes
        yield TrainedRun(saved, setup_inference(saved.config)), saved


def sources_of(trained, lines=LINES):
    ids = [trained.task.read_source(line) for line in lines]
    source = np.zeros((len(ids), trained.task.sizes.source_steps), np.int32)
    for row, each in enumerate(ids):
        source[row, : len(each)] = each
    return source, np.array([len(each) for each in ids], np.int32)


@pytest.mark.parametrize("options", [{}, {"beam": 3, "n_best": 2}, {"sample": 2, "seed": 1, "top_k": 3}])
def test_every_prediction_has_the_score_of_the_same_ids_as_a_target(run, options):
    trained, _ = run
    sources = sources_of(trained)
    decoded = trained.decoder(*sources, options=DecodingOptions(**options))
    for number in range(decoded.hypotheses.shape[1]):
        ids = decoded.hypotheses[:, number]
        scored = np.where(ids > 0, trained.decoder.score(*sources, ids)[0], 0)
        np.testing.assert_allclose(scored.sum(axis=1), decoded.log_probabilities[:, number], atol=1e-4)


@pytest.mark.long
def test_rows_do_not_depend_on_those_beside_them(run):
    trained, _ = run
    options = DecodingOptions(beam=2, n_best=2)
    together = trained.predict(LINES, options, attention=True)
    for line, found in zip(LINES, together, strict=True):
        (alone,) = trained.predict([line], options, attention=True)
        assert [each.text for each in alone.hypotheses] == [each.text for each in found.hypotheses]
        assert alone.score == pytest.approx(found.score, abs=1e-5)
        np.testing.assert_allclose(alone.attention.weights, found.attention.weights, atol=1e-5)
        np.testing.assert_allclose(found.attention.weights.sum(axis=1), 1, rtol=1e-5)


def test_mean_place_of_an_alignment_never_goes_back(run):
    trained, _ = run
    for found in trained.predict(LINES, attention=True):
        weights = found.attention.weights
        assert (np.diff(weights @ np.arange(weights.shape[1])) > -1e-4).all()


def test_steps_of_any_width_give_the_scores_of_the_whole(run):
    """Step by step, with the states through NumPy as the server gives them, and the sources padded anew."""
    trained, _ = run
    decoder, sources = trained.decoder, sources_of(trained)
    decoded = decoder(*sources)
    states, last = decoder.encode(*sources), np.full(len(LINES), 1, np.int32)
    assert not states[ALIGNMENT].any()
    scores = decoder.score(*sources, decoded.ids)[0]
    for step in range(3):
        logits, states = decoder.step(last, states, *sources)
        last = decoded.ids[:, step]
        found = tf.nn.log_softmax(logits).numpy()[np.arange(len(LINES)), last]
        running = last > 0
        np.testing.assert_allclose(found[running], scores[running, step], atol=1e-4)
        np.testing.assert_allclose(states[ALIGNMENT].sum(axis=1), 1, rtol=1e-5)


def test_server_steps_on_from_the_states_that_it_gave(run):
    trained, saved = run
    served = ServedRun("x", saved, trained, "tensorflow")
    answer = served.step(StepRequest(sources=LINES)).run([None])[0]
    states = {name: value.tolist() for name, value in answer["states"].items()}
    after = served.step(StepRequest(sources=LINES, states=states, symbols=answer["symbols"])).run([None])[0]
    decoded = trained.decoder(*sources_of(trained))
    names = [[trained.task.target_vocabulary.symbols[each] for each in row] for row in decoded.ids[:, :2].tolist()]
    assert answer["symbols"] == [first for first, _ in names]
    going = [row for row, first in enumerate(answer["symbols"]) if first != "<eos>"]
    assert [after["symbols"][row] for row in going] == [names[row][1] for row in going]


@pytest.mark.long
def test_few_rows_at_a_time_where_all_pairs_of_steps_take_memory(run, monkeypatch):
    trained, _ = run
    monkeypatch.setattr("rnncli.inference.decoder.MAX_LOGITS", 2000)
    sources = sources_of(trained, LINES * 3)
    decoder = Decoder(trained.model, trained.decoder.runtime)
    width = trained.model.step_size
    ids = trained.decoder(*sources).ids
    assert width == 8 * max(5, trained.model.target_symbols)
    assert decoder._rows_for(7) == 2000 // 7 // width < len(LINES) * 3
    whole, parts = (each.score(*sources, ids)[0] for each in (trained.decoder, decoder))
    np.testing.assert_allclose(parts, whole, atol=1e-5)


@pytest.mark.long
def test_ensemble_with_another_attention_averages_probabilities_and_weights(run, tmp_path, monkeypatch):
    trained, _ = run
    monkeypatch.chdir(tmp_path)
    model = "{type: encoder_decoder, attention: general, encoder: {units: 3}, decoder: {units: 3}}"
    other, both = random_run(PAIRS, model)
    decoder = Decoder(Ensemble([trained.model, both]), trained.decoder.runtime)
    sources = sources_of(trained)
    ids = trained.decoder(*sources).ids
    scores = [
        np.exp(each.score(*sources, ids)[0])
        for each in (decoder, trained.decoder, Decoder(both, setup_inference(other.config)))
    ]
    np.testing.assert_allclose(scores[0][ids > 0], (scores[1] + scores[2])[ids > 0] / 2, atol=1e-5)
    weights = decoder.attention(*sources, ids)
    np.testing.assert_allclose(weights.sum(axis=2), 1, rtol=1e-5)


def test_targets_are_scored_from_text(run):
    trained, _ = run
    (score,) = TargetScorer(trained.decoder, trained.task).score(["cbad\tdabc"])
    assert [symbol for symbol, _ in score.symbols] == ["d", "a", "b", "c", "<eos>"]
    assert all(np.isfinite(value) for _, value in score.symbols)


@pytest.mark.parametrize("form", ["onnx", "savedmodel", "keras"])
def test_export_is_refused(run, tmp_path, form):
    with pytest.raises(InputError, match=r"model\.attention: monotonic"):
        export(run[1], form, tmp_path / f"export{'.keras' if form == 'keras' else ''}")
