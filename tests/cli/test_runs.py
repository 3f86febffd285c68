"""`rnncli runs`: a table of runs, sorted and chosen."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from run_files import write_run

from rnncli.cli.main import main


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(Path("runs/low"), (0.1, 0.2), ["model.cell=gru"])
    write_run(Path("runs/high"), (0.1, 0.9), ["training.seed=1"])
    write_run(Path("runs/sweep/middle"), (0.5,), ["training.learning_rate=1e-2"], state="failed")
    (Path("runs/sweep/middle") / "metrics.jsonl").write_text("")


def rnncli(*arguments):
    return CliRunner().invoke(main, ["runs", *map(str, arguments)])


def listed(*arguments):
    result = rnncli("--json", *arguments)
    assert result.exit_code == 0, result.stderr
    return [Path(each["path"]).name for each in json.loads(result.stdout)]


def test_the_table_has_a_line_for_each_run():
    result = rnncli()
    lines = result.stdout.splitlines()
    assert len(lines) == 4
    row = next(line for line in lines if line.startswith("high"))
    assert all(word in row for word in ("addition", "seed=1", "2 of 2", "90.00% [59.58-98.21%]", "finished"))
    assert any(line.startswith("sweep/middle") and "failed" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--sort", "best"], ["high", "middle", "low"]),
        (["--sort", "name"], ["high", "low", "middle"]),
        (["--sort", "epochs"], ["middle", "high", "low"]),
        (["--sort", "learning_rate"], ["high", "low", "middle"]),
        (["--where", "cell=gru"], ["low"]),
        (["--where", "model.cell=lstm", "--sort", "name"], ["high", "middle"]),
        (["--where", "state=failed"], ["middle"]),
        (["--where", "learning_rate=0.0100"], ["middle"]),
        (["--where", "seed=1", "--where", "cell=gru"], []),
    ],
)
def test_runs_are_sorted_and_chosen(arguments, names):
    assert listed(*arguments) == names


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], ["nowhere"]),
        (["--where", "cell"], ["--where cell"]),
        (["--where", "cel=gru"], ["--where cel=gru", "cell?"]),
        (["--sort", "sped"], ["--sort sped", "seed?"]),
    ],
)
def test_what_is_not_there_is_refused(arguments, words):
    result = rnncli(*arguments)
    assert result.exit_code == 2
    assert all(word in result.stderr for word in words)


def test_a_value_that_no_run_has_is_answered_with_those_that_runs_have():
    result = rnncli("--where", "state=finishd")
    assert (result.exit_code, result.stdout) == (0, "")
    assert re.search(r"--where state=finishd: .*(finished, failed|failed, finished)", result.stderr)
    assert "gru" in rnncli("--where", "cell=gruu").stderr


def test_no_runs_are_no_error(tmp_path):
    (tmp_path / "empty").mkdir()
    result = rnncli(tmp_path / "empty")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "empty" in result.stderr
    assert json.loads(rnncli(tmp_path / "empty", "--json").stdout) == []
