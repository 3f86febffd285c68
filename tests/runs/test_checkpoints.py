"""Checkpoints: arrays bit for bit; the last few and the best are kept, and the newest valid one is found."""

import contextlib
import hashlib
import itertools
import json
import shutil

import numpy as np
import pytest
from small_run import MOMENTS, OLD, assert_same, fail_at, one_bit, one_checkpoint, save

from rnncli.errors import InputError, UnreadableError
from rnncli.runs import checkpoints as checkpoints_module
from rnncli.runs.arrays import weights_digest
from rnncli.runs.checkpoints import BEST, CHECKPOINT, LAST, LOSSES, OPTIMIZER, WEIGHTS

NEW = {name: array + 1 for name, array in OLD.items()}


@pytest.fixture
def run(tmp_path):
    return one_checkpoint(tmp_path / "run")


def test_checkpoint_arrays_round_trip_bit_for_bit(run):
    weights = {
        "encoder_0/kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
        "of Fortran": np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)),
        "of a slice": np.arange(24, dtype=np.float32).reshape(4, 6)[::2, ::-3],
        "transposed": np.arange(24, dtype=np.int64).reshape(2, 3, 4).transpose(2, 0, 1),
        "one number": np.array(3, np.int32),
        "empty": np.zeros((0, 3), np.float32),
        "odd numbers": np.array([0.0, -0.0, np.nan, np.inf, 1e-45, 3.4e38], np.float32),
    }
    save(run, 8, weights, exact_match=0.25)
    found, record = run.checkpoints.load_arrays()
    assert_same(found, weights)
    assert (record.step, record.metrics) == (8, {"exact_match": 0.25})


def checkpoints(run):
    return sorted(path.name for path in run.checkpoints.path.iterdir() if path.is_dir())


def test_save_keeps_the_last_two_checkpoints_and_the_best_of_each(run):
    save(run, 8, NEW, best=False)
    assert checkpoints(run) == ["00000007", "00000008"]
    assert_same(run.checkpoints.load_arrays(which=BEST)[0], OLD)
    assert_same(run.checkpoints.load_arrays(which=LAST)[0], NEW)
    save(run, 9, NEW, best=False)
    save(run, 10, NEW, best=False)
    assert checkpoints(run) == ["00000007", "00000009", "00000010"]
    save(run, 11, NEW, best=True)
    assert checkpoints(run) == ["00000007", "00000010", "00000011"], "7 was the best when 10 was written"
    assert run.checkpoints.load_arrays(which=BEST)[1].step == 11
    save(run, 12, NEW, best=False)
    assert checkpoints(run) == ["00000011", "00000012"]


def test_save_keeps_as_many_checkpoints_as_asked(run):
    for step in range(8, 14):
        save(run, step, keep=4)
    assert checkpoints(run) == [f"{step:08d}" for step in range(10, 14)]


def test_newest_sound_returns_the_problems_of_newer_checkpoints(run):
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
    run.checkpoints.rollback_to(8, "00000008")
    assert checkpoints(run) == ["00000008"]
    assert (run.checkpoints.pointed(BEST), run.checkpoints.pointed(LAST)) == ("00000008", "00000008")


@pytest.mark.parametrize(("old", "new"), [('"seconds": 1.5', '"seconds": 1.25'), ('"step": 8', '"step": 9')])
def test_changed_checkpoint_json_is_not_sound(run, old, new):
    save(run, 8, NEW, seconds=1.5)
    path = run.checkpoints.path / "00000008" / "checkpoint.json"
    path.write_text(path.read_text().replace(old, new))
    found, wrong = run.checkpoints.newest_sound()
    assert found.step == 7
    assert "00000008/checkpoint.json: damaged" in wrong[0].message


def test_newest_sound_is_none_without_checkpoints(run):
    shutil.rmtree(run.checkpoints.path)
    assert run.checkpoints.newest_sound() == (None, [])


def test_checkpoint_of_the_same_step_can_be_saved_again(run):
    save(run, 7, NEW)
    assert_same(run.checkpoints.load_arrays()[0], NEW)


def test_failing_write_leaves_sound_checkpoints_and_no_temporary_files(run, monkeypatch):
    before = run.checkpoints.load_arrays(which=LAST)[1].step
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
            weights, record = run.checkpoints.load_arrays(which=pointer)
            assert_same(weights, OLD if record.step == before else {"step": np.array(record.step)})
            if count <= 5:  # two files of arrays, their description, the directory, its parent
                assert record.step == before
        assert not [path for path in run.path.rglob("*") if path.name.startswith(".")]
    assert count > 5
    assert checkpoints(run)[-1] == f"{step:08d}"


def test_equal_weights_have_equal_digests():
    other_order = {"bias": OLD["bias"].copy(), "kernel": np.asfortranarray(OLD["kernel"])}
    assert weights_digest(other_order) == weights_digest(OLD)


def test_different_weights_have_different_digests():
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


def test_flipped_bits_of_checkpoint_json_are_found(run):
    """Names in its table of files, and a number that is the same as 1E-05; tests/slow/flips.py flips all bits."""
    save(run, 8, NEW, seconds=1e-05)
    path = run.checkpoints.path / "00000008" / CHECKPOINT
    data = path.read_bytes()
    begin = data.index(b'"sha256"')
    for place in (*range(begin, begin + 40), data.index(b"1e-05") + 1, *range(0, len(data), 97)):
        for bit in range(8):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
            with pytest.raises(InputError):
                run.checkpoints.read("00000008")
    assert run.checkpoints.newest_sound()[0].step == 7
    path.write_bytes(data)
    assert run.checkpoints.newest_sound()[0].step == 8


def test_flipped_bit_of_a_pointer_points_nowhere_or_elsewhere(run):
    path = run.checkpoints.path / LAST
    data = path.read_bytes()
    for place, bit in itertools.product(range(len(data)), range(8)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
        assert run.checkpoints.pointed(LAST) != "00000007"


def test_other_files_than_recorded_make_a_checkpoint_invalid(run):
    save(run, 8)
    (run.checkpoints.path / "00000008" / LOSSES).write_bytes(b"")
    assert run.checkpoints.newest_sound()[0].step == 7
    (run.checkpoints.path / "00000008" / LOSSES).rename(run.checkpoints.path / "00000008" / ".DS_Store")
    assert run.checkpoints.newest_sound()[0].step == 8
    (run.checkpoints.path / "00000008" / OPTIMIZER).unlink()
    assert run.checkpoints.newest_sound()[0].step == 7
    assert_same(run.checkpoints.load_arrays(which=LAST)[0], OLD)  # which needs no optimizer


def test_digest_of_earlier_versions_that_leaves_out_the_names_is_accepted(run):
    path = run.checkpoints.path / "00000007" / CHECKPOINT
    values = json.loads(path.read_text())
    digests = values.pop("sha256")
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({**values, "sha256": digests | {CHECKPOINT: digest}}, indent=2) + "\n")
    assert run.checkpoints.newest_sound()[0].step == 7


@pytest.mark.parametrize("value", [["a"], 7, {"name": "00000007"}, "../00000007", ""])
def test_a_crafted_best_checkpoint_ends_no_save(run, value):
    """In a record whose own digest anybody can write."""
    path = run.checkpoints.path / "00000007" / CHECKPOINT
    values = json.loads(path.read_text()) | {"best_checkpoint": value}
    digests = values.pop("sha256")
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({**values, "sha256": digests | {CHECKPOINT: digest}}, indent=2) + "\n")
    save(run, 8, best=False)
    save(run, 9, best=False)
    assert run.checkpoints.newest_sound()[0].step == 9


@pytest.mark.parametrize("name", ["9" * 250, "0" * 8 + "1", "99999999999"])
def test_folder_whose_name_is_no_step_is_no_checkpoint(run, name):
    (run.checkpoints.path / name).mkdir()
    assert run.checkpoints.names() == ["00000007"]
    save(run, 8)
    save(run, 9)
    assert run.checkpoints.names() == ["00000009", "00000008"]


@pytest.mark.parametrize("which", [BEST, LAST])
def test_checkpoint_that_training_replaces_while_it_is_read_is_read_anew(run, monkeypatch, which):
    """Between the look at the pointer and the files it is replaced, three times."""
    find, left = type(run.checkpoints).find, [10, 9, 8]

    def found(self, asked):
        name = find(self, asked)
        if left:
            save(run, left.pop(), keep=1)
        return name

    monkeypatch.setattr(type(run.checkpoints), "find", found)
    assert run.checkpoints.load(which, (WEIGHTS, OPTIMIZER)).step == 10


def test_unreadable_record_keeps_the_checkpoints_that_it_may_need(run, monkeypatch):
    save(run, 8, best=False)
    opened = checkpoints_module.open_plain

    def unreadable(path, root):
        if path.parent.name == "00000008":
            raise OSError(5, "Input/output error", str(path))
        return opened(path, root)

    monkeypatch.setattr(checkpoints_module, "open_plain", unreadable)
    with pytest.raises(UnreadableError):
        save(run, 9, best=True)
    assert checkpoints(run) == ["00000007", "00000008", "00000009"]
