"""A path that is given as a run and is none: the message names what may be meant."""

from pathlib import Path

import pytest

from rnncli.errors import RunDirError
from rnncli.runs.directory import RunDir


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    for run in ("runs/sums", "runs/words", "letters"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "config.yaml").touch()
        (tmp_path / run / "manifest.json").touch()
    (tmp_path / "my.yaml").touch()
    (tmp_path / "words.tsv").touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("my.yaml", "rnncli train my.yaml"),
        ("runs/sms", "runs/sums"),
        ("letter", "letters"),
        ("sums", "runs/sums"),
        ("runs", "runs/words"),
        ("words.tsv", "runs/words"),
        ("addition", "rnncli train addition --run-dir addition"),
        ("elsewhere/xyz", "rnncli train CONFIG"),
        ("x" * 250, "rnncli train CONFIG"),
    ],
)
def test_what_may_be_meant_is_named(given, meant):
    with pytest.raises(RunDirError) as caught:
        RunDir(Path(given)).load()
    assert caught.value.message.startswith(f"{given}: ")
    assert meant in caught.value.hint


def test_without_any_run_the_command_that_makes_one_is_named(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(RunDirError) as caught:
        RunDir(Path("sums")).load()
    assert "rnncli train" in caught.value.hint
