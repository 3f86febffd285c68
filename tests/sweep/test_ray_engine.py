"""Trials on Ray, as far as they need no Ray: what they take of a cluster, and the training on a machine of it."""

import os
import sys
import threading
import time
from pathlib import Path

import fake_training
import pytest

from rnncli.config import Config
from rnncli.engines import child
from rnncli.engines.child import Order
from rnncli.engines.connection import Resources
from rnncli.errors import RunFailedError
from rnncli.sweep.ray_engine import RayEngine, TrialActor
from rnncli.sweep.training import TrialOrder

BASE = {"task": {"type": "addition"}, "model": "encoder_decoder"}


def config(**runtime):
    return Config.model_validate({**BASE, "runtime": runtime})


@pytest.mark.parametrize(
    ("runtime", "gpus", "jobs", "expected"),
    [
        ({}, 0, None, 8),
        ({"cores": 3}, 0, None, 2),
        ({"cores": 2, "workers": 2}, 0, None, 2),
        ({"cores": 16}, 0, 3, 3),
        ({}, 2, None, 2),
        ({"device": "cpu"}, 2, None, 8),
        ({}, 0, 5, 5),
    ],
)
def test_as_many_trials_at_a_time_as_there_is_room_for(runtime, gpus, jobs, expected):
    assert RayEngine(Resources(8, gpus, False, ""), config(**runtime), jobs).jobs == expected


@pytest.mark.parametrize("runtime", [{"cores": 16}, {"device": "gpu"}])
@pytest.mark.parametrize(("own", "jobs"), [(False, None), (True, 4)])
def test_trials_that_no_room_will_be_for_are_refused(runtime, own, jobs):
    with pytest.raises(RunFailedError, match="are needed at a time, and the Ray cluster has 8 and 0"):
        RayEngine(Resources(8, 0, own, ""), config(**runtime), jobs)


@pytest.fixture
def actor(tmp_path, monkeypatch):
    """A trial that trains until it is stopped."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(child, "COMMAND", (sys.executable, fake_training.__file__))
    overrides = ["training.learning_rate=0.1", "training.seed=0", "training.epochs=100000"]
    order = TrialOrder(Path("run"), Path("base.yaml"), config(), overrides, lock=-1)
    return TrialActor(Order(order.run, tmp_path, tuple(order.begin()), tuple(order.resume()), False))


def stopped_after_an_epoch(actor):
    """Let a trial train until it has one more epoch, and stop it; returns how it ended, and the number of epochs."""
    log = Path("run/metrics.jsonl")

    def epochs():
        return len(log.read_text().splitlines()) if log.exists() else 0

    def stop(before):
        while epochs() == before:
            time.sleep(0.01)
        actor.stop()

    thread = threading.Thread(target=stop, args=(epochs(),))
    thread.start()
    ended = actor.run()
    thread.join()
    return ended, epochs()


def test_trial_that_is_stopped_goes_on_with_its_run(actor):
    ended, before = stopped_after_an_epoch(actor)
    assert ended == (143, [])
    ended, after = stopped_after_an_epoch(TrialActor(actor._order))
    assert ended == (143, [])
    assert after > before


def test_trial_that_is_stopped_before_there_was_room_does_not_begin(actor):
    actor.stop()
    assert actor.run() == (143, [])
    assert not Path("run").exists()


def test_failure_is_told(actor):
    failing = (*actor._order.begin, "--set", "task.digits=9")
    order = Order(actor._order.run, actor._order.directory, failing, (), False)
    assert TrialActor(order).run() == (1, ["error: nine digits"])


def test_directory_that_a_machine_lacks_is_told(actor):
    order = Order(actor._order.run, Path("/not/there"), (), (), False)
    status, (line,) = TrialActor(order).run()
    assert (status, line) == (2, f"error: /not/there: not on the machine {os.uname().nodename} of the cluster")
