"""`rnncli compare`: two runs of version 0.1.0 on the same examples."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from rnncli.cli.main import main

OLD_RUNS = Path(__file__).parents[1] / "runs/version_0_1_0"


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("addition-whole", "addition-interrupted", "stateful-whole"):
        shutil.copytree(OLD_RUNS / name, Path("runs") / name)


def rnncli(*arguments):
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def test_recorded_metrics_need_no_model():
    result = rnncli("addition-w", "addition-i", "--recorded")
    assert result.exit_code == 0, result.stderr
    assert all(word in result.stdout for word in ("exact match", "21.74%", "4.35%"))


def test_recorded_metrics_need_neither_weights_nor_trust():
    shutil.copytree(OLD_RUNS / "custom_cell-whole", "runs/custom")
    for weights in Path("runs").rglob("*.safetensors"):
        weights.unlink()
    result = rnncli("addition-w", "custom", "--recorded")
    assert result.exit_code == 0, result.stderr
    assert "21.74%" in result.stdout


@pytest.mark.usefixtures("runtime")
def test_runs_are_tested_on_the_same_examples():
    result = rnncli("addition-w", "addition-i", "--json", "--errors", "differ.tsv")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    first, second = found["metrics"]
    assert found["examples"] == 10
    (test,) = found["tests"]
    for name, each in test["metrics"].items():
        assert each["difference"] == pytest.approx(second[name]["value"] - first[name]["value"])
        assert 0 < each["p"] <= 1
    assert test["metrics"]["exact_match"]["p"] == 1
    assert test["both_right"] + test["neither_right"] == 10
    assert Path("differ.tsv").read_text().count("\n") == 1
    assert "epoch 3" in result.stderr
    assert "epoch 1" in result.stderr


@pytest.mark.usefixtures("runtime")
def test_examples_of_a_file_are_compared_too():
    Path("sums.txt").write_text("1+2\t3\n4+4\t8\n")
    result = rnncli("addition-w", "addition-i", "--input", "sums.txt")
    assert result.exit_code == 0, result.stderr
    assert "2 examples" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["addition-w", "addition-i", "--input", "lines.tsv", "--errors", "lines.tsv", "--overwrite"], "lines.tsv"),
        (["addition-w"], "two runs"),
        (["addition-w", "runs/addition-whole"], "twice"),
        (["addition-w", "addition-i", "--recorded", "--errors", "x"], "--recorded"),
        (["addition-w", "nothing"], "nothing"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, word):
    Path("lines.tsv").write_text("1+2\t3\n")
    result = rnncli(*arguments)
    assert result.exit_code == 2
    assert word in result.stderr
    assert Path("lines.tsv").read_text() == "1+2\t3\n"
