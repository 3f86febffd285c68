"""Sessions in the manifest."""

import json
import math

import pytest
from small_run import one_checkpoint, save

from rnncli.errors import RunFailedError, Terminated
from rnncli.files import read_json
from rnncli.runs.sessions import FINISHED, Origin, SessionRecorder, finite_metrics, intervals_of, sessions_of
from rnncli.runs.train_state import TrainState


@pytest.fixture
def run(tmp_path):
    made = one_checkpoint(tmp_path / "run")
    made.write_manifest({"device": "cpu"})
    return made


def manifest(run):
    return read_json(run.path / "manifest.json")


def test_a_session_is_running_until_it_ends(run):
    with SessionRecorder(run, Origin("a.yaml", ("training.seed=1",), "rnncli train a.yaml")) as session:
        session.begin()
        began = manifest(run)
        assert (began["state"], began["device"]) == ("running", "cpu")
        save(run, 12)
        session.state = FINISHED
    ended = manifest(run)
    assert (ended["state"], ended["step"]) == ("finished", 12)
    (record,) = sessions_of(ended)
    assert (record.command, record.config_path, record.overrides) == (
        "rnncli train a.yaml",
        "a.yaml",
        ["training.seed=1"],
    )
    assert record.end >= record.start
    assert record.seconds == (record.end - record.start).total_seconds()


def fail_with(run, error):
    with SessionRecorder(run) as session:
        session.begin()
        raise error


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (RunFailedError("the loss became nan"), "failed", "the loss became nan"),
        (KeyboardInterrupt(), "stopped", None),
        (Terminated(), "stopped", None),
        (ValueError("x"), "failed", "ValueError: x"),
    ],
)
def test_an_exception_decides_the_state(run, error, state, reason):
    with pytest.raises(type(error)):
        fail_with(run, error)
    assert (manifest(run)["state"], manifest(run).get("reason")) == (state, reason)


def test_a_session_that_never_began_leaves_the_manifest(run):
    with pytest.raises(RunFailedError), SessionRecorder(run):
        raise RunFailedError("no model")
    assert manifest(run) == {"device": "cpu"}


def test_a_resumed_run_has_both_sessions(run):
    for step in (0, 7):
        with SessionRecorder(run, from_step=step) as session:
            session.begin()
    assert [each.from_step for each in sessions_of(manifest(run))] == [0, 7]


def test_shares_of_the_held_out_examples_have_intervals(run):
    with SessionRecorder(run, examples={"train": 90, "held_out": 10}) as session:
        session.begin()
        run.save_checkpoint(TrainState(step=8, best={"epoch": 1, "loss": 2.0, "exact_match": 0.5}), {}, best=True)
    found = manifest(run)
    assert found["best"]["exact_match"] == 0.5
    assert found["best_intervals"] == {"exact_match": pytest.approx([0.2366, 0.7634], abs=1e-4)}


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"examples": 7},
        {"examples": {"held_out": 0}},
        {"examples": {"held_out": "x"}},
        {"examples": {"held_out": 10**400}},
    ],
)
def test_without_the_number_of_examples_there_are_no_intervals(damaged):
    assert intervals_of({"exact_match": 0.5}, damaged) == {}


def fail_where_the_manifest_is_in_the_way(run):
    with SessionRecorder(run) as session:
        session.begin()
        (run.path / "manifest.json").unlink()
        (run.path / "manifest.json").mkdir()
        raise RunFailedError("first")


def test_a_manifest_that_cannot_be_written_does_not_hide_the_error(run):
    with pytest.raises(RunFailedError, match="first"):
        fail_where_the_manifest_is_in_the_way(run)


SESSION = {"start": "2026-11-28T22:43:09+00:00", "seconds": 1.5}


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"sessions": 7},
        {"sessions": [7]},
        {"sessions": [{"start": "no"}]},
        {"sessions": [SESSION, {**SESSION, "start": "0001-01-01T00:00:00"}]},
        {"sessions": [{**SESSION, "start": "0001-01-01T00:00:00+00:00"}]},
        {"sessions": [{**SESSION, "end": "9999-12-31T23:59:59-14:00"}]},
        {"sessions": [{**SESSION, "seconds": math.nan}]},
        {"sessions": [{**SESSION, "seconds": 1e308}]},
        {"sessions": [{**SESSION, "host": 7}]},
    ],
)
def test_damaged_sessions_are_none(damaged):
    assert len(sessions_of({"sessions": [SESSION]})) == 1
    assert sessions_of(json.loads(json.dumps(damaged))) == []


@pytest.mark.parametrize("damaged", [None, 7, {"a": None}, {"a": "1"}, {"a": math.inf}, {"a": 10**400}, {"a": True}])
def test_damaged_metrics_are_none(damaged):
    assert finite_metrics({"epoch": 2, "exact_match": 0.5}) == {"epoch": 2, "exact_match": 0.5}
    assert finite_metrics(damaged) == {}
