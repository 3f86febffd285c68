"""Sessions in the manifest."""

import json

import pytest
from small_run import one_checkpoint, save

from rnncli.errors import RunFailedError, Terminated
from rnncli.files import read_json
from rnncli.runs.sessions import FINISHED, Origin, SessionRecorder, sessions_of


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


def test_intervals_stay_while_the_best_epoch_does(run):
    from rnncli.runs.train_state import TrainState

    best = {"epoch": 1, "exact_match": 0.5}
    for step, intervals, kept in ((8, {"exact_match": (0.4, 0.6)}, True), (9, {}, True), (10, {}, False)):
        with SessionRecorder(run) as session:
            session.begin()
            state = TrainState(step=step, best=best if kept else {"epoch": 2, "exact_match": 0.6})
            run.save_checkpoint(state, {}, best=True)
            session.intervals |= intervals
        assert manifest(run)["best_intervals"] == ({"exact_match": [0.4, 0.6]} if kept else {})


def fail_where_the_manifest_is_in_the_way(run):
    with SessionRecorder(run) as session:
        session.begin()
        (run.path / "manifest.json").unlink()
        (run.path / "manifest.json").mkdir()
        raise RunFailedError("first")


def test_a_manifest_that_cannot_be_written_does_not_hide_the_error(run):
    with pytest.raises(RunFailedError, match="first"):
        fail_where_the_manifest_is_in_the_way(run)


@pytest.mark.parametrize("damaged", [{"sessions": 7}, {"sessions": [7]}, {"sessions": [{"start": "no"}]}, {}])
def test_damaged_sessions_are_none(damaged):
    assert sessions_of(json.loads(json.dumps(damaged))) == []
