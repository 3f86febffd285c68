"""Checks of a run directory: each names the file that is wrong."""

import hashlib
import json
import os
import re
import struct

import interrupted_training as interrupted
import pytest

from rnncli.config import parse_config
from rnncli.files import temporary_path
from rnncli.runs.checkpoints import Checkpoints
from rnncli.runs.directory import RunDir
from rnncli.runs.event_files import masked_crc
from rnncli.runs.lock import locked
from rnncli.runs.resume import rollback_to_resume_point
from rnncli.runs.verification import Verification

pytestmark = pytest.mark.usefixtures("runtime")


def record(body):
    """Return a record of an event file."""
    head = struct.pack("<Q", len(body))
    return head + struct.pack("<I", masked_crc(head)) + body + struct.pack("<I", masked_crc(body))


def problems(run):
    """Return the names of what is wrong."""
    return [check.name for check in Verification(RunDir(run)).checks if check.problem]


def test_valid_run_has_no_problem_and_lists_its_checkpoints(stopped):
    found = Verification(RunDir(stopped))
    assert found.valid
    assert [checkpoint.step for checkpoint in found.checkpoints] == sorted(
        (checkpoint.step for checkpoint in found.checkpoints), reverse=True
    )
    names = [check.name for check in found.checks]
    assert names[:3] == ["config.yaml", "vocabulary.json", "manifest.json"]
    assert names[-4:] == ["checkpoints/best", "checkpoints/last", "metrics.jsonl", "metrics.csv"]


def test_logs_behind_a_link_are_neither_read_nor_cleared(stopped, tmp_path):
    elsewhere = tmp_path / "elsewhere" / "train"
    elsewhere.mkdir(parents=True)
    temporary = temporary_path(elsewhere / "a")
    temporary.touch()
    (elsewhere / "events.out.tfevents.1.0000").write_bytes(b"x" * 99)
    (stopped / "tensorboard").symlink_to(elsewhere.parent)
    assert problems(stopped) == ["tensorboard"]
    RunDir(stopped).remove_leftovers()
    assert temporary.exists()
    (stopped / "tensorboard").unlink()
    elsewhere.parent.rename(stopped / "tensorboard")
    assert problems(stopped) == ["tensorboard/train/events.out.tfevents.1.0000"]
    RunDir(stopped).remove_leftovers()
    assert not (stopped / "tensorboard" / "train" / temporary.name).exists()


@pytest.mark.parametrize("name", ["vocabulary.json", "manifest.json", "metrics.jsonl"])
@pytest.mark.parametrize("damage", [os.remove, interrupted.halve])
def test_damaged_file_is_named(stopped, name, damage):
    damage(stopped / name)
    assert name in problems(stopped)


def test_without_a_config_nothing_else_is_checked(stopped):
    (stopped / "config.yaml").write_text("{")
    assert [check.name for check in Verification(RunDir(stopped)).checks] == ["config.yaml"]


def test_damaged_checkpoint_is_named_and_the_others_are_valid(stopped):
    name = interrupted.damage_newest(stopped, interrupted.flip)
    found = Verification(RunDir(stopped))
    assert [check.name for check in found.checks if check.problem] == [f"checkpoints/{name}"]
    assert name not in [f"{checkpoint.step:08d}" for checkpoint in found.checkpoints]
    assert found.checkpoints


@pytest.mark.parametrize("pointer", ["best", "last"])
@pytest.mark.parametrize("text", ["", "nonsense", "00000099"])
def test_pointer_to_no_checkpoint_is_named(stopped, pointer, text):
    (stopped / "checkpoints" / pointer).write_text(text)
    assert problems(stopped) == [f"checkpoints/{pointer}"]


def test_epochs_out_of_order_are_named(stopped):
    lines = (stopped / "metrics.jsonl").read_text().splitlines(keepends=True)
    (stopped / "metrics.jsonl").write_text("".join(reversed(lines)))
    assert problems(stopped) == ["metrics.jsonl"]


def test_config_that_was_changed_after_training_is_named_at_the_manifest(stopped):
    text = (stopped / "config.yaml").read_text()
    assert "learning_rate: 0.001" in text
    (stopped / "config.yaml").write_text(text.replace("learning_rate: 0.001", "learning_rate: 0.002"))
    assert problems(stopped) == ["manifest.json"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r'"loss": [0-9.e-]+', '"loss": NaN'),
        (r'"loss": [0-9.e-]+', '"loss": "low"'),
        (r'"loss": [0-9.e-]+', '"loss": 0.5'),
        (r'"step": [0-9]+', '"step": 0'),
        (r"\n$", ""),
    ],
)
def test_line_of_metrics_with_other_values_is_named(stopped, old, new):
    path = stopped / "metrics.jsonl"
    path.write_text(re.sub(old, new, path.read_text()))
    assert problems(stopped) == ["metrics.jsonl"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"\n2,", "\n1,"),
        (r"\n2,", "\n7,"),
        (r"\n2,[0-9]+,", "\n2,99,"),
        (r"\n2,", "\n2,2,"),
        (r"epoch,", "age,"),
        (r"\n$", ""),
    ],
)
def test_damaged_row_of_csv_is_named(stopped, old, new):
    path = stopped / "metrics.csv"
    assert Verification(RunDir(stopped)).valid
    path.write_text(re.sub(old, new, path.read_text()))
    assert problems(stopped) == ["metrics.csv"]


def test_csv_may_lack_epochs_and_count_from_0(stopped):
    values = json.loads((stopped / "metrics.jsonl").read_text().splitlines()[1])
    (stopped / "metrics.csv").write_text(f"epoch,loss,step,val_exact_match\n1,{values['loss']},12.0,0.0\n")
    assert problems(stopped) == ([] if values["exact_match"] == 0 else ["metrics.csv"])
    (stopped / "metrics.csv").write_text(f"epoch,loss\n2,{values['loss']}\n")
    assert problems(stopped) == []


def test_damaged_event_file_is_named_and_a_cut_one_repaired_by_resuming(stopped):
    folder = stopped / "tensorboard" / "train"
    folder.mkdir(parents=True)
    whole = record(b"brain.Event:2")
    (folder / "events.out.tfevents.1.0000").write_bytes(whole + record(b"an epoch")[:-3])
    (folder / "events.out.tfevents.2.0000").write_bytes(whole[:-1] + b"!")
    cut, damaged = (f"tensorboard/train/events.out.tfevents.{number}.0000" for number in (1, 2))
    assert problems(stopped) == [cut, damaged]
    directory = RunDir(stopped)
    rollback_to_resume_point(directory, interrupted.resumed(stopped), directory.read_config())
    assert problems(stopped) == [damaged]
    assert (stopped / cut).read_bytes() == whole


def test_other_code_than_trained_is_named(stopped):
    source = stopped / "code" / "cells.py"
    source.parent.mkdir()
    source.write_text("x = 1\n")
    path = stopped / "manifest.json"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    path.write_text(json.dumps({**json.loads(path.read_text()), "code": {"cells.py": digest, "gone.py": digest}}))
    assert problems(stopped) == ["code/gone.py"]
    source.write_text("x = 2\n")
    assert problems(stopped) == ["code/cells.py", "code/gone.py"]


def test_pointers_and_logs_of_a_run_that_trains_may_lag_behind(stopped):
    (stopped / "checkpoints" / "last").write_text("00000015\n")
    with (stopped / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, ')
    assert problems(stopped) == ["checkpoints/last", "metrics.jsonl"]
    with locked(stopped):
        assert problems(stopped) == []


def test_run_that_begins_to_train_has_no_problem(tmp_path):
    config = parse_config("task: addition\nmodel: encoder_decoder", "c.yaml")
    with RunDir.claim(tmp_path / "run", config):
        assert problems(tmp_path / "run") == []


@pytest.mark.parametrize("function", ["read", "identity"])
def test_checkpoint_that_training_removes_meanwhile_is_no_problem(stopped, monkeypatch, function):
    called = getattr(Checkpoints, function)

    def removed(self, name):
        if name == self.names()[-1]:
            self._drop(name)
        return called(self, name)

    monkeypatch.setattr(Checkpoints, function, removed)
    found = Verification(RunDir(stopped))
    assert found.checkpoints
    assert not [check for check in found.checks if check.problem and check.name[-1].isdigit()]
