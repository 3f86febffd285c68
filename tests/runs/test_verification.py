"""Checks of a run directory: each names the file that is wrong."""

import os

import interrupted_training as interrupted
import pytest

from rnncli.runs.directory import RunDir
from rnncli.runs.verification import Verification

pytestmark = pytest.mark.usefixtures("runtime")


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
    assert names[-3:] == ["checkpoints/best", "checkpoints/last", "metrics.jsonl"]


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
