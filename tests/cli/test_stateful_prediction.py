"""States that go from batch to batch, out into files and back in, through the command line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from npz_files import read_npz
from safetensors.numpy import load_file, save_file

from rnncli import load
from rnncli.cli.main import main

ROOT = Path(__file__).parents[2]
SIX = ["ABC"] * 6


def rnncli(*arguments, stdin=None):
    return CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)


def digests(run):
    return {path: path.read_bytes() for path in sorted(run.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The shipped config, trained."""
    path = tmp_path_factory.mktemp("stateful") / "run"
    result = rnncli("train", ROOT / "configs/alphabet_stateful.yaml", "--run-dir", path, "--quiet")
    assert result.exit_code == 0, result.stderr
    return path


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The same with other weights."""
    path = tmp_path_factory.mktemp("other") / "run"
    rnncli("train", ROOT / "configs/alphabet_stateful.yaml", "--run-dir", path, "--quiet", "--seed", 1)
    return path


def probabilities(run, *arguments, lines=SIX):
    result = rnncli("predict", run, *lines, "--format", "jsonl", *arguments)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line)["probabilities"] for line in result.stdout.splitlines()]


def predictions(path, lines):
    """The predictions of a run, by the command and in Python, which must agree."""
    result = rnncli("predict", path, *lines)
    assert result.exit_code == 0, result.stderr
    shown = result.stdout.splitlines()
    assert [prediction.text for prediction in load(path).predict(lines)] == shown
    return shown


WINDOWS = {
    "three letters": (3, 6, "epoch", 40),
    "one letter": pytest.param(1, 1, "epoch", 300, marks=pytest.mark.long),
    "states that are never reset": pytest.param(3, 6, "never", 40, marks=pytest.mark.long),
}


@pytest.mark.parametrize(("window", "batch", "reset", "epochs"), WINDOWS.values(), ids=WINDOWS)
def test_a_stateful_model_is_measured_and_predicts_as_it_was_trained(tmp_path, window, batch, reset, epochs):
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZA" if window == 3 else "ABACAD"  # the letter after A depends on the state
    settings = {"task.window": window, "training.batch_size": batch, "model.reset": reset, "task.alphabet": letters}
    settings |= {"training.epochs": epochs}
    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    run = tmp_path / "run"
    assert rnncli("train", ROOT / "configs/alphabet_stateful.yaml", "--run-dir", run, "-q", *changes).exit_code == 0
    sources = [letters[i : i + window] for i in range(len(letters) - window)]
    best = max(json.loads(line)["exact_match"] for line in (run / "metrics.jsonl").read_text().splitlines())
    assert best == 1 if window == 1 else 0 < best < 1
    assert json.loads(rnncli("evaluate", run, "--format", "json").stdout)["exact_match"] == best
    found = predictions(run, sources)
    assert sum(map(str.__eq__, found, letters[window:])) == round(best * len(sources))


@pytest.mark.parametrize("lines", [["ABC"], ["ABC", "DEF", "GHI", "JKL", "MNO", "PQR", "STU"]])
def test_any_number_of_lines_is_predicted_as_in_python(run, lines):
    asked = probabilities(run, lines=lines)
    assert asked == [prediction.probabilities for prediction in load(run).predict(lines)]
    assert asked == probabilities(run, lines=(lines * 12)[: 6 * len(lines)])[: len(lines)]


def test_rows_without_a_line_keep_their_states(run, tmp_path):
    rnncli("predict", run, *SIX, "--state-out", tmp_path / "six.npz")
    seventh = rnncli("predict", run, *SIX, "ABC", "--state-out", tmp_path / "seven.npz")
    assert seventh.exit_code == 0, seventh.stderr
    six, seven = read_npz(tmp_path / "six.npz"), read_npz(tmp_path / "seven.npz")
    np.testing.assert_array_equal(six["rnn/0/forward/h"][1:], seven["rnn/0/forward/h"][1:])
    assert (six["rnn/0/forward/h"][0] != seven["rnn/0/forward/h"][0]).any()


@pytest.mark.parametrize("ending", ["npz", "h5", "safetensors"])
def test_every_format_holds_states_that_predict_and_evaluate_start_from(run, tmp_path, ending):
    carried, ended = tmp_path / f"carried.{ending}", tmp_path / f"ended.{ending}"
    assert rnncli("export-states", run, "--carried", "-o", carried).exit_code == 0
    assert "error: " + str(carried) in rnncli("export-states", run, "--carried", "-o", carried).stderr
    started = probabilities(run, "--state-in", carried, "--state-out", ended)
    assert started == probabilities(run, "--state-in", "carried")
    assert started + probabilities(run, "--state-in", ended) == probabilities(
        run, "--state-in", carried, lines=SIX * 2
    )
    assert rnncli("evaluate", run, "--state-in", ended).exit_code == 0
    result = rnncli("predict", run, "ABC", "--state-out", tmp_path / "ended.txt")
    assert result.exit_code == 2
    assert f".{ending}" in result.stderr


def test_evaluate_starts_from_given_states(run, tmp_path):
    rnncli("export-states", run, "--carried", "-o", tmp_path / "carried.h5")
    zeros, by_name, by_file = (
        json.loads(rnncli("evaluate", run, "--format", "json", "--state-in", states).stdout)
        for states in ("zeros", "carried", tmp_path / "carried.h5")
    )
    assert zeros == json.loads(rnncli("evaluate", run, "--format", "json").stdout)
    assert by_name == by_file


def test_exported_states_are_those_that_predict_and_encode_go_through(run, tmp_path):
    lines = ["ABC", "DEF", "GHI", "JKL", "MNO", "PQR", "STU"]
    assert rnncli("export-states", run, *lines, "-o", tmp_path / "states.npz").exit_code == 0
    states = read_npz(tmp_path / "states.npz")
    assert states["predictions"].tolist() == predictions(run, lines)
    encoded = load(run).encode(lines)
    np.testing.assert_allclose(states["rnn/0/forward/final/h"], encoded["rnn/0/forward/h"], atol=1e-6)


def test_every_row_of_six_equal_inputs_differs_from_carried_states(run):
    rows = probabilities(run, "--state-in", "carried")
    assert all(rows[i] != rows[j] for i in range(6) for j in range(i))


def test_going_on_from_where_prediction_ended_differs(run, tmp_path):
    first = probabilities(run, "--state-out", tmp_path / "ended.safetensors")
    second = probabilities(run, "--state-in", tmp_path / "ended.safetensors")
    assert all(a != b for a, b in zip(first, second, strict=True))


def test_two_batches_are_one_and_then_the_other(run, tmp_path):
    both = probabilities(run, lines=SIX * 2)
    first = probabilities(run, "--state-out", tmp_path / "ended.safetensors")
    second = probabilities(run, "--state-in", tmp_path / "ended.safetensors")
    assert both == first + second


def test_the_carried_states_in_a_file_give_the_same_bits_whatever_came_between(run, tmp_path):
    before = digests(run)
    expected = probabilities(run, "--state-in", "carried")
    path = tmp_path / "carried.safetensors"
    assert rnncli("export-states", run, "--carried", "-o", path).exit_code == 0
    assert probabilities(run, "--state-in", path) == expected
    for _ in range(2):
        probabilities(run, lines=["XYZ"] * 6)
    assert probabilities(run, "--state-in", path) == expected
    assert probabilities(run, "--state-in", "carried") == expected
    assert digests(run) == before, "predicting changed the run"


def test_from_zeros_equal_inputs_give_equal_rows(run):
    rows = probabilities(run, "--state-in", "zeros")
    assert all(row == rows[0] for row in rows)
    assert probabilities(run) == rows, "an epoch of training starts from zeros"


def test_all_rows_from_row_0_are_row_0(run):
    expected = probabilities(run, "--state-in", "carried")[0]
    assert probabilities(run, "--state-in", "carried", "--state-row", 0) == [expected] * 6
    assert probabilities(run, "--state-in", "carried", "--state-row", 1) != [expected] * 6


def test_the_start_is_said_on_stderr_unless_quiet(run):
    for command in (["predict", run, *SIX], ["evaluate", run]):
        assert "zeros" in rnncli(*command).stderr
        assert "carried" in rnncli(*command, "--state-in", "carried").stderr
        assert rnncli(*command, "--quiet").stderr == ""


@pytest.mark.parametrize(("reset", "alike"), [("epoch", True), ("never", False)])
def test_training_starts_an_epoch_from_zeros_or_goes_on_as_the_config_says(tmp_path, reset, alike):
    still = "training.learning_rate=1e-12"  # weights that do not move: epochs differ by their states alone
    config = ROOT / "configs/alphabet_stateful.yaml"
    rnncli("train", config, "--run-dir", tmp_path / "run", "-q", "--set", f"model.reset={reset}", "--set", still)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert (abs(losses[0] - losses[1]) < 1e-6) == alike


def test_an_ordinary_model_starts_from_states_too(tmp_path):
    run = tmp_path / "run"
    rnncli("train", ROOT / "configs/alphabet.yaml", "--run-dir", run, "-q", "--set", "training.epochs=1")
    plain = probabilities(run, "--state-out", tmp_path / "ended.safetensors", lines=["ABC", "DEF"])
    assert probabilities(run, "--state-in", "zeros", lines=["ABC", "DEF"]) == plain
    assert probabilities(run, "--state-in", tmp_path / "ended.safetensors", lines=["ABC", "DEF"]) != plain
    wrong = rnncli("predict", run, "ABC", "--state-in", tmp_path / "ended.safetensors")
    assert wrong.exit_code == 2
    assert re.search(r"\b2 rows.*\b1 row", wrong.stderr)
    assert rnncli("predict", run, "ABC", "--state-in", "carried").exit_code == 2


def test_states_of_other_weights_are_refused_unless_allowed(run, other, tmp_path):
    rnncli("export-states", other, "--carried", "-o", tmp_path / "other.safetensors")
    result = rnncli("predict", run, *SIX, "--state-in", tmp_path / "other.safetensors")
    assert result.exit_code == 2
    assert "weights digest" in result.stderr
    assert result.stdout == ""
    assert probabilities(run, "--state-in", tmp_path / "other.safetensors", "--allow-other-weights")


def test_damaged_states_are_refused(run, tmp_path):
    path = tmp_path / "carried.safetensors"
    rnncli("export-states", run, "--carried", "-o", path)
    whole = path.read_bytes()
    for number, damaged in enumerate((whole[:-1], b"", b"x" * 100)):
        bad = tmp_path / f"bad{number}.safetensors"
        bad.write_bytes(damaged)
        result = rnncli("predict", run, *SIX, "--state-in", bad, "--state-out", tmp_path / "out.safetensors")
        assert result.exit_code == 2
        assert str(bad) in result.stderr
    states = load_file(path)
    states["rnn/0/forward/h"][0, 0] = np.nan
    header = whole[8 : 8 + int.from_bytes(whole[:8], "little")]
    save_file(states, tmp_path / "nan.safetensors", json.loads(header)["__metadata__"])
    result = rnncli("predict", run, *SIX, "--state-in", tmp_path / "nan.safetensors")
    assert result.exit_code == 2
    assert "not finite" in result.stderr
    assert not (tmp_path / "out.safetensors").exists()


def test_a_stateful_model_refuses_an_invalid_line(run, tmp_path):
    result = rnncli("predict", run, *SIX, "?", "--state-out", tmp_path / "out.safetensors")
    assert result.exit_code == 2
    assert re.search(r"argument:7: not 3 letters", result.stderr)
    assert list(tmp_path.iterdir()) == []


def test_a_batch_size_that_does_not_divide_gets_one_that_does():
    result = rnncli("validate", ROOT / "configs/alphabet_stateful.yaml", "--set", "training.batch_size=5")
    assert result.exit_code == 2
    assert "3, 4, 6" in result.stderr


def test_a_file_of_states_is_replaced_only_on_request(run, tmp_path):
    out = tmp_path / "ended.safetensors"
    assert rnncli("predict", run, *SIX, "--state-out", out).exit_code == 0
    first = out.read_bytes()
    refused = rnncli("predict", run, *SIX, "--state-in", "zeros", "--state-out", out)
    assert refused.exit_code == 2
    assert out.read_bytes() == first
    assert rnncli("predict", run, *SIX, "--state-in", out, "--state-out", out, "--overwrite").exit_code == 0
    assert out.read_bytes() != first


def test_files_of_carried_and_ended_states_say_where_they_come_from(run, tmp_path):
    rnncli("predict", run, *SIX, "--state-out", tmp_path / "ended.safetensors")
    said = rnncli("export-states", run, "--carried", "-o", tmp_path / "carried.safetensors").stderr
    assert "rnn/0/forward/c" in said
    for name, mode in (("ended", "free-running"), ("carried", "carried")):
        data = (tmp_path / f"{name}.safetensors").read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        manifest = json.loads(header["__metadata__"]["manifest"])
        assert manifest["decoding"] == mode
        assert manifest["kernels"] == {"rnn/0": "fused"}
        assert manifest["config"]["model"]["stateful"] is True
        assert manifest["step"] == 8


@pytest.mark.parametrize(
    "more", [["ABC"], ["--layers", "rnn/0"], ["--teacher-forced"], ["--dtype", "float16"], ["--format", "neurox"]]
)
def test_carried_states_take_no_options_of_examples(run, tmp_path, more):
    result = rnncli("export-states", run, *more, "--carried", "-o", tmp_path / "c.safetensors")
    assert result.exit_code == 2
    assert "--carried" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_decoder_says_that_it_reads_no_sources(tmp_path):
    (tmp_path / "tiny.yaml").write_text(
        "task: {type: addition, digits: 1, examples: 55, held_out: 5}\ntraining: {epochs: 1, batch_size: 10}\n"
        "model: {type: encoder_decoder, encoder: {units: 4}, decoder: {units: 4}}\n"
    )
    rnncli("train", tmp_path / "tiny.yaml", "--run-dir", tmp_path / "run", "-q")
    result = rnncli("predict", tmp_path / "run", "1+2", "--state-in", "zeros")
    assert result.exit_code == 0
    assert "zeros" in result.stderr
