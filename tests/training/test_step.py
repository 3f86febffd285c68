"""Steps of training: what the compiled loop over them gives is what TensorFlow's gives, in calls of any size."""

from dataclasses import replace

import interrupted_training as interrupted
import keras
import numpy as np
import pytest

from rnncli.config import load_config
from rnncli.data.tasks import build_task
from rnncli.models import build_model
from rnncli.runtime import xla as compilation
from rnncli.training import step
from rnncli.training.batches import Batches, build_step

pytestmark = pytest.mark.usefixtures("runtime")
STEPS = 8


@pytest.fixture
def make(runtime, tmp_path, monkeypatch):
    """Makes a step and its batches, of a model that is always the same."""
    monkeypatch.chdir(tmp_path)

    def making(name, compiled, parts=1):
        monkeypatch.setattr(compilation, "XLA", compiled)
        config = load_config(interrupted.write_config(tmp_path, name))
        task, ready = build_task(config), replace(runtime, parts=parts)
        keras.utils.set_random_seed(0)
        batches = Batches(config, task.splits()[0], parts)
        with ready.strategy.scope():
            model = build_model(config, task.sizes, on_gpu=False)
        made = build_step(config, batches, model, ready)
        return made, np.concatenate([batches.order(epoch) for epoch in range(2)])[:STEPS]

    return making


def weights(made):
    """All that a step changes."""
    return [variable.numpy() for variable in (*made.variables, *made.optimizer.variables, *made.carried.values())]


@pytest.mark.parametrize("model", ["gru with all dropouts", "stateful", "attention on pairs"])
def test_the_compiled_loop_learns_what_tensorflows_does(make, model):
    (whole, order), (plain, _) = make(model, compiled=True), make(model, compiled=False)
    assert (whole.whole, plain.whole) == (True, False)
    losses = plain(order, 0)
    np.testing.assert_allclose(whole(order, 0), losses, rtol=1e-4)
    assert losses[-1] != losses[0]
    for one, other in zip(weights(whole), weights(plain), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_what_it_learns_does_not_depend_on_how_many_steps_are_in_a_call(make, monkeypatch):
    monkeypatch.setattr(step, "WHOLE_STEPS", 3)
    (one, order), (other, _) = (make("gru with all dropouts", compiled=True) for _ in range(2))
    at_once = one(order, 0)
    ends = [1, 5, STEPS]
    in_calls = [other(order[begin:end], begin) for begin, end in zip([0, *ends], ends, strict=False)]
    assert np.array_equal(at_once, np.concatenate(in_calls))
    for here, there in zip(weights(one), weights(other), strict=True):
        assert np.array_equal(here, there)


@pytest.mark.parametrize(("compiled", "parts"), [(True, 2), (False, 1)])
def test_several_parts_and_what_is_not_compiled_are_looped_over_by_tensorflow(make, compiled, parts):
    made, _ = make("lstm", compiled, parts)
    assert not made.whole


def test_many_rows_are_few_steps_of_a_computation(make, monkeypatch):
    monkeypatch.setattr(step, "WHOLE_ROWS", 20)
    made, order = make("lstm", compiled=True)
    assert made.most == 20 // order.shape[1] == 2
