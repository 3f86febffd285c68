"""Training on mapped files: the same bits as in memory, and workers that read their own rows only."""

import random
from dataclasses import dataclass, replace
from pathlib import Path

import interrupted_training as interrupted
import keras
import numpy as np
import pytest
import tensorflow as tf

from rnncli.config import parse_config
from rnncli.data.mapped_rows import MappedRows
from rnncli.data.tasks import build_task
from rnncli.models import build_model
from rnncli.runtime import xla as compilation
from rnncli.training.batches import Batches, build_step
from rnncli.training.feeding import RowFeed

pytestmark = pytest.mark.usefixtures("runtime")
STEPS = 5
PAIRS = """\
task: {type: pairs, train: pairs.tsv, validation: pairs.tsv, max_source_length: 6, max_target_length: 6}
model: {type: encoder_decoder, cell: simple_rnn, encoder: {units: 3}, decoder: {units: 3}}
training: {epochs: 2, batch_size: 8, buckets: 2}
"""
TEXT = """\
task: {type: text, train: text.txt, window: 3}
model: {type: next_step, cell: simple_rnn, stateful: true, reset: never, units: 3}
training: {epochs: 2, batch_size: 8}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of the config, and a cache for each test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = ["".join(random.Random(n).choices("abc", k=n % 6 + 1)) for n in range(20)]
    Path("pairs.tsv").write_text("".join(f"{word}\t{word[::-1]}\n" for word in words))
    Path("text.txt").write_text("".join(f"line {n * n}\n" for n in range(20)))
    return tmp_path


def read(text, data, *overrides):
    """Return a config, and its task."""
    config = parse_config(text, "c", [f"task.data={data}", *overrides])
    return config, build_task(config)


@dataclass(frozen=True)
class OneOf:
    """A worker among several."""

    count: int
    index: int


def make(runtime, text, data, shards=1, workers=OneOf(1, 0), micro_batches=1):
    """Return the training step of a config, and row numbers."""
    config, task = read(text, data, f"runtime.micro_batches={micro_batches}")
    examples = task.splits()[0]
    if config.stateful:
        examples = examples.whole_batches(config.training.batch_size)
    assert isinstance(examples.source, MappedRows) == (data == "mapped")
    ready = replace(runtime, shards=shards, **({"group": workers} if workers.count > 1 else {}))
    keras.utils.set_random_seed(0)
    batches = Batches(config, examples, shards * workers.count)
    with ready.strategy.scope():
        model = build_model(config, task.sizes, on_gpu=False)
    step = build_step(config, batches, model, ready, max_steps_per_call=2)
    return step, np.concatenate([batches.order(epoch) for epoch in range(2)])[:STEPS]  # a short one is among them


@pytest.mark.xla(unroll=False)
def test_steps_on_mapped_files_have_the_bits_of_those_in_memory(runtime, monkeypatch):
    monkeypatch.setattr(compilation, "XLA", True)
    changed = []
    for data in ("mapped", "memory"):
        step, order = make(runtime, TEXT, data)
        results = np.concatenate([step(order[:1], 0), step(order[1:], 1)], axis=1)
        variables = (*step.variables, *step.optimizer.variables, *step.carried.values())
        changed.append([*results, *(variable.numpy() for variable in variables)])
    for one, other in zip(*changed, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(set(changed[0][0])) == STEPS


@pytest.mark.parametrize(("shards", "workers", "micro_batches"), [(2, OneOf(1, 0), 1), (1, OneOf(2, 1), 2)])
def test_steps_are_fed_what_they_would_gather_in_memory(runtime, shards, workers, micro_batches):
    mapped, order = make(runtime, PAIRS, "mapped", shards, workers, micro_batches)
    memory, _ = make(runtime, PAIRS, "memory", shards, workers, micro_batches)
    fed, gathered = mapped._gather(mapped._given(order)), memory._gather(memory._given(order))
    assert len(fed.parts) == shards * micro_batches
    assert len(set(np.asarray(fed.bucket).tolist())) == 2
    for one, other in zip(tf.nest.flatten(fed), tf.nest.flatten(gathered), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), strict=True)
    for spec, values in zip(tf.nest.flatten(mapped._signature()), tf.nest.flatten(mapped._given(order)), strict=True):
        assert spec.is_compatible_with(tf.constant(values))


def test_worker_reads_its_own_rows_only():
    config, task = read(PAIRS, "mapped")
    examples = task.splits()[0]
    batches = Batches(config, examples, 2)
    asked = []

    class Side:
        def __init__(self, rows):
            self.rows, self.shape, self.dtype = rows, rows.shape, rows.dtype

        def __getitem__(self, numbers):
            asked.append(set(numbers.tolist()))
            return self.rows[numbers]

    seen = replace(examples, source=Side(examples.source), target=Side(examples.target))
    order = batches.order(0)
    halves = np.split(np.arange(order.shape[1], dtype=np.int32), 2)
    fed = [RowFeed(seen, batches.buckets, half)(order, None) for half in halves]
    source, target, others, _ = asked
    assert source == target
    assert not source & others
    np.testing.assert_array_equal(fed[0].tokens, fed[1].tokens)
    np.testing.assert_array_equal(fed[0].tokens, sum(each.target_lengths.sum(axis=1) for each in fed))
    np.testing.assert_array_equal(fed[0].bucket, fed[1].bucket)


@pytest.mark.long
def test_run_goes_on_from_memory_to_mapped_files_with_the_same_bits(folder):
    memory, mapped = (TEXT.replace("type: text", f"type: text, data: {data}") for data in ("memory", "mapped"))
    interrupted.steps(folder / "whole", memory)
    interrupted.steps(folder / "both", memory, until=3)
    interrupted.steps(folder / "both", mapped)
    assert interrupted.end(folder / "whole") == interrupted.end(folder / "both")
    assert interrupted.metrics(folder / "whole") == interrupted.metrics(folder / "both")
