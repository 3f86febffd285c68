"""Training steps of several workers, in one process: sums are made by the test."""

from dataclasses import dataclass, replace

import interrupted_training as interrupted
import keras
import numpy as np
import pytest
import tensorflow as tf

from rnncli.config import load_config
from rnncli.data.tasks import build_task
from rnncli.models import build_model
from rnncli.training.batches import Batches, build_step
from rnncli.training.state_dict import TrainingVariables

pytestmark = pytest.mark.usefixtures("runtime")
STEPS = 4


@dataclass(frozen=True)
class OneOf:
    """A worker whose sums the test makes."""

    count: int
    index: int


class Together:
    """Workers that train the same mini-batches.

    Args:
        steps: The training step of each.
    """

    def __init__(self, steps):
        self.steps = steps
        self.compute = [tf.function(self.local(step), autograph=False) for step in steps]
        self.apply = [tf.function(step._apply_sum, autograph=False) for step in steps]

    @staticmethod
    def local(step):
        def compute(row, seed):
            batch = step._gather(row)
            return step._flatten(*zip(*step._results(batch, seed), strict=True)), batch.tokens

        return compute

    def __call__(self, rows):
        """Train on mini-batches; returns the results that each worker has, float32 [workers, 2, batches]."""
        results = []
        for number, row in enumerate(rows):
            given = tf.constant(row), tf.constant([0, number])
            flat, tokens = zip(*(compute(*given) for compute in self.compute), strict=True)
            total = tf.add_n(list(flat))
            results.append([apply(total, count) for apply, count in zip(self.apply, tokens, strict=True)])
        return np.moveaxis(np.array(results), 0, 2)


@pytest.fixture
def make(runtime, tmp_path, monkeypatch):
    """Returns a function that builds the training step of a worker, and row numbers; the model is always the same."""
    monkeypatch.chdir(tmp_path)

    def build(name, workers=1, index=0, shards=1, micro_batches=1):
        overrides = [f"runtime.micro_batches={micro_batches}", f"runtime.cores={shards}"]
        config = load_config(interrupted.write_config(tmp_path, name), overrides)
        ready = replace(runtime, shards=shards)
        if workers > 1:
            ready = replace(ready, group=OneOf(workers, index))
        task = build_task(config)
        keras.utils.set_random_seed(0)
        batches = Batches(config, task.splits()[0], workers * shards)
        with ready.strategy.scope():
            model = build_model(config, task.sizes, on_gpu=False)
        return build_step(config, batches, model, ready), batches.order(0)[-STEPS:]  # the last one is short

    return build


def weights(step):
    return [variable.numpy() for variable in step.model.network.weights]


@pytest.mark.parametrize(
    ("name", "workers", "shards", "micro_batches"),
    [
        ("stateful", 2, 1, 2),
        pytest.param("gru with all dropouts", 2, 1, 1, marks=pytest.mark.long),
        *(pytest.param(name, 2, 1, 1, marks=pytest.mark.slow) for name in interrupted.MODELS),
        pytest.param("gru with all dropouts", 3, 2, 1, marks=pytest.mark.slow),
    ],
)
def test_workers_compute_what_one_process_does_in_as_many_shards(make, name, workers, shards, micro_batches):
    whole, rows = make(name, shards=workers * shards, micro_batches=micro_batches)
    expected = whole(rows, 0)
    steps = [make(name, workers, index, shards, micro_batches)[0] for index in range(workers)]
    results = Together(steps)(rows)
    np.testing.assert_allclose(results[0], expected, rtol=1e-5)
    assert all((each == results[0]).all() for each in results)
    for one, own in zip(weights(whole), weights(steps[0]), strict=True):
        np.testing.assert_allclose(own, one, rtol=0, atol=2e-6)
    for step in steps:
        assert all((one == own).all() for one, own in zip(weights(steps[0]), weights(step), strict=True))
        for state, carried in step.carried.items():
            np.testing.assert_allclose(carried, whole.carried[state].numpy()[step.own_rows], atol=1e-6)


def test_rows_of_workers_are_those_of_the_mini_batch(make):
    steps = [make("lstm", 3, index, micro_batches=2)[0] for index in range(3)]
    assert sorted(np.concatenate([step.own_rows for step in steps])) == list(range(steps[0].rows))
    assert steps[1].own_rows.tolist() == [2, 3, 8, 9]  # of two micro-batches of 6 rows


class Summed:
    """Workers of which the others give zeros."""

    def __init__(self, count, index):
        self.count, self.index, self.given = count, index, []

    def total(self, values):
        self.given.append(values)
        return values


def test_carried_states_are_put_together_and_taken_apart(make):
    step, _ = make("stateful", 2, 1)
    group = Summed(2, 1)
    variables = TrainingVariables(step.model, step.optimizer, step.carried, 8, step.own_rows, group)
    arrays = variables.arrays()
    given = np.arange(8 * 6, dtype=np.float32).reshape(8, 6)
    arrays["states.safetensors"] = dict.fromkeys(arrays["states.safetensors"], given)
    variables.assign(arrays)
    for carried in step.carried.values():
        assert (carried.numpy() == given[4:]).all()
    for found in variables.carried().values():
        assert (found == np.where(np.arange(8)[:, None] < 4, 0, given)).all()
