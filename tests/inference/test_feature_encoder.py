"""Runs whose features have an encoder of their own: search, scores, attention, states, server, exports."""

import numpy as np
import pytest
from random_runs import TAGGED, random_run

from rnncli.errors import InputError
from rnncli.explore.explored_run import ExploredRun
from rnncli.explore.requests import TraceRequest
from rnncli.export.exporter import export
from rnncli.inference.backends import Request, load, start
from rnncli.inference.decoding_options import DecodingOptions
from rnncli.inference.ensembles import check_ensemble_compatible
from rnncli.inference.predictor import TrainedRun
from rnncli.inference.state_export import Exporter, all_states
from rnncli.inference.stepper import Stepper
from rnncli.inference.target_scores import TargetScorer
from rnncli.runtime.tensorflow_setup import setup_inference
from rnncli.serve.requests import StepRequest
from rnncli.serve.served_run import ServedRun

pytestmark = pytest.mark.usefixtures("runtime")
MODEL = "{type: encoder_decoder, encoder: {units: 5, embedding: 3}, decoder: {units: 5}, ATTENTION}"
ATTENTION = {
    "none": "attention: none",
    "general": "attention: general",
    "copying": "attention: general, copy: pointer_generator",
}
LINES = ["ab\tV;PST", "abc\tPRS;V;SG", "dabcab\tV", "ba\t"]


@pytest.fixture(scope="module", params=["none", pytest.param("general", marks=pytest.mark.long), "copying"])
def run(tmp_path_factory, runtime, request):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("tagged"))
        saved, _ = random_run(TAGGED, MODEL.replace("ATTENTION", ATTENTION[request.param]))
        yield TrainedRun(saved, setup_inference(saved.config)), saved


@pytest.fixture
def attending(run):
    if not run[0].attends:
        pytest.skip("the model has no attention")
    return run


@pytest.mark.parametrize(
    "options", [{"beam": 3, "n_best": 2}, pytest.param({"sample": 2, "seed": 1}, marks=pytest.mark.long)]
)
def test_every_prediction_has_the_score_of_its_text_and_depends_on_the_features(run, options):
    trained, _ = run
    predictions = trained.predict(LINES, DecodingOptions(**options))
    whole = [(line, each) for line, found in zip(LINES, predictions, strict=True) for each in found.hypotheses]
    asked = [line.replace("\t", f"\t{each.text}\t") for line, each in whole]
    scores = TargetScorer(trained.decoder, trained.task).score(asked)
    ended = [
        (found, each) for found, (_, each) in zip(scores, whole, strict=True) if len(each.text) < 7 and each.text
    ]
    for found, each in ended:
        assert found.score == pytest.approx(each.score, abs=1e-4)
    changed = trained.predict([line + ";SG" for line in LINES], DecodingOptions(**options))
    assert [each.score for each in changed] != [each.score for each in predictions]
    shuffled = trained.predict(["abc\tSG;V;PRS"], DecodingOptions())
    assert shuffled[0].score == pytest.approx(trained.predict(LINES)[1].score, abs=1e-5)


def test_attention_is_over_the_symbols_of_the_text_alone(attending):
    trained, _ = attending
    for line, found in zip(LINES, trained.predict(LINES, attention=True), strict=True):
        assert found.attention.source == list(line.partition("\t")[0])
        assert found.attention.weights.shape == (len(found.attention.target), len(found.attention.source))
        np.testing.assert_allclose(found.attention.weights.sum(axis=1), 1, atol=1e-5)


def test_states_of_the_encoder_are_those_of_the_text(run):
    trained, _ = run
    (batch,) = Exporter(trained, all_states(trained.model), teacher_forced=False).batches(LINES, "lines")
    assert batch.source_tokens == [list(line.partition("\t")[0]) for line in LINES]
    assert batch.source_lengths.tolist() == [len(tokens) for tokens in batch.source_tokens]
    outputs = batch.arrays["encoder/0/forward/h"]
    for row, length in enumerate(batch.source_lengths):
        np.testing.assert_array_equal(outputs[row, length - 1], batch.arrays["encoder/0/forward/final/h"][row])
    assert batch.predictions == [each.text for each in trained.predict(LINES)]


def test_prediction_from_the_states_of_the_encoder_reads_the_features_too(run):
    trained, _ = run
    states = trained.final_states(LINES, "lines")
    predictions, _ = trained.predict_from(LINES, "lines", 1, states)
    assert [each.score for each in predictions] == [each.score for each in trained.predict(LINES)]


def test_server_predicts_and_reads_single_steps(run):
    trained, saved = run
    served = ServedRun("x", saved, trained, "tensorflow")
    served.warm_up()
    asked = [line.replace("\t", "\tab\t") for line in LINES]
    scores = [each.symbols for each in TargetScorer(trained.decoder, trained.task).score(asked)]
    states = {name: value.tolist() for name, value in trained.final_states(LINES, "lines").items()}
    for step, symbol in enumerate("ab"):
        read = {} if not step else {"states": states, "symbols": ["a"] * len(LINES)}
        answer = served.step(StepRequest(sources=LINES, **read)).run([None])[0]
        place = trained.task.target_vocabulary.ids[symbol]
        wanted = [np.exp(symbols[step][1]) for symbols in scores]
        np.testing.assert_allclose(answer["probabilities"][:, place], wanted, atol=1e-5)
        states = {name: value.tolist() for name, value in answer["states"].items()}
    with pytest.raises(InputError, match="sources"):
        served.step(StepRequest(states=states, symbols=["a"] * len(LINES))).run([None])


def test_explore_shows_the_symbols_of_the_text(run):
    trained, saved = run
    if saved.config.model.copies_source:
        pytest.skip("explore refuses models that copy")
    found = ExploredRun("x", saved).trace(TraceRequest(source=LINES[1])).run([None])[0]
    assert (found["source_symbols"], found["prediction"]) == (list("abc"), trained.predict(LINES)[1].text)
    assert found["arrays"]["encoder/0/forward/h"].shape == (3, 5)
    assert found["attention"] is None or found["attention"].shape[1] == 3


def test_stepper_is_refused(run):
    trained, _ = run
    with pytest.raises(InputError, match=r"task\.features"):
        Stepper(trained.model, trained.task.source_vocabulary, 1, trained.decoder.runtime.device)


@pytest.mark.parametrize("form", ["savedmodel", "keras", "litert"])
def test_exports_without_a_place_for_features_are_refused(run, tmp_path, form):
    path = tmp_path / {"keras": "x.keras", "litert": "x.tflite"}.get(form, "x")
    with pytest.raises(InputError, match=r"task\.features|model\.copy") as refused:
        export(run[1], form, path)
    assert "onnx" in refused.value.hint


def test_exported_graphs_answer_lines_alone(run, tmp_path):
    trained, saved = run
    export(saved, "onnx", tmp_path / "x")
    answering = start(Request(load(tmp_path / "x")), "onnx")
    found, wanted = (each.predict(LINES, attention=trained.attends) for each in (answering, trained))
    assert [each.text for each in found] == [each.text for each in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-4)
        if trained.attends:
            np.testing.assert_allclose(one.attention.weights, other.attention.weights, atol=1e-5)


def test_ensemble_with_joined_features_is_refused(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = MODEL.replace("ATTENTION", "attention: general")
    encoded, _ = random_run(TAGGED, model)
    joined, _ = random_run(TAGGED.replace("encoder, max_features: 3", "joined, too_long: skip"), model)
    with pytest.raises(InputError, match=r"task\.features"):
        check_ensemble_compatible(encoded, [joined])
