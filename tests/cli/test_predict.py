"""`rnncli predict` and `rnncli evaluate`, through the command line."""

import gzip
import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import without_xla
from click.testing import CliRunner
from untrained_run import write_untrained_run

from rnncli.cli.commands.predict import Style
from rnncli.cli.main import main
from rnncli.inference.prediction import Prediction

TINY = """
task: {type: addition, digits: 1, examples: 55, held_out: 5}
model: {type: MODEL, encoder: {units: 12}, decoder: {units: 12}}
training: {epochs: 60, batch_size: 10, learning_rate: 1e-2}
"""


def rnncli(*arguments, stdin=None):
    return CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)


def trained(folder, text):
    config = folder / "config-file.yaml"
    config.write_text(text)
    result = rnncli("train", config, "--run-dir", folder / "run", "--quiet")
    assert result.exit_code == 0, result.stderr
    return folder / "run"


def untrained(folder, text):
    (folder / "c.yaml").write_text(text)
    return write_untrained_run(folder / "run", folder / "c.yaml")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that has learned some sums."""
    return trained(tmp_path_factory.mktemp("run"), TINY.replace("MODEL", "encoder_decoder"))


@pytest.fixture(scope="module")
def single_pass(tmp_path_factory, runtime):
    """A run of a model that computes all steps at once, whose predictions are mostly wrong."""
    return untrained(tmp_path_factory.mktemp("untrained"), TINY.replace("MODEL", "repeat_vector"))


@pytest.fixture(scope="module")
def letters(tmp_path_factory, runtime):
    """A run of the alphabet."""
    text = "{task: alphabet, model: {type: next_step, units: 8}}"
    return untrained(tmp_path_factory.mktemp("letters"), text)


def test_one_line_in_one_line_out_in_order_bad_lines_included(run):
    lines = ["1+2", "", "9+9", "x", "1+2", "12+3", "1+2\t3", "é", "0+0"]
    result = rnncli("predict", run, "--format", "jsonl", stdin="\n".join(lines) + "\n")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["source"] for answer in answers] == lines
    assert [bool(answer.get("error")) for answer in answers] == [
        False,
        True,
        False,
        True,
        False,
        True,
        True,
        True,
        False,
    ]
    assert all((answer["prediction"] == "") for answer in answers if answer.get("error"))
    assert answers[0] == answers[4]
    assert result.exit_code == 1
    assert "<stdin>:2: " in result.stderr
    assert "<stdin>:6: " in result.stderr


def test_arguments_file_and_stdin_give_the_same(run, tmp_path):
    sums = [f"{a}+{b}" for a in range(10) for b in range(10)] * 2  # more than one batch
    (tmp_path / "sums.txt").write_bytes("\r\n".join(sums).encode())
    by_argument = rnncli("predict", run, "--format", "jsonl", *sums).stdout
    assert by_argument == rnncli("predict", run, "--format", "jsonl", "--input", tmp_path / "sums.txt").stdout
    assert by_argument == rnncli("predict", run, "--format", "jsonl", stdin="\n".join(sums)).stdout
    (tmp_path / "sums.gz").write_bytes(gzip.compress("\n".join(sums).encode()))
    assert by_argument == rnncli("predict", run, "--format", "jsonl", "--input", tmp_path / "sums.gz").stdout
    assert by_argument.startswith(rnncli("predict", run, "--format", "jsonl", sums[0]).stdout)


def test_half_a_gzip_file_is_refused(run, tmp_path):
    (tmp_path / "sums.gz").write_bytes(gzip.compress(b"1+2\n" * 9)[:-9])
    result = rnncli("predict", run, "--input", tmp_path / "sums.gz")
    assert result.exit_code == 2
    assert f"error: {tmp_path / 'sums.gz'}: incomplete gzip file" in result.stderr


def test_formats(run):
    text = rnncli("predict", run, "1+2", "3+4").stdout.splitlines()
    tsv = [line.split("\t") for line in rnncli("predict", run, "1+2", "3+4", "--format", "tsv").stdout.splitlines()]
    jsonl = [json.loads(s) for s in rnncli("predict", run, "1+2", "3+4", "--format", "jsonl").stdout.splitlines()]
    assert [row[:2] for row in tsv] == [["1+2", text[0]], ["3+4", text[1]]]
    assert [answer["prediction"] for answer in jsonl] == text
    assert [float(row[2]) for row in tsv] == pytest.approx([answer["score"] for answer in jsonl], rel=1e-5)
    assert all(answer["score"] < 0 for answer in jsonl)


@pytest.mark.parametrize("form", ["text", "tsv", "jsonl"])
def test_symbols_of_a_stranger_stay_on_their_line_and_drive_no_terminal(form):
    wild = "a\x1b[2J\nb\x9bc\u2028d"
    prediction = Prediction(wild, wild, -1.0, hypotheses=((wild, -1.0),))
    line = Style(form, 1, False, None)(prediction)
    assert not {"\x1b", "\n", "\x9b", "\u2028"} & set(line)
    assert form != "jsonl" or json.loads(line)["prediction"] == wild
    raw = Style(form, 1, False, None, raw=True)(prediction)
    assert (wild in raw) == (form != "jsonl")


def test_strict_stops_at_the_first_bad_line(run):
    result = rnncli("predict", run, "--strict", "1+2", "bad", "3+4")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    assert "error: argument:2: " in result.stderr


def test_nothing_in_nothing_out(run):
    result = rnncli("predict", run, stdin="")
    assert (result.exit_code, result.stdout) == (0, "")


def test_one_step_models_give_the_probability_of_every_letter(letters):
    answer = json.loads(rnncli("predict", letters, "ABC", "--format", "jsonl").stdout)
    assert "".join(answer["probabilities"]) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert answer["prediction"] == max(answer["probabilities"], key=answer["probabilities"].get)
    assert answer["score"] == pytest.approx(math.log(max(answer["probabilities"].values())), abs=1e-5)


@pytest.mark.parametrize(("arguments", "status"), [pytest.param(["--strict"], 1, marks=pytest.mark.long), ([], 130)])
def test_answers_come_while_lines_do_and_it_ends_in_order_while_stdin_stays_open(single_pass, arguments, status):
    process = subprocess.Popen(
        [sys.executable, without_xla.__file__, "predict", str(single_pass), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        for question in ("1+2\n", "3+4\n"):
            process.stdin.write(question)
            process.stdin.flush()
            assert process.stdout.readline().endswith("\n")  # would wait for ever if answers came at the end
        if status == 130:
            process.send_signal(signal.SIGINT)
        else:
            process.stdin.write("bad\n")
            process.stdin.flush()
        assert process.wait(timeout=60) == status
        assert "Fatal" not in process.stderr.read()


def test_a_line_without_an_end_is_a_bad_line(run, tmp_path):
    (tmp_path / "long.txt").write_bytes(b"1" * 3_000_000 + b"\n1+2\n")
    result = rnncli("predict", run, "--input", tmp_path / "long.txt", "--format", "jsonl")
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert first["error"].startswith("not a sum")
    assert len(first["source"]) <= 1000, "only the beginning is repeated"
    assert "error" not in second


def test_a_reader_that_goes_away_ends_it_quietly(single_pass, tmp_path):
    (tmp_path / "many.txt").write_text("1+2\n" * 60_000)
    command = (
        f"{sys.executable} {without_xla.__file__} predict {single_pass} --input {tmp_path / 'many.txt'} | head -n 1"
    )
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert len(result.stdout.splitlines()) == 1
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) <= 1  # which weights are used


@pytest.mark.parametrize("model", ["run", "single_pass"])
def test_evaluate_counts_what_predict_says(request, model):
    run = request.getfixturevalue(model)
    sums = [f"{a}+{b}" for a in range(10) for b in range(10)]
    (run / "../all.txt").resolve().write_text("\n".join(sums) + "\n\n")
    figures = json.loads(rnncli("evaluate", run, "--input", run / "../all.txt", "--format", "json").stdout)
    answers = rnncli("predict", run, *sums).stdout.splitlines()
    right = sum(answer == str(eval(question)) for question, answer in zip(sums, answers, strict=True))
    assert (figures["examples"], figures["exact"]) == (100, right)
    assert figures["exact_match"] == right / 100
    assert figures["groups"]["carries"]["1"]["examples"] == 45
    (digits,) = figures["groups"]["digits"].values()
    assert digits == {name: figures[name] for name in digits}, "all have one digit"
    assert (digits["examples"], digits["exact"]) == (100, right)


def test_evaluate_without_input_uses_what_was_held_out(run):
    result = rnncli("evaluate", run)
    assert result.stdout.startswith("5 examples")
    for word in ("exact match", "word error rate", "symbol accuracy", "symbol error rate", "digits", "carries"):
        assert word in result.stdout
    best = max(json.loads(line)["exact_match"] for line in (run / "metrics.jsonl").read_text().splitlines())
    figures = json.loads(rnncli("evaluate", run, "--format", "json").stdout)
    assert figures["exact_match"] == best


def test_evaluate_takes_targets_from_the_file(run, tmp_path):
    sums = [f"{a}+{b}" for a in range(10) for b in range(10)]
    answers = rnncli("predict", run, *sums).stdout.splitlines()
    question, answer = next(pair for pair in zip(sums, answers, strict=True) if pair[1])  # an empty one is no sum
    (tmp_path / "pairs.tsv").write_text(f"{question}\t{answer}\n{question}\t{(int(answer) + 1) % 19}\n")
    figures = json.loads(rnncli("evaluate", run, "--input", tmp_path / "pairs.tsv", "--format", "json").stdout)
    assert (figures["examples"], figures["exact"]) == (2, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1+2\nbad\n", ":2: "),
        ("1+2\t3\t4\n", ":1: 3 columns"),
        ("\n\n", ": no examples"),
        ("1+2\tx\n", ":1: "),
    ],
)
def test_evaluate_refuses_bad_lines(run, tmp_path, text, message):
    (tmp_path / "pairs.tsv").write_text(text)
    result = rnncli("evaluate", run, "--input", tmp_path / "pairs.tsv")
    assert result.exit_code == 2
    assert f"error: {tmp_path / 'pairs.tsv'}{message}" in result.stderr


def test_a_damaged_run_is_refused(run, tmp_path):
    import shutil

    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    weights = next((copy / "checkpoints").glob("*/weights.safetensors"))
    for damage in ("best", "vocabulary.json"):
        path = copy / ("checkpoints/best" if damage == "best" else damage)
        text = path.read_text()
        path.unlink()
        result = rnncli("predict", copy, "1+2")
        assert result.exit_code == 2
        assert damage in result.stderr
        path.write_text(text)
    for path in (copy / "checkpoints").glob("*/weights.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    result = rnncli("predict", copy, "1+2")
    assert result.exit_code == 2
    assert weights.name in result.stderr
    assert "sha256" in result.stderr


def test_features_option_is_for_sources_that_have_none(tmp_path, monkeypatch, single_pass):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.tsv").write_text("ab\tAB\tV;PST\nba\tBA\tN\n")
    columns = "columns: {source: 1, target: 2, features: 3}, features: joined"
    data = "train: train.tsv, validation: train.tsv, max_source_length: 6, max_target_length: 3"
    model = "model: {type: encoder_decoder, encoder: {units: 12}, decoder: {units: 12}}"
    run = untrained(tmp_path, f"{{task: {{type: pairs, {data}, {columns}}}, {model}}}")
    given = rnncli("predict", run, "--features", "V;PST", "ab", "ba\tN", "--format", "tsv")
    assert given.exit_code == 0
    assert given.stdout == rnncli("predict", run, "ab\tV;PST", "ba\tN", "--format", "tsv").stdout
    assert "\tV;PST\t" in given.stdout.replace("\\t", "\t")
    without = rnncli("predict", single_pass, "--features", "V", "1+1")
    assert (without.exit_code, "--features: " in without.stderr) == (2, True)
    assert rnncli("predict", run, "--features", "V\tN", "ab").exit_code == 2
