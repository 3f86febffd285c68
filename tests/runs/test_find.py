"""Runs by the beginning of their names, and `latest`."""

import os
from pathlib import Path

import pytest
from run_files import write_run

from rnncli.errors import RunDirError
from rnncli.runs.find import find_run
from rnncli.runs.folders import runs_below


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    """Three runs in runs/, one of them in a folder of a sweep, and one in the current directory."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("runs/addition-gru-1", "runs/addition-lstm-1", "runs/sweep/units64", "mine")):
        write_run(Path(name), state=None)
        os.utime(Path(name) / "vocabulary.json", (1000 - number, 1000 - number))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("runs/addition-gru-1", "runs/addition-gru-1"),
        ("addition-g", "runs/addition-gru-1"),
        ("runs/addition-l", "runs/addition-lstm-1"),
        ("units", "runs/sweep/units64"),
        ("min", "mine"),
        ("latest", "runs/addition-gru-1"),
        ("sweep/units", "runs/sweep/units64"),
        ("runs/sweep/latest", "runs/sweep/units64"),
    ],
)
def test_a_unique_beginning_names_a_run(name, found):
    assert find_run(Path(name)) == Path(found)


def test_a_path_that_exists_is_taken_whatever_it_is():
    Path("latest").mkdir()
    assert find_run(Path("latest")) == Path("latest")


def test_the_beginning_of_several_runs_is_refused_with_their_names():
    with pytest.raises(RunDirError) as refused:
        find_run(Path("addition"))
    assert all(name in refused.value.message for name in ("addition-gru-1", "addition-lstm-1"))


def test_a_whole_name_wins_over_one_that_begins_so():
    write_run(Path("runs/addition-gru-1-2"))
    assert find_run(Path("addition-gru-1")) == Path("runs/addition-gru-1")


@pytest.mark.parametrize("name", ["aditon-gru-1", "adition-gru", "runs/addition-grx-1"])
def test_a_typo_gets_the_name_that_is_meant(name):
    with pytest.raises(RunDirError) as refused:
        find_run(Path(name))
    assert "runs/addition-gru-1?" in refused.value.hint


def test_latest_without_runs_is_refused(tmp_path):
    with pytest.raises(RunDirError):
        find_run(tmp_path / "mine" / "latest")


def test_recorded_starts_decide_over_times_of_files():
    write_run(Path("runs/older"))  # in 2026
    assert find_run(Path("latest")) == Path("runs/older")


def test_checkpoints_and_hidden_folders_are_no_runs(tmp_path):
    write_run(tmp_path / "runs" / ".hidden")
    (tmp_path / "runs" / "addition-gru-1" / "checkpoints").mkdir()
    names = [path.name for path in runs_below(tmp_path / "runs")]
    assert names == ["addition-gru-1", "addition-lstm-1", "units64"]
