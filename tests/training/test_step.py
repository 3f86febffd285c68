"""The training step: loops compiled by XLA or not, in calls of any size."""

from dataclasses import replace

import interrupted_training as interrupted
import keras
import numpy as np
import pytest

from rnncli.config import load_config
from rnncli.data.tasks import build_task
from rnncli.models import build_model
from rnncli.runtime import xla as compilation
from rnncli.training.batches import Batches, build_step

pytestmark = [pytest.mark.usefixtures("runtime"), pytest.mark.xla(unroll=False)]
STEPS = 8


@pytest.fixture
def make(runtime, tmp_path, monkeypatch):
    """Returns a function that builds a training step and row numbers for it; the model is always the same."""
    monkeypatch.chdir(tmp_path)

    def build(name, compiled, shards=1, micro_batches=1, **options):
        monkeypatch.setattr(compilation, "XLA", compiled)
        overrides = [f"runtime.micro_batches={micro_batches}"]
        config = load_config(interrupted.write_config(tmp_path, name), overrides)
        task, ready = build_task(config), replace(runtime, shards=shards)
        keras.utils.set_random_seed(0)
        batches = Batches(config, task.splits()[0], shards)
        with ready.strategy.scope():
            model = build_model(config, task.sizes, on_gpu=False)
        made = build_step(config, batches, model, ready, **options)
        return made, np.concatenate([batches.order(epoch) for epoch in range(2)])[:STEPS]

    return build


def variables_of(made):
    return [*made.variables, *made.optimizer.variables, *made.carried.values()]


def values_of(made):
    return [variable.numpy() for variable in variables_of(made)]


@pytest.mark.parametrize(
    "model",
    [
        pytest.param("gru with all dropouts", marks=pytest.mark.long),
        pytest.param("stateful", marks=pytest.mark.xla),
        pytest.param("attention on pairs", marks=pytest.mark.long),
        pytest.param("monotonic attention on pairs", marks=pytest.mark.long),
    ],
)
def test_compiled_loop_learns_the_same_as_tensorflow_loop_in_calls_of_any_size(make, model):
    (compiled, order), (plain, _) = make(model, compiled=True, max_steps_per_call=3), make(model, compiled=False)
    assert (compiled.compile_loop, plain.compile_loop) == (True, False)
    before, results = values_of(compiled), plain(order, 0)
    at_once, learned = compiled(order, 0), values_of(compiled)
    np.testing.assert_allclose(at_once, results, rtol=1e-4)
    assert results.losses[-1] != results.losses[0]
    for one, other in zip(learned, values_of(plain), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)

    for variable, value in zip(variables_of(compiled), before, strict=True):
        variable.assign(value)
    ends = [1, 5, STEPS]
    in_calls = [compiled(order[begin:end], begin) for begin, end in zip([0, *ends], ends, strict=False)]
    assert np.array_equal(at_once, np.concatenate(in_calls, axis=1))
    for one, other in zip(learned, values_of(compiled), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(("compiled", "shards"), [(True, 2), (False, 1)])
def test_loop_is_not_compiled_with_several_shards_or_without_xla(make, compiled, shards):
    made, _ = make("lstm", compiled, shards)
    assert not made.compile_loop


def test_large_batches_get_fewer_steps_per_call(make):
    made, order = make("lstm", compiled=True, max_rows_per_call=20)
    assert made.max_steps_per_call == 20 // order.shape[1] == 2


@pytest.mark.long
@pytest.mark.parametrize(
    ("model", "shards", "compiled"),
    [
        ("gru with all dropouts", 1, False),
        ("attention on pairs", 1, False),
        ("monotonic attention on pairs", 1, False),
        ("stateful", 1, True),
    ],
)
def test_micro_batches_learn_what_as_many_shards_learn(make, model, shards, compiled):
    """With the same dropout; carried states, clipping and length buckets included."""
    whole, order = make(model, False, shards * 2)
    parts, padded = make(model, compiled, shards, micro_batches=2)
    assert parts.compile_loop == compiled
    results = whole(order, 0)
    np.testing.assert_allclose(parts(padded, 0), results, rtol=1e-5)
    assert results.losses[-1] != results.losses[0]
    for one, other in zip(values_of(parts), values_of(whole), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.long
def test_micro_batches_learn_what_the_whole_batch_learns(make):
    (whole, order), (parts, padded) = make("lstm", False), make("lstm", False, micro_batches=3)
    assert padded.shape[1] == order.shape[1] + 1  # 8 rows in 3 parts
    np.testing.assert_allclose(parts(padded, 0), whole(order, 0), rtol=1e-5)
    for one, other in zip(values_of(parts), values_of(whole), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
