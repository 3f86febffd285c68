"""Checkpoints of a training run: when they are written, and what is kept if that fails."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from small_run import CONFIG, fail_at

from rnncli.config import CheckpointConfig
from rnncli.errors import RunFailedError
from rnncli.runs.checkpoints import BEST, OPTIMIZER, WEIGHTS
from rnncli.runs.directory import RunDir
from rnncli.runs.train_state import TrainState
from rnncli.training.checkpointing import Checkpointer

pytestmark = pytest.mark.usefixtures("runtime")


@pytest.fixture
def weights():
    """The only weight of a model, which tests change."""
    return np.zeros(1, np.float32)


@pytest.fixture
def make(tmp_path, weights):
    """Make a checkpointer of a new run, for values of the config's section `checkpoint`."""
    variables = SimpleNamespace(arrays=lambda: {WEIGHTS: {"w": weights.copy()}, OPTIMIZER: {}})

    def checkpointer(**section):
        config = CONFIG.model_copy(update={"checkpoint": CheckpointConfig(**section)})
        return Checkpointer(RunDir.create(tmp_path / "run", config), config, variables)

    return checkpointer


def state(step, epoch=0):
    return TrainState(step=step, epoch=epoch, best={"epoch": 1})


def names(checkpointer):
    return sorted(int(name) for name in checkpointer.directory.checkpoints.names())


def test_every_so_many_steps_a_checkpoint_is_due(make):
    checkpointer = make(every="5 steps")
    assert [step for step in range(1, 12) if checkpointer.is_due(step)] == [5, 10]
    assert [checkpointer.steps_left(step) for step in (0, 4, 5)] == [5, 1, 5]


def test_after_so_many_minutes_a_checkpoint_is_due(make):
    checkpointer = make(every="2 minutes")
    assert checkpointer.steps_left(1) is None
    assert not checkpointer.is_due(1)
    checkpointer.last_write = time.perf_counter() - 121
    assert checkpointer.is_due(1)


def test_step_is_written_once(make, weights):
    checkpointer = make()
    checkpointer.save(state(3))
    weights += 1
    checkpointer.save(state(3))
    arrays, _ = checkpointer.directory.checkpoints.load_arrays(WEIGHTS, "last")
    assert arrays["w"] == 0


def test_best_epoch_that_waits_is_written_before_anything_later(make, weights):
    checkpointer = make()
    checkpointer.end_epoch(state(5, epoch=1), is_best=True)
    assert names(checkpointer) == [5], "the first costs no training time yet"
    checkpointer.longest_write = 1e9  # so that the next must wait
    weights += 1
    checkpointer.end_epoch(state(10, epoch=2), is_best=True)
    assert names(checkpointer) == [5]
    weights += 1
    checkpointer.save(state(12, epoch=2))
    assert names(checkpointer) == [10, 12]
    assert checkpointer.directory.checkpoints.load_arrays(WEIGHTS, BEST)[0]["w"] == 1


def test_divergence_writes_the_best_epoch_that_waits(make, weights):
    checkpointer = make()
    checkpointer.longest_write = 1e9
    checkpointer.end_epoch(state(5, epoch=1), is_best=True)
    assert names(checkpointer) == []
    weights += np.nan
    with pytest.raises(RunFailedError, match="step 7"):
        checkpointer.save(state(7, epoch=1))
    assert names(checkpointer) == [5]


def test_full_disk_is_an_error_that_names_the_checkpoint_before(make, monkeypatch):
    checkpointer = make()
    checkpointer.save(state(3))
    fail_at(monkeypatch, 1)
    with pytest.raises(RunFailedError, match="No space left") as caught:
        checkpointer.save(state(4))
    assert "step 3" in caught.value.hint
    assert names(checkpointer) == [3]
    assert checkpointer.written_step == 3
