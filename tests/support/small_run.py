"""A run of a few numbers, and what may happen to it: what tests of runs and of checkpoints share."""

import hashlib
import json
import os

import numpy as np

from rnncli.config import parse_config
from rnncli.data.tasks import build_task
from rnncli.runs.checkpoints import CHECKPOINT, OPTIMIZER, WEIGHTS, format_record
from rnncli.runs.directory import RunDir
from rnncli.runs.train_state import TrainState

CONFIG = parse_config("task: addition\nmodel: encoder_decoder", "c.yaml")
OLD = {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.ones(3, np.float32)}
MOMENTS = {"momentum": np.zeros(3, np.float32)}


def save(run, step, weights=OLD, best=True, keep=2, **metrics):
    run.save_checkpoint(TrainState(step=step, metrics=metrics), {WEIGHTS: weights, OPTIMIZER: MOMENTS}, best, keep)


def one_checkpoint(path):
    """A run with one checkpoint."""
    run = RunDir.create(path, CONFIG)
    task = build_task(CONFIG)
    run.write_vocabulary(task.source_vocabulary, task.target_vocabulary)
    save(run, 7, exact_match=0.5)
    return run


def seal(file):
    """Make the checkpoint.json beside a file tell the digest that the file has now."""
    record = file.parent / CHECKPOINT
    values = json.loads(record.read_text())
    values["sha256"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    record.write_bytes(format_record(values))


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes(), name


def fail_at(monkeypatch, count):
    """From the count-th time on nothing more gets onto the disk."""
    calls = []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) >= count:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)


def one_bit(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
