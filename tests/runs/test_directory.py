"""Run directories: never overwritten, whole or not there at all, and refused by name where they are damaged."""

import json
import os
import re
from datetime import datetime

import pytest
from small_run import CONFIG, OLD, assert_same, fail_at, one_bit, one_checkpoint, save, seal

from rnncli.config import load_config
from rnncli.errors import InputError, RunFailedError
from rnncli.files import write_atomically
from rnncli.runs import naming
from rnncli.runs.directory import RunDir


@pytest.fixture
def run(tmp_path):
    return one_checkpoint(tmp_path / "run")


def tree(path):
    """Every file below a path with what it holds."""
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def refusal(function, *args):
    with pytest.raises((InputError, RunFailedError)) as caught:
        function(*args)
    return caught.value.message


def test_create_takes_a_new_or_empty_directory(tmp_path):
    run = RunDir.create(tmp_path / "new" / "run", CONFIG)
    assert load_config(run.path / "config.yaml") == CONFIG
    (tmp_path / "empty").mkdir()
    assert RunDir.create(tmp_path / "empty", CONFIG).path == tmp_path / "empty"


def test_a_run_is_never_overwritten(run):
    before = tree(run.path)
    assert refusal(RunDir.create, run.path, CONFIG) == f"{run.path}: holds a run already; nothing was written"
    assert tree(run.path) == before


@pytest.mark.parametrize("name", ["notes.txt", ".hidden"])
def test_create_refuses_a_directory_that_is_not_empty(tmp_path, name):
    (tmp_path / name).write_text("mine")
    assert "exists and is not an empty directory" in refusal(RunDir.create, tmp_path, CONFIG)
    assert tree(tmp_path) == {name: b"mine"}


@pytest.mark.parametrize("below", ["", "run", "deep/run"])
def test_create_refuses_a_file_in_the_way(tmp_path, below):
    file = tmp_path / "file"
    file.write_text("mine")
    assert str(file) in refusal(RunDir.create, file / below, CONFIG)
    assert tree(tmp_path) == {"file": b"mine"}


def test_dated_directories_of_the_same_second_differ(tmp_path, monkeypatch):
    class Stopped(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2024, 5, 6, 7, 8, 9)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(naming, "datetime", Stopped)
    names = [str(RunDir.create(None, CONFIG).path) for _ in range(3)]
    base = "runs/addition-encoder_decoder-20240506-070809"
    assert names == [base, f"{base}-2", f"{base}-3"]


def test_write_atomically_replaces_a_file_completely_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "file"
    write_atomically(file, b"old")
    fail_at(monkeypatch, 1)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(file, b"new")
    assert tree(tmp_path) == {"file": b"old"}


def test_create_names_the_file_that_cannot_be_written(tmp_path, monkeypatch):
    fail_at(monkeypatch, 2)  # after the directory
    file = tmp_path / "run" / "config.yaml"
    with pytest.raises(RunFailedError, match=f"{re.escape(str(file))}: cannot be written: No space left on device"):
        RunDir.create(tmp_path / "run", CONFIG)
    assert not file.parent.exists()


def test_run_files_have_the_modes_of_the_umask(tmp_path):
    before = os.umask(0o022)
    try:
        run = RunDir.create(tmp_path / "run", CONFIG)
        save(run, 1)
    finally:
        os.umask(before)
    for path in run.path.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


def test_load_returns_weights_config_and_record(run):
    saved = run.load()
    assert saved.config == CONFIG
    assert saved.task.read_source("1+2")
    assert saved.checkpoint.metrics == {"exact_match": 0.5}
    assert_same(saved.weights, OLD)


def test_what_is_no_run_is_refused(tmp_path):
    assert refusal(RunDir(tmp_path / "none").load) == f"{tmp_path / 'none'}: no such run directory"
    assert refusal(RunDir(tmp_path).load) == f"{tmp_path}: not a run directory (it has no config.yaml)"


STEP = "checkpoints/00000007/"


def text(new):
    return lambda path: path.write_text(new)


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "damage", "problem"),
    [
        ("vocabulary.json", os.remove, "vocabulary.json: missing"),
        ("vocabulary.json", half, "vocabulary.json: not JSON"),
        ("vocabulary.json", lambda path: path.write_bytes(b'{"source": "\xff"}'), "vocabulary.json: not JSON"),
        ("vocabulary.json", text("[" * 100_000), "vocabulary.json: not JSON"),
        ("vocabulary.json", text("[]"), "vocabulary.json: not a JSON object"),
        (
            "vocabulary.json",
            text('{"source": ["a"], "target": ["a"]}'),
            "vocabulary.json: source symbols are not those of config.yaml",
        ),
        ("vocabulary.json", text('{"source": ["a"]}'), "vocabulary.json: target symbols are not a list of text"),
        ("vocabulary.json", text('{"source": [1]}'), "vocabulary.json: source symbols are not a list of text"),
        ("checkpoints/best", os.remove, "no best checkpoint"),
        ("checkpoints/best", text("../../elsewhere"), "no best checkpoint"),
        ("checkpoints/best", text("00000009"), "00000009/checkpoint.json: missing"),
        (STEP + "checkpoint.json", os.remove, "checkpoint.json: missing"),
        (STEP + "checkpoint.json", half, "checkpoint.json: not JSON"),
        (STEP + "checkpoint.json", text("3"), "checkpoint.json: not a JSON object"),
        (STEP + "checkpoint.json", text("{}"), "checkpoint.json: damaged"),
        (STEP + "checkpoint.json", text('{"sha256": {}}'), "checkpoint.json: damaged"),
        (STEP + "weights.safetensors", os.remove, "weights.safetensors: missing"),
        (STEP + "weights.safetensors", half, "weights.safetensors: damaged"),
        (STEP + "weights.safetensors", one_bit, "weights.safetensors: damaged"),
    ],
)
def test_load_names_the_damaged_file(run, name, damage, problem):
    damage(run.path / name)
    message = refusal(run.load)
    assert problem in message
    assert message.startswith(str(run.path))


def test_load_refuses_other_formats_even_if_their_digest_is_right(run):
    directory = run.checkpoints.path / "00000007"
    (directory / "weights.safetensors").write_text("nonsense")
    seal(directory / "weights.safetensors")
    assert f"{directory}/weights.safetensors: not a safetensors file" in refusal(run.load)


def test_discard_removes_untrained_runs_only(run, tmp_path):
    untrained = RunDir.create(tmp_path / "other", CONFIG)
    untrained.discard_if_untrained()
    run.discard_if_untrained()
    assert list(untrained.path.iterdir()) == []
    assert_same(run.load().weights, OLD)


def test_append_metrics_writes_lines_of_json(run):
    run.append_metrics({"epoch": 1})
    run.append_metrics({"epoch": 2, "loss": 0.5})
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"epoch": 1}, {"epoch": 2, "loss": 0.5}]
