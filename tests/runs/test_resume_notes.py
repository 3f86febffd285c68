"""Warnings that a resumed run may not be bit-identical, since it resumes otherwise than it began."""

import json

import pytest

from rnncli.runs.directory import RunDir
from rnncli.runs.provenance import note_changes

pytestmark = pytest.mark.usefixtures("runtime")


def test_note_changes_names_and_records_a_changed_fact(stopped):
    directory = RunDir(stopped)
    began = json.loads((stopped / "manifest.json").read_text())
    assert note_changes(directory, began, 16) == []
    (note,) = note_changes(directory, {**began, "parts": 2}, 16)
    assert "bit-identical" in note
    assert "parts: 1 " in note
    assert "runtime.cores=1" in note
    after = json.loads((stopped / "manifest.json").read_text())
    assert after == {**began, "resumed": [{"step": 16, "parts": 2}]}


@pytest.mark.parametrize(
    ("then", "now", "advice"),
    [
        ({"parts": 4, "threads": 4}, {"parts": 2, "threads": 2}, "runtime.cores=4"),
        ({"parts": 1, "threads": 1}, {"parts": 1, "threads": 16}, "runtime.cores=1"),
        ({"parts": 4, "threads": 1}, {"parts": 2, "threads": 1}, "runtime.cores=4"),
        ({"parts": 1, "threads": 4}, {"parts": 1, "threads": 2}, None),  # of a batch too small for parts
        ({"parts": 4, "threads": 1}, {"parts": 4, "threads": 4, "kernels": {}}, None),  # it is not cores that differ
        ({"device": "gpu"}, {"device": "gpu", "parts": 2}, None),
    ],
)
def test_note_changes_names_the_cores_that_give_the_same_bits(stopped, then, now, advice):
    directory = RunDir(stopped)
    began = json.loads((stopped / "manifest.json").read_text()) | then
    directory.write_manifest(began)
    (note,) = note_changes(directory, began | now, 16)
    assert ("runtime.cores" in note) == (advice is not None)
    assert (advice or "") in note


def test_note_changes_passes_over_threads_that_were_not_recorded(stopped):
    directory = RunDir(stopped)
    began = json.loads((stopped / "manifest.json").read_text())
    directory.write_manifest({key: value for key, value in began.items() if key != "threads"})
    assert note_changes(directory, began, 16) == []


def test_note_changes_says_none_for_what_is_empty(stopped):
    directory = RunDir(stopped)
    began = json.loads((stopped / "manifest.json").read_text()) | {"xla_flags": "--xla_a=1"}
    directory.write_manifest(began)
    (note,) = note_changes(directory, {**began, "xla_flags": ""}, 16)
    assert "xla_flags: --xla_a=1 when it began, none now" in note
