"""The moving average of the weights: its values, what uses it, and that it resumes exactly."""

from dataclasses import replace
from pathlib import Path

import interrupted_training as interrupted
import keras
import numpy as np
import pytest

import rnncli
from rnncli.config import load_config, parse_config, refuse_differences
from rnncli.data.tasks import build_task
from rnncli.errors import ConfigError
from rnncli.models import build_model
from rnncli.runs.checkpoints import OPTIMIZER, WEIGHTS, Checkpoints
from rnncli.training.batches import Batches, build_step
from rnncli.training.moving_average import averages_in_place
from rnncli.training.state_dict import TRAINED

pytestmark = pytest.mark.usefixtures("runtime")
DECAY = 0.5


@pytest.fixture
def make(runtime, tmp_path, monkeypatch):
    """Returns a function that builds a training step with an average, and row numbers for it."""
    monkeypatch.chdir(tmp_path)

    def build(shards=1, **options):
        config = load_config(interrupted.write_config(tmp_path, "smallest"), [f"training.ema={DECAY}"])
        task, ready = build_task(config), replace(runtime, shards=shards)
        keras.utils.set_random_seed(0)
        batches = Batches(config, task.splits()[0], shards)
        with ready.strategy.scope():
            model = build_model(config, task.sizes, on_gpu=False)
        return build_step(config, batches, model, ready, **options), batches.order(0)[:4]

    return build


@pytest.mark.parametrize("shards", [1, 2])
def test_average_is_that_of_the_weights_after_each_step(make, shards):
    step, order = make(shards)
    weights = [[variable.numpy() for variable in step.variables]]
    for number, rows in enumerate(order):
        step(rows[None], number)
        weights.append([variable.numpy() for variable in step.variables])
    wanted = weights[0]
    for number, after in enumerate(weights[1:]):
        decay = min(DECAY, (1 + number) / (10 + number))
        wanted = [decay * average + (1 - decay) * value for average, value in zip(wanted, after, strict=True)]
    for variable, value, last in zip(step.variables, wanted, weights[-1], strict=True):
        np.testing.assert_allclose(step.averages[variable.path].numpy(), value, rtol=1e-5, atol=1e-7)
        assert not np.array_equal(value, last)


def test_average_does_not_depend_on_the_size_of_calls(make):
    (one, order), (other, _) = make(), make(max_steps_per_call=3)
    one(order, 0)
    other(order[:1], 0)
    other(order[1:], 1)
    for name, average in one.averages.items():
        assert np.array_equal(average, other.averages[name])


def test_averages_take_the_place_of_weights_in_a_block_only(make):
    step, order = make()
    step(order, 0)
    before = [variable.numpy() for variable in step.variables]
    with averages_in_place(step.variables, step.averages):
        for variable in step.variables:
            assert np.array_equal(variable, step.averages[variable.path])
    assert all(np.array_equal(*each) for each in zip(step.variables, before, strict=True))


def test_run_with_an_average_resumes_with_the_same_bits_and_predicts_with_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    training = "{epochs: 2, batch_size: 16, learning_rate: 0.05, ema: 0.8, csv_log: true}"
    text = interrupted.write_config(tmp_path, "smallest", training)
    for run, stops in (("whole", [None]), ("interrupted", [2, None])):
        for stop in stops:
            interrupted.steps(Path(run), text.read_text(), until=stop)
    interrupted.check_equal("whole", "interrupted")
    last = Checkpoints(Path("whole")).load("last", (WEIGHTS, OPTIMIZER)).arrays
    for name, weight in last[WEIGHTS].items():
        assert not np.array_equal(weight, last[OPTIMIZER][f"{TRAINED}/{name}"])
    run = rnncli.load("whole")
    measured = run.evaluate().as_json()
    assert measured["validation_loss"] == pytest.approx(run.best["validation_loss"])


def test_resuming_with_another_average_is_refused():
    text = "task: addition\nmodel: encoder_decoder\ntraining: {ema: %s}\n"
    with pytest.raises(ConfigError, match=r"training.ema was 0.9 and is now 0.99"):
        refuse_differences(parse_config(text % 0.9, "a"), parse_config(text % 0.99, "b"), "run")
