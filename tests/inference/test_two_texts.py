"""A run that classifies pairs of texts: training, commands, Python, states, server, and what is refused."""

import itertools
import json
import re
from pathlib import Path

import interrupted_training as interrupted
import numpy as np
import pytest
from interrupted_training import rnncli

import rnncli as package
from rnncli.config import parse_config
from rnncli.errors import InputError
from rnncli.explore.explored_run import ExploredRun
from rnncli.export.comparison import random_sources
from rnncli.inference.backends import Request, load, start
from rnncli.inference.predictor import TrainedRun
from rnncli.models import build_model
from rnncli.runs.directory import RunDir
from rnncli.runtime.tensorflow_setup import setup_inference
from rnncli.serve.requests import PredictRequest, StatesRequest, StepRequest
from rnncli.serve.served_run import ServedRun
from rnncli.states.reader import read_states
from rnncli.training.inputs import TrainingInputs
from rnncli.training.warm_start import take_weights

pytestmark = pytest.mark.usefixtures("runtime")

SAME = dict(zip("abcd", "xwzy", strict=True))
"""Letters of the second language by those of the first: only both texts tell whether their first ones correspond."""
CONFIG = """
task: {type: classify, texts: 2, train: train.tsv, validation: validation.tsv, tokenize: characters, max_length: 4}
model: {type: classifier, cell: gru, units: 16, embedding: 8, encoder: {units: 16, embedding: 8}}
training: {epochs: 12, batch_size: 16, learning_rate: 3e-2, buckets: 2, csv_log: true}
"""
LINES = ["ab\txw", "dba\tzz", "c\tzyxw"]


def write_data():
    """Write examples that are as often `same` as `other`, whatever either text is."""
    rng = np.random.default_rng(0)
    lines = []
    for _, first, same in itertools.product(range(80), SAME, (True, False)):
        rest, more = ("".join(rng.choice([*letters], rng.integers(0, 3))) for letters in (SAME, SAME.values()))
        others = [letter for letter in SAME.values() if letter != SAME[first]]
        second = SAME[first] if same else str(rng.choice(others))
        lines.append(f"{'same' if same else 'other'}\t{first}{rest}\t{second}{more}\n")
    order = rng.permutation(len(lines))
    Path("train.tsv").write_text("".join(lines[row] for row in order[60:]))
    Path("validation.tsv").write_text("".join(lines[row] for row in order[:60]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, runtime):
    folder = tmp_path_factory.mktemp("pairs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_data()
        Path("c.yaml").write_text(CONFIG)
        trained = rnncli("train", "c.yaml", "--run-dir", "run")
        assert trained.exit_code == 0, trained.stderr
    return folder


@pytest.fixture(autouse=True)
def _there(folder, monkeypatch):
    monkeypatch.chdir(folder)


@pytest.fixture(scope="module")
def run(folder):
    return package.load(folder / "run")


@pytest.fixture(scope="module")
def served(folder):
    saved = RunDir(folder / "run").load("best")
    return ServedRun("x", saved, TrainedRun(saved, setup_inference(saved.config)), "tensorflow")


def test_what_only_both_texts_tell_is_learned():
    found = json.loads(rnncli("evaluate", "run", "--by", "label", "--format", "json").stdout)
    assert found["examples"] == 60
    assert found["accuracy"] > 0.95
    measured = json.loads(rnncli("evaluate", "run", "--input", "validation.tsv", "--format", "json").stdout)
    assert measured["exact"] == found["exact"]


def test_pairs_are_predicted_from_arguments_files_and_python(run):
    wanted = ["same" if SAME[line[0]] == line.partition("\t")[2][0] else "other" for line in LINES]
    assert rnncli("predict", "run", *LINES).stdout.split() == wanted
    Path("lines.tsv").write_text("".join(f"{line}\n" for line in LINES))
    shown = rnncli("predict", "run", "--input", "lines.tsv", "--format", "jsonl").stdout.splitlines()
    answers = [json.loads(line) for line in shown]
    assert [answer["source"] for answer in answers] == LINES
    assert [answer["prediction"] for answer in answers] == wanted
    assert [each.text for each in run.predict(LINES)] == wanted
    tsv = rnncli("predict", "run", LINES[0], "--format", "tsv").stdout
    assert tsv.startswith("ab\\txw\tsame\t"), "a tab in a source is escaped"


def test_an_invalid_line_says_which_columns_are_wanted():
    found = rnncli("predict", "run", "ab", "a\tx\ty", "\tx", "abcda\tx", LINES[0])
    assert (found.exit_code, found.stdout) == (1, "\n\n\n\nsame\n")
    for problem in (
        r"1: 1 column: 'ab'; write first text, tab, second text; in a shell $'FIRST\tSECOND'",
        "2: 3 columns: ",
        "3: no first text: ",
        "4: 5 symbols in the first text, more than task.max_length (4)",
    ):
        assert problem in found.stderr
    refused = rnncli("predict", "run", "ab", "--features", "xw")
    assert (refused.exit_code, "reads two texts" in refused.stderr) == (2, True)
    Path("unlabelled.tsv").write_text("ab\txw\n")
    no_label = rnncli("evaluate", "run", "--input", "unlabelled.tsv")
    assert (no_label.exit_code, "unlabelled.tsv:1: 2 columns" in no_label.stderr) == (2, True)
    assert "write label, tab, first text, tab, second text" in no_label.stderr


def test_predictions_do_not_depend_on_other_lines(run):
    alone = [run.predict([line])[0] for line in LINES]
    assert [each.score for each in run.predict(LINES)] == pytest.approx([each.score for each in alone])


def test_exported_states_are_those_of_each_text(run):
    done = rnncli("export-states", "run", *LINES, "--output", "states.npz", "--overwrite")
    assert done.exit_code == 0, done.stderr
    file = read_states("states.npz")
    assert set(file.arrays) >= {"encoder/0/forward/h", "decoder/0/forward/h", "decoder/0/forward/final/h"}
    batch = run.states(LINES)
    assert batch["source_lengths"].tolist() == [2, 3, 1]
    assert batch["target_lengths"].tolist() == [2, 2, 4]
    for row, (first, second) in enumerate(zip(batch["source_lengths"], batch["target_lengths"], strict=True)):
        encoder, decoder = batch["encoder/0/forward/h"][row], batch["decoder/0/forward/h"][row]
        np.testing.assert_array_equal(encoder[first - 1], batch["encoder/0/forward/final/h"][row])
        np.testing.assert_array_equal(decoder[second - 1], batch["decoder/0/forward/final/h"][row])
        assert not encoder[first:].any()
    states = run.encode(LINES)
    np.testing.assert_allclose(states["decoder/0/forward/h"], batch["decoder/0/forward/final/h"], atol=1e-6)
    for kind in ("heatmap", "pca"):
        drawn = rnncli("plot", "states", "states.npz", "--kind", kind, "--output", f"{kind}.svg", "--overwrite")
        assert drawn.exit_code == 0, drawn.stderr


def test_prediction_from_given_states_reads_the_second_texts_alone(run):
    final = run.states(LINES)["encoder/0/forward/final/h"]
    started = run.predict(["a\txw", "a\tzz", "a\tzyxw"], initial_state={"decoder/0/forward/h": final})
    wanted = run.predict(LINES)
    assert [each.score for each in started] == pytest.approx([each.score for each in wanted], abs=1e-5)
    done = rnncli("predict", "run", *LINES, "--state-out", "end.npz", "--overwrite")
    assert done.exit_code == 0, done.stderr
    from_file = rnncli("predict", "run", *LINES, "--state-in", "end.npz")
    assert "the first texts are not read" in from_file.stderr
    carried = rnncli("predict", "run", LINES[0], "--state-in", "carried")
    assert (carried.exit_code, "not stateful" in carried.stderr) == (2, True)


def test_unrolled_sources_begin_with_the_first_text(run):
    ids = np.array([[*run.vocabulary.source.encode(["first: a", "first: b"]), 0, 0]], np.int32)
    second = np.array([run.vocabulary.source.encode("xw")], np.int32)
    _, final = run.unroll(np.concatenate([ids, second], axis=1))
    np.testing.assert_allclose(final["decoder/0/forward/h"], run.encode(LINES[:1])["decoder/0/forward/h"], atol=1e-6)
    with pytest.raises(InputError, match="ids of the second text"):
        run.unroll(np.concatenate([ids, ids], axis=1))
    with pytest.raises(InputError, match="first 4 are ids of the first text"):
        run.unroll(ids)
    with pytest.raises(InputError, match="ids of the first text must be below 2"):
        run.unroll(np.concatenate([second, second, second], axis=1))
    for first in (ids[:, [0, 2, 1, 3]], 0 * ids):
        with pytest.raises(InputError, match="empty or has padding within"):
            run.unroll(np.concatenate([first, second], axis=1))


def test_server_predicts_and_gives_the_states_of_both_texts(served):
    served.warm_up()
    assert served.info()["max_source_steps"] == 4
    asked = served.predict(PredictRequest(sources=[*LINES, "ab"]))
    found = asked.finish(asked.run(asked.items))["predictions"]
    assert [each["prediction"] for each in found[:3]] == ["same", "other", "same"]
    assert found[3]["error"].startswith("1 column")
    (example,) = served.states(StatesRequest(sources=LINES[1:2])).run([None])[0]["examples"]
    assert len(example["arrays"]["encoder/0/forward/h"]) == 3
    assert len(example["arrays"]["decoder/0/forward/h"]) == 2
    assert (example["source_symbols"], example["target_symbols"]) == (list("dba"), list("zz"))


def test_what_has_no_place_for_two_texts_is_refused(run, served):
    with pytest.raises(InputError, match=r"task\.texts: 2"):
        served.step(StepRequest(symbols=["x"])).run([None])
    with pytest.raises(InputError, match=r"task\.texts: 2"):
        run.stepper()
    with pytest.raises(InputError, match=r"task\.texts: 2"):
        run.keras_model()
    with pytest.raises(InputError, match=r"model\.encoder: .*two texts"):
        ExploredRun("x", served.saved)
    for form, path in (("savedmodel", "exported"), ("keras", "exported.keras"), ("litert", "exported.tflite")):
        refused = rnncli("export", "run", "--format", form, "-o", path)
        assert (refused.exit_code, "task.texts: 2" in refused.stderr) == (2, True)
    refused = rnncli("explore", "run")
    assert (refused.exit_code, "two texts" in refused.stderr) == (2, True)


def test_exported_graphs_answer_lines_alone(run):
    done = rnncli("export", "run", "--format", "onnx", "-o", "graphs")
    assert done.exit_code == 0, done.stderr
    answering = start(Request(load(Path("graphs"))), "onnx")
    found, wanted = (each.predict([*LINES, "ab"]) for each in (answering, run))
    assert [(each.text, each.error) for each in found] == [(each.text, each.error) for each in wanted]
    for one, other in zip(found[:3], wanted[:3], strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-5)
    source, lengths = random_sources(answering.task.sizes, 50)
    shown = [answering.task.show_source(row[:n].tolist()) for row, n in zip(source, lengths, strict=True)]
    assert all(re.fullmatch(r"[a-d]{1,4}\t([w-z]|<pad>|<unk>){1,4}", each) for each in shown)


def test_plots_and_the_report_of_a_run_work():
    for plot in (("confusion", "run"), ("lengths", "run"), ("curves", "run")):
        drawn = rnncli("plot", *plot, "--output", f"{plot[0]}.svg", "--overwrite")
        assert drawn.exit_code == 0, drawn.stderr
    written = rnncli("report", "run", "--output", "report.html", "--overwrite")
    assert written.exit_code == 0, written.stderr
    assert rnncli("verify", "run").exit_code == 0


@pytest.mark.long
def test_training_resumes_to_the_same_bits(tmp_path):
    text = interrupted.write_config(tmp_path, "two texts").read_text()
    interrupted.steps(tmp_path / "whole", text)
    interrupted.steps(tmp_path / "again", text, until=9)
    interrupted.steps(tmp_path / "again", text)
    interrupted.check_equal(tmp_path / "whole", tmp_path / "again")


def test_weights_of_another_run_are_taken_by_the_symbols_of_each_text(folder, tmp_path):
    new = CONFIG.replace("train.tsv", str(tmp_path / "more.tsv"), 1)
    new = new.replace("epochs: 12", f"epochs: 1, init_from: {folder / 'run'}")
    (tmp_path / "more.tsv").write_text((folder / "train.tsv").read_text() + "same\tea\txv\n")
    inputs = TrainingInputs.read(parse_config(new, "c"))
    model = build_model(inputs.config, inputs.task.sizes)
    taken = take_weights(model, inputs.start, inputs)
    assert taken.new_symbols[0] == ["v", "first: e"]
    assert (taken.new, taken.unused) == ({}, {})
    tables = [f"{text}_symbols/embedding/embeddings" for text in ("first", "second")]
    assert list(taken.parts) == tables
    old = inputs.start.vocabularies
    here = type(old)(inputs.task.source_vocabulary, inputs.task.target_vocabulary)
    for side, name in zip(("first", "second"), tables, strict=True):
        rows = [here.of(side).ids[symbol] for symbol in old.of(side).symbols]
        np.testing.assert_array_equal(model.arrays()[name][rows], inputs.start.weights[name])


def test_weights_of_a_run_of_one_text_are_refused(folder):
    one = CONFIG.replace("texts: 2, ", "").replace(", encoder: {units: 16, embedding: 8}", "")
    config = parse_config(one.replace("epochs: 12", f"epochs: 1, init_from: {folder / 'run'}"), "c")
    with pytest.raises(InputError, match=r"init_from: .*task\.texts is 2 there and 1 here"):
        TrainingInputs.read(config)
