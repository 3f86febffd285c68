"""Run directories: never overwritten, whole or not there at all, and refused by name where they are damaged."""

import contextlib
import hashlib
import itertools
import json
import os
import shutil
from datetime import datetime

import numpy as np
import pytest

from rnncli import rundir
from rnncli.arrays import weights_digest
from rnncli.checkpoints import BEST, LAST, OPTIMIZER, WEIGHTS
from rnncli.config import load_config, parse_config
from rnncli.errors import InputError
from rnncli.files import write_atomically
from rnncli.rundir import RunDir
from rnncli.tasks import build_task

CONFIG = parse_config("task: addition\nmodel: encoder_decoder", "c.yaml")
OLD = {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.ones(3, np.float32)}
NEW = {name: array + 1 for name, array in OLD.items()}
MOMENTS = {"momentum": np.zeros(3, np.float32)}


def save(run, step, weights=OLD, best=True, keep=2, **values):
    run.save_checkpoint(step, {WEIGHTS: weights, OPTIMIZER: MOMENTS}, values, best, keep)


@pytest.fixture
def run(tmp_path):
    """A run with one checkpoint."""
    run = RunDir.create(tmp_path / "run", CONFIG)
    task = build_task(CONFIG)
    run.write_vocabulary(task.source_vocabulary, task.target_vocabulary)
    save(run, 7, exact_match=0.5)
    return run


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes(), name


def tree(path):
    """Every file below a path with what it holds."""
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def refusal(function, *args):
    with pytest.raises(InputError) as caught:
        function(*args)
    return caught.value.message


def test_a_new_or_empty_directory_becomes_a_run(tmp_path):
    run = RunDir.create(tmp_path / "new" / "run", CONFIG)
    assert load_config(run.path / "config.yaml") == CONFIG
    (tmp_path / "empty").mkdir()
    assert RunDir.create(tmp_path / "empty", CONFIG).path == tmp_path / "empty"


def test_a_run_is_never_overwritten(run):
    before = tree(run.path)
    assert refusal(RunDir.create, run.path, CONFIG) == f"{run.path}: holds a run already; nothing was written"
    assert tree(run.path) == before


@pytest.mark.parametrize("name", ["notes.txt", ".hidden"])
def test_a_directory_with_anything_in_it_is_left_alone(tmp_path, name):
    (tmp_path / name).write_text("mine")
    assert "exists and is not an empty directory" in refusal(RunDir.create, tmp_path, CONFIG)
    assert tree(tmp_path) == {name: b"mine"}


@pytest.mark.parametrize("below", ["", "run", "deep/run"])
def test_a_file_in_the_way_is_left_alone(tmp_path, below):
    file = tmp_path / "file"
    file.write_text("mine")
    assert str(file) in refusal(RunDir.create, file / below, CONFIG)
    assert tree(tmp_path) == {"file": b"mine"}


def test_runs_of_the_same_second_get_names_of_their_own(tmp_path, monkeypatch):
    class Stopped(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2024, 5, 6, 7, 8, 9)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rundir, "datetime", Stopped)
    names = [str(RunDir.create(None, CONFIG).path) for _ in range(3)]
    base = "runs/addition-encoder_decoder-20240506-070809"
    assert names == [base, f"{base}-2", f"{base}-3"]


def test_arrays_come_back_bit_for_bit(run):
    weights = {
        "encoder_0/kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
        "of Fortran": np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)),
        "of a slice": np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::-3],
        "transposed": np.arange(24, dtype=np.int64).reshape(2, 3, 4).transpose(2, 0, 1),
        "one number": np.array(3, np.int32),
        "empty": np.zeros((0, 3), np.float32),
        "odd numbers": np.array([0.0, -0.0, np.nan, np.inf, 1e-45, 3.4e38], np.float32),
    }
    save(run, 8, weights, exact_match=0.25, history=[1, None])
    found, values = run.checkpoints.load_arrays()
    assert_same(found, weights)
    assert (values["step"], values["exact_match"], values["history"]) == (8, 0.25, [1, None])


def checkpoints(run):
    return sorted(path.name for path in run.checkpoints.path.iterdir() if path.is_dir())


def test_the_last_two_checkpoints_are_kept_each_with_the_best_of_its_time(run):
    save(run, 8, NEW, best=False)
    assert checkpoints(run) == ["00000007", "00000008"]
    assert_same(run.checkpoints.load_arrays(which=BEST)[0], OLD)
    assert_same(run.checkpoints.load_arrays(which=LAST)[0], NEW)
    save(run, 9, NEW, best=False)
    save(run, 10, NEW, best=False)
    assert checkpoints(run) == ["00000007", "00000009", "00000010"]
    save(run, 11, NEW, best=True)
    assert checkpoints(run) == ["00000007", "00000010", "00000011"], "7 was the best when 10 was written"
    assert run.checkpoints.load_arrays(which=BEST)[1]["step"] == 11
    save(run, 12, NEW, best=False)
    assert checkpoints(run) == ["00000011", "00000012"]


def test_more_checkpoints_may_be_kept(run):
    for step in range(8, 14):
        save(run, step, keep=4)
    assert checkpoints(run) == [f"{step:08d}" for step in range(10, 14)]


def test_the_newest_sound_checkpoint_is_found_and_what_is_wrong_with_newer_ones(run):
    for step in (8, 9):
        save(run, step, NEW)
    (run.checkpoints.path / ".00000010-0123456789abcdef").mkdir()
    one_bit(run.checkpoints.path / "00000009" / OPTIMIZER)
    found, wrong = run.checkpoints.newest_sound()
    assert found.step == 8
    assert_same(found.arrays[WEIGHTS], NEW)
    assert_same(found.arrays[OPTIMIZER], MOMENTS)
    (message,) = [error.message for error in wrong]
    assert "00000009/optimizer.safetensors: damaged" in message
    run.checkpoints.go_back_to(8, "00000008")
    assert checkpoints(run) == ["00000008"]
    assert (run.checkpoints.pointed(BEST), run.checkpoints.pointed(LAST)) == ("00000008", "00000008")


@pytest.mark.parametrize(("old", "new"), [('"seconds": 1.5', '"seconds": 1.25'), ('"step": 8', '"step": 9')])
def test_a_checkpoint_whose_description_was_changed_is_not_sound(run, old, new):
    save(run, 8, NEW, seconds=1.5)
    path = run.checkpoints.path / "00000008" / "checkpoint.json"
    path.write_text(path.read_text().replace(old, new))
    found, wrong = run.checkpoints.newest_sound()
    assert found.step == 7
    assert "00000008/checkpoint.json: damaged" in wrong[0].message


def test_without_any_checkpoint_none_is_sound(run):
    shutil.rmtree(run.checkpoints.path)
    assert run.checkpoints.newest_sound() == (None, [])


def test_a_checkpoint_may_be_written_again(run):
    save(run, 7, NEW)
    assert_same(run.checkpoints.load_arrays()[0], NEW)


def fail_at(monkeypatch, count):
    """From the count-th time on nothing more gets onto the disk."""
    calls = []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) >= count:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_write_that_fails_anywhere_leaves_sound_checkpoints_and_no_rubbish(run, monkeypatch):
    before = run.checkpoints.load_arrays(which=LAST)[1]["step"]
    for count in itertools.count(1):  # until nothing is left that could fail
        step = before + count
        saved = False
        with monkeypatch.context() as patch, contextlib.suppress(OSError):
            fail_at(patch, count)
            save(run, step, {"step": np.array(step)})
            saved = True
        if saved:
            break
        for pointer in (BEST, LAST):
            weights, values = run.checkpoints.load_arrays(which=pointer)
            assert_same(weights, OLD if values["step"] == before else {"step": np.array(values["step"])})
            if count <= 5:  # two files of arrays, their description, the directory, its parent
                assert values["step"] == before
        assert not [path for path in run.path.rglob("*") if path.name.startswith(".")]
    assert count > 5
    assert checkpoints(run)[-1] == f"{step:08d}"


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "file"
    write_atomically(file, b"old")
    fail_at(monkeypatch, 1)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(file, b"new")
    assert tree(tmp_path) == {"file": b"old"}


def test_a_run_that_cannot_be_written_is_explained(tmp_path, monkeypatch):
    fail_at(monkeypatch, 2)  # after the directory
    message = refusal(RunDir.create, tmp_path / "run", CONFIG)
    file = tmp_path / "run" / "config.yaml"
    assert message == f"{file}: the run directory cannot be written: No space left on device"
    assert not file.parent.exists()


def test_others_may_read_a_run(tmp_path):
    before = os.umask(0o022)
    try:
        run = RunDir.create(tmp_path / "run", CONFIG)
        save(run, 1)
    finally:
        os.umask(before)
    for path in run.path.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


def test_a_run_is_loaded_whole(run):
    saved = run.load()
    assert saved.config == CONFIG
    assert saved.task.read_source("1+2")
    assert saved.checkpoint["exact_match"] == 0.5
    assert_same(saved.weights, OLD)


def test_what_is_no_run_is_refused(tmp_path):
    assert refusal(RunDir(tmp_path / "none").load) == f"{tmp_path / 'none'}: no such run directory"
    assert refusal(RunDir(tmp_path).load) == f"{tmp_path}: not a run directory (it has no config.yaml)"


STEP = "checkpoints/00000007/"


def text(new):
    return lambda path: path.write_text(new)


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def one_bit(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


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
        ("vocabulary.json", text('{"source": ["a"]}'), "vocabulary.json: target symbols are not a list of symbols"),
        ("vocabulary.json", text('{"source": [1]}'), "vocabulary.json: source symbols are not a list of symbols"),
        ("checkpoints/best", os.remove, "no best checkpoint"),
        ("checkpoints/best", text("../../elsewhere"), "no best checkpoint"),
        ("checkpoints/best", text("00000009"), "00000009/checkpoint.json: missing"),
        (STEP + "checkpoint.json", os.remove, "checkpoint.json: missing"),
        (STEP + "checkpoint.json", half, "checkpoint.json: not JSON"),
        (STEP + "checkpoint.json", text("3"), "checkpoint.json: not a JSON object"),
        (STEP + "checkpoint.json", text("{}"), "weights.safetensors: damaged"),
        (STEP + "checkpoint.json", text('{"sha256": {}}'), "weights.safetensors: damaged"),
        (STEP + "weights.safetensors", os.remove, "weights.safetensors: cannot be read: No such file"),
        (STEP + "weights.safetensors", half, "weights.safetensors: damaged"),
        (STEP + "weights.safetensors", one_bit, "weights.safetensors: damaged"),
    ],
)
def test_a_damaged_run_is_refused_by_the_name_of_the_file(run, name, damage, problem):
    damage(run.path / name)
    message = refusal(run.load)
    assert problem in message
    assert message.startswith(str(run.path))


def test_a_file_that_is_no_safetensors_file_is_refused_even_if_it_is_as_recorded(run):
    directory = run.checkpoints.path / "00000007"
    (directory / "weights.safetensors").write_text("nonsense")
    values = json.loads((directory / "checkpoint.json").read_text())
    values["sha256"]["weights.safetensors"] = hashlib.sha256(b"nonsense").hexdigest()
    (directory / "checkpoint.json").write_text(json.dumps(values))
    assert f"{directory}/weights.safetensors: not a safetensors file" in refusal(run.load)


def test_only_an_untrained_run_is_discarded(run, tmp_path):
    untrained = RunDir.create(tmp_path / "other", CONFIG)
    untrained.discard_if_untrained()
    run.discard_if_untrained()
    assert not untrained.path.exists()
    assert_same(run.load().weights, OLD)


def test_metrics_are_lines_of_json(run):
    run.append_metrics({"epoch": 1})
    run.append_metrics({"epoch": 2, "loss": 0.5})
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"epoch": 1}, {"epoch": 2, "loss": 0.5}]


def test_equal_weights_have_equal_digests():
    other_order = {"bias": OLD["bias"].copy(), "kernel": np.asfortranarray(OLD["kernel"])}
    assert weights_digest(other_order) == weights_digest(OLD)


def test_other_weights_have_other_digests():
    all_different = [
        OLD,
        {"kernel": OLD["kernel"]},
        {"kernel": OLD["kernel"], "another bias": OLD["bias"]},
        {**OLD, "bias": np.nextafter(OLD["bias"], 2)},
        {**OLD, "bias": OLD["bias"].view(np.int32)},
        {**OLD, "kernel": OLD["kernel"].reshape(3, 2)},
        {**OLD, "kernel": OLD["kernel"].T},
        {**OLD, "scale": np.ones((), np.float32)},
        {**OLD, "scale": np.ones(1, np.float32)},
    ]
    assert len({weights_digest(weights) for weights in all_different}) == len(all_different)
