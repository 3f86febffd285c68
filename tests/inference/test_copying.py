"""Models that copy from their source: ids, search, scores and text of symbols that training never had."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from pair_task import task as pair_task
from random_runs import random_run

from rnncli.config import parse_config
from rnncli.errors import ConfigError, InputError
from rnncli.export.exporter import export
from rnncli.inference.decoding_options import DecodingOptions
from rnncli.inference.evaluation import compare, wrong_predictions
from rnncli.inference.predictor import TrainedRun
from rnncli.inference.target_scores import TargetScorer
from rnncli.runtime.tensorflow_setup import setup_inference
from rnncli.serve.requests import StepRequest
from rnncli.serve.served_run import ServedRun
from rnncli.training.step import smoothed_losses

pytestmark = pytest.mark.usefixtures("runtime")
COPYING = "attention: general, copy: pointer_generator"
MODEL = f"{{type: encoder_decoder, {COPYING}, encoder: {{units: 5}}, decoder: {{units: 5}}}}"
TASK = (
    "{type: pairs, train: tagged.tsv, validation: new.tsv, max_source_length: 8, max_target_length: 7, "
    "columns: {source: 1, target: 2, features: 3}, features: joined}"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory, runtime):
    """A run of random weights that mostly copies, and its model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("copying"))
        train = (f"{word}\t{word[::-1]}\tN;{tag}\n" for word in ("ab", "cab", "dc") for tag in ("X", "Y"))
        Path("tagged.tsv").write_text("".join(train))
        Path("new.tsv").write_text("xay\tyax\tN;X\nbzzb\tzzb\tN;Y\nab\tbq\tN;X\n")
        saved, _ = random_run(TASK, MODEL)
        saved.weights["pointer_generator/switch/bias"][:] = -5
        saved.weights["attention/key/kernel"] *= 0.1
        yield TrainedRun(saved, setup_inference(saved.config)), saved.task.splits()[1], saved


def test_unknown_symbols_of_the_source_get_ids_by_their_place(run):
    trained, held_out, _ = run
    task = trained.task
    size, ids = len(task.target_vocabulary), task.target_vocabulary.ids
    assert held_out.target[0].tolist()[:4] == [size + 4, ids["a"], size + 2, 2]  # behind two features
    assert held_out.target[1].tolist()[:4] == [size + 3, size + 4, ids["b"], 2]  # each z its own
    assert held_out.target[2].tolist()[:3] == [ids["b"], 3, 2]  # q is in no source
    assert task.show_copied(held_out.target[0].tolist(), "xay\tN;X") == "yax"
    assert task.read_target_of("xay\tN;X", "yax") == [size + 4, ids["a"], size + 2, 2]
    assert task.show_target([size + 4, ids["a"], 2]) == "\N{REPLACEMENT CHARACTER}a"


def test_prediction_is_right_whichever_of_equal_symbols_it_copies(run):
    trained, held_out, _ = run
    size = len(trained.task.target_vocabulary)
    predicted = held_out.target.astype(np.int32)
    predicted[1, :2] = size + 4  # the second z twice
    predicted[0, 0] = size + 2  # x for y
    predicted[2, 1] = 4  # for a letter that is not there to copy
    found = compare(trained.task, held_out, predicted)
    assert found.exact.tolist() == [False, True, False]
    wrong = list(wrong_predictions(trained.task, held_out, found))
    assert (wrong[0].prediction, wrong[0].alignment[0]) == ("xax", ("y", "x"))


@pytest.mark.parametrize("options", [{}, {"beam": 3, "n_best": 2}, {"sample": 2, "seed": 1, "top_k": 3}])
def test_every_prediction_has_the_score_of_the_same_ids_as_a_target(run, options):
    trained, held_out, _ = run
    sources = held_out.source, held_out.source_lengths
    decoded = trained.decoder(*sources, options=DecodingOptions(**options))
    size = len(trained.task.target_vocabulary)
    assert (decoded.ids >= size).any()
    assert not np.isin(decoded.ids - size, [0, 1]).any()  # no feature is copied
    for number in range(decoded.hypotheses.shape[1]):
        ids = decoded.hypotheses[:, number]
        scored = np.where(ids > 0, trained.decoder.score(*sources, ids)[0], 0)
        np.testing.assert_allclose(scored.sum(axis=1), decoded.log_probabilities[:, number], atol=1e-4)


def test_letters_that_training_never_had_are_predicted_shown_and_scored(run):
    trained, _, _ = run
    lines = ["xay\tN;X", "žž\tN;Y"]
    predictions = trained.predict(lines, DecodingOptions(beam=2, n_best=2), attention=True)
    written = "".join(hypothesis.text for each in predictions for hypothesis in each.hypotheses)
    assert set("xyž") & set(written)
    assert "\N{REPLACEMENT CHARACTER}" not in written
    assert "".join(predictions[1].attention.target).startswith(predictions[1].text)
    (score,) = TargetScorer(trained.decoder, trained.task).score(["xay\tyax\tN;X"])
    assert [symbol for symbol, _ in score.symbols] == ["y", "a", "x", "<eos>"]
    assert all(np.isfinite(value) for _, value in score.symbols)


def test_steps_of_sources_of_any_length_have_logits_for_all_places(run):
    trained, held_out, _ = run
    states = trained.decoder.encode(held_out.source, held_out.source_lengths)
    logits, _ = trained.decoder.step(np.full(3, 1, np.int32), states, held_out.source, held_out.source_lengths)
    size = len(trained.task.target_vocabulary)
    assert logits.shape == (3, size + 8)
    assert np.isfinite(logits[0, size:]).tolist() == [place in (2, 4) for place in range(8)]


def test_step_of_the_server_names_and_reads_the_symbol_that_is_copied(run):
    trained, _, saved = run
    served = ServedRun("x", saved, trained, "tensorflow")
    sources = ["xay\tN;X", "žžž\tN;Y"]
    answer = served.step(StepRequest(sources=sources)).run([None])[0]
    texts = [each.text for each in trained.predict(sources)]
    assert answer["symbols"] == [text[0] for text in texts]
    assert set(answer["symbols"]) & set("xyž")
    states = {name: value.tolist() for name, value in answer["states"].items()}
    after = served.step(StepRequest(sources=sources, states=states, symbols=answer["symbols"])).run([None])[0]
    assert after["symbols"] == [text[1] for text in texts]


def test_gradients_reach_switch_attention_and_generator_through_all_steps_at_once(run):
    trained, held_out, _ = run
    model = trained.model
    with tf.GradientTape() as tape:
        source, target = tf.constant(held_out.source, tf.int32), tf.constant(held_out.target, tf.int32)
        logits = model.logits(source, tf.constant(held_out.source_lengths), target)
        loss = tf.reduce_sum(smoothed_losses(target, logits, 0.1, model.target_symbols)[:2, :3])
    names = ["pointer_generator/switch/kernel", "attention/key/kernel", "output/kernel"]
    values = {variable.path: variable.value for variable in model.network.trainable_variables}
    for gradient in tape.gradient(loss, [values[name] for name in names]):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 1e-6


def test_export_is_refused(run, tmp_path):
    with pytest.raises(InputError, match=r"model\.copy"):
        export(run[2], "savedmodel", tmp_path / "export")


@pytest.mark.parametrize("model", ["copy: pointer_generator", f"{COPYING}, input_feeding: true"])
def test_config_refuses_what_cannot_copy(tmp_path, monkeypatch, model):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.tsv").write_text("a\tb\n")
    task = "{type: pairs, train: p.tsv, validation: p.tsv}"
    with pytest.raises(ConfigError, match=r"model\.copy: "):
        parse_config(f"{{task: {task}, model: {{type: encoder_decoder, {model}}}}}", "c.yaml")


def test_rare_symbols_of_training_are_copied_by_their_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.tsv").write_text("aqb\tbqa\nab\tba\n")
    (tmp_path / "validation.tsv").write_text("ab\tba\n")
    pairs = pair_task(min_frequency=2)
    pairs.copy_source()
    target = pairs.splits()[0].target
    assert target[0].tolist()[:3] == [pairs.target_vocabulary.ids["b"], len(pairs.target_vocabulary) + 1, 4]
