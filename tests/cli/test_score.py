"""`rnncli score`: log probabilities of given targets, against those of predictions and of the whole text at once."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from untrained_run import write_untrained_run

import rnncli
from rnncli.cli.main import main

pytestmark = pytest.mark.usefixtures("runtime")
SIZES = "encoder: {units: 5}, decoder: {units: 5}"
ADDITION = (
    "task: {type: addition, digits: 1, examples: 50, held_out: 10, short_sums: once}\nmodel: {type: %s}\n"
    "training: {epochs: 40, batch_size: 8, learning_rate: 0.02}\n"
)
CONFIGS = {
    "encoder_decoder": ADDITION % f"encoder_decoder, {SIZES}",
    "repeat_vector": ADDITION % f"repeat_vector, {SIZES}",
    "classifier": ADDITION % "classifier, units: 4",
    "alphabet": "task: alphabet\nmodel: {type: next_step, units: 4}\ntraining: {epochs: 1}\n",
    "text": "task: {type: text, window: 8, windows: 64, held_out: 4}\nmodel: {type: next_step, units: 6}\n"
    "training: {epochs: 1}\n",
}
SOURCES = {"alphabet": ["ABC", "XYZ"]}


def rnncli_run(*arguments, text=None):
    return CliRunner().invoke(main, [str(a) for a in arguments], input=text)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, config in CONFIGS.items():
        (folder / f"{name}.yaml").write_text(config)
        if name != "encoder_decoder":
            write_untrained_run(folder / name, folder / f"{name}.yaml")
            continue
        result = rnncli_run("train", folder / f"{name}.yaml", "--run-dir", folder / name, "-q")
        assert result.exit_code == 0, result.stderr
    return folder


def lines_of(result):
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("name", ["encoder_decoder", "repeat_vector", "classifier", "alphabet"])
def test_score_of_what_the_model_predicts_is_that_of_the_prediction(runs, name):
    sources = SOURCES.get(name, ["1+2", "7+8"])
    sampled = ["--sample", "--n-best", "8"] if name == "encoder_decoder" else []  # some of which are numbers
    valid = 0
    for predicted in lines_of(rnncli_run("predict", runs / name, *sources, *sampled, "--format", "jsonl", "-q")):
        for answer in predicted.get("hypotheses", [predicted]):
            if re.fullmatch(r"[0-9]{1,2}|[A-Z]", answer["prediction"].strip()) is None:
                continue  # an untrained model writes what is no target too
            line = f"{predicted['source']}\t{answer['prediction']}"
            (scored,) = lines_of(rnncli_run("score", runs / name, line, "--format", "jsonl", "--symbols", "-q"))
            assert scored["score"] == pytest.approx(answer["score"], abs=1e-5)
            assert sum(each["score"] for each in scored["symbols"]) == pytest.approx(scored["score"], abs=1e-5)
            valid += 1
    assert valid > 0


def test_texts_of_any_length_are_scored_as_if_read_at_once(runs):
    run = rnncli.load(runs / "text")
    texts = ["BabcdefBCabcdefghiC", "A", "DabcdefghijklD"]
    found = run.score(texts, prime="AB")
    ids = [run._run.task.read_prime("AB" + text) for text in texts]
    for each, row in zip(found, ids, strict=True):
        source = tf.constant([row[:-1]])
        logits = run._run.model.read_from(None, source, tf.constant([len(row) - 1]))[0].numpy()[0].astype(float)
        log_probability = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        expected = log_probability[np.arange(len(row) - 1), row[1:]][1:]
        np.testing.assert_allclose([value for _, value in each.symbols], expected, atol=1e-5)
        assert "".join(symbol for symbol, _ in each.symbols) == each.target
        assert each.score == pytest.approx(expected.sum(), abs=1e-4)


@pytest.mark.parametrize(("line", "unknown"), [("BabcdefB", ""), ("Bab?efB", "<stdin>: 1 unknown symbol ('?' 1)")])
def test_unknown_symbols_of_lines_are_counted_and_not_those_of_the_prime(runs, line, unknown):
    result = rnncli_run("score", runs / "text", "--input", "-", text=f"{line}\n")
    assert result.exit_code == 0, result.stderr
    assert ("unknown" in result.stderr, unknown in result.stderr) == (bool(unknown), True)


def test_formats_and_invalid_lines(runs):
    run = runs / "encoder_decoder"
    result = rnncli_run("score", run, "--input", "-", "--format", "tsv", "--symbols", "-q", text="1+2\t3\nx\ty\n")
    assert result.exit_code == 1
    assert "<stdin>:2" in result.stderr
    first, second = result.stdout.splitlines()
    source, target, score, symbols = first.split("\t")
    assert (source, target) == ("1+2", "3")
    assert [part.split(":")[0] for part in symbols.split(" ")] == ["3", "<eos>"]
    assert float(score) == pytest.approx(sum(float(part.split(":")[1]) for part in symbols.split(" ")), abs=1e-2)
    assert second.split("\t")[2:] == ["", ""]
    strict = rnncli_run("score", run, "x\ty", "--strict", "-q")
    assert (strict.exit_code, strict.stdout) == (1, "")


def test_an_ensemble_scores_too(runs):
    one = lines_of(rnncli_run("score", runs / "encoder_decoder", "1+2\t3", "--format", "jsonl", "-q"))
    run = runs / "encoder_decoder"
    two = lines_of(rnncli_run("score", run, "1+2\t3", "--ensemble", run, "--format", "jsonl", "-q"))
    assert two[0]["score"] == pytest.approx(one[0]["score"], abs=1e-5)


def test_a_prime_is_for_models_of_texts(runs):
    result = rnncli_run("score", runs / "alphabet", "ABC\tD", "--prime", "X")
    assert result.exit_code == 2
    assert "--prime" in result.stderr
