"""What is said of a run that goes on otherwise than it began, and may so end at other bits."""

import json

import pytest

from rnncli.runs.directory import RunDir
from rnncli.runs.provenance import note_changes

pytestmark = pytest.mark.usefixtures("runtime")


def test_what_may_change_the_last_bits_is_noted(stopped):
    directory = RunDir(stopped)
    began = json.loads((stopped / "manifest.json").read_text())
    assert note_changes(directory, began, 16) == []
    (note,) = note_changes(directory, {**began, "parts": 2}, 16)
    assert "may end at other bits" in note
    assert "parts: 1 when it began, 2 now; --set runtime.cores=1 divides the work as before" in note
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
def test_a_number_of_cores_is_named_if_it_gives_the_same_bits(stopped, then, now, advice):
    directory = RunDir(stopped)
    began = json.loads((stopped / "manifest.json").read_text()) | then
    directory.write_manifest(began)
    (note,) = note_changes(directory, began | now, 16)
    assert "when it began" in note
    assert ("runtime.cores" in note) == (advice is not None)
    assert (advice or "") in note


def test_of_a_run_that_recorded_no_threads_nothing_is_said_of_them(stopped):
    directory = RunDir(stopped)
    began = json.loads((stopped / "manifest.json").read_text())
    directory.write_manifest({key: value for key, value in began.items() if key != "threads"})
    assert note_changes(directory, began, 16) == []
