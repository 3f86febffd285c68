"""Learning rate, clipping and callbacks, without the command line."""

import math

import interrupted_training as interrupted
import keras
import numpy as np
import pytest
from pydantic import ValidationError

from rnncli.config import Training, parse_config
from rnncli.runs.directory import RunDir
from rnncli.training.inputs import TrainingInputs
from rnncli.training.loop import Hooks, Trainer, train
from rnncli.training.optimizer import build_optimizer

pytestmark = pytest.mark.usefixtures("runtime")
TINY = "{task: {type: addition, digits: 1, examples: 55, held_out: 5}, model: repeat_vector, training: {epochs: 5}}"


def rates(steps, **settings):
    optimizer = build_optimizer(Training(**settings), steps)
    optimizer.build([keras.Variable(np.zeros(1, np.float32))])
    found = []
    for _ in range(steps):
        found.append(float(optimizer.learning_rate.numpy()))
        optimizer.iterations.assign_add(1)
    return found


def test_constant_learning_rate():
    assert rates(3, learning_rate=0.5) == [0.5] * 3


def test_warmup_is_linear_and_cosine_decays_to_zero():
    found = rates(14, learning_rate=0.8, schedule="warmup_cosine", warmup_steps=4)
    expected = [0.0, 0.2, 0.4, 0.6, *(0.4 * (1 + np.cos(np.pi * np.arange(10) / 10)))]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"schedule": "linear"}, [0.0, 0.2, 0.4, 0.6, *(0.8 * (1 - np.arange(10) / 10))]),
        (
            {"schedule": "cosine_restarts", "cycles": 2},
            [0.0, 0.2, 0.4, 0.6, *(2 * [*(0.4 * (1 + np.cos(np.pi * np.arange(5) / 5)))])],
        ),
        ({"schedule": "inverse_sqrt"}, [0.0, 0.2, 0.4, 0.6, *(0.8 * np.sqrt(4 / np.arange(4, 14)))]),
    ],
)
def test_schedules_warm_up_and_decay_as_their_papers_say(schedule, expected):
    np.testing.assert_allclose(rates(14, learning_rate=0.8, warmup_steps=4, **schedule), expected, atol=1e-6)


@pytest.mark.long
def test_plateau_reduces_the_rate_and_resumes_to_the_same_bits(tmp_path):
    training = (
        "{epochs: 4, batch_size: 8, learning_rate: 1e-9, schedule: plateau, plateau: {patience: 1, min_rate: 3e-10}}"
    )
    text = interrupted.write_config(tmp_path, "smallest", training, every="epoch").read_text()
    interrupted.steps(tmp_path / "whole", text)
    rates = [line["learning_rate"] for line in interrupted.metrics(tmp_path / "whole")]
    np.testing.assert_allclose(rates, [1e-9, 1e-9, 5e-10, 3e-10], rtol=1e-5)
    interrupted.steps(tmp_path / "again", text, until=2 * interrupted.STEPS + 1)
    interrupted.steps(tmp_path / "again", text)
    assert interrupted.end(tmp_path / "again") == interrupted.end(tmp_path / "whole")
    assert interrupted.metrics(tmp_path / "again") == interrupted.metrics(tmp_path / "whole")


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"schedule": "inverse_sqrt"}, "warmup_steps"),
        ({"schedule": "plateau", "warmup_steps": 5}, "warmup_steps"),
        ({"plateau": {"patience": 1}}, "plateau"),
        ({"cycles": 2}, "cycles"),
        ({"schedule": "cosine_restarts"}, "cycles"),
        ({"clip_norm": 1.0, "clip_value": 1.0}, "clip_value"),
    ],
)
def test_settings_without_effect_are_refused(settings, key):
    with pytest.raises(ValidationError) as error:
        Training(**settings)
    assert error.value.errors()[0]["ctx"]["key"] == key


def test_clip_value_bounds_every_number():
    variable = keras.Variable(np.zeros(3, np.float32))
    optimizer = build_optimizer(Training(optimizer="sgd", learning_rate=1.0, clip_value=0.5), 1)
    optimizer.apply([keras.ops.array([3.0, -0.25, -7.0])], [variable])
    np.testing.assert_allclose(variable.numpy(), [-0.5, 0.25, 0.5])


@pytest.mark.parametrize(("clip", "moved"), [(None, 5.0), (1.0, 1.0)])
def test_clip_norm_bounds_the_global_norm(clip, moved):
    a, b = keras.Variable(np.zeros(1, np.float32)), keras.Variable(np.zeros(1, np.float32))
    optimizer = build_optimizer(Training(optimizer="sgd", learning_rate=1.0, clip_norm=clip), 1)
    optimizer.apply([keras.ops.array([3.0]), keras.ops.array([4.0])], [a, b])
    assert np.hypot(a.numpy()[0], b.numpy()[0]) == pytest.approx(moved, rel=1e-5)


class Recorder(keras.callbacks.Callback):
    """Records epochs, and stops after the second."""

    def __init__(self):
        super().__init__()
        self.seen, self.ended = [], False

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append((epoch, set(logs)))
        self.model.stop_training = epoch == 1

    def on_train_end(self, logs=None):
        self.ended = True


def test_keras_callbacks_see_epochs_and_can_stop_training(runtime, tmp_path):
    config = parse_config(TINY, "tiny")
    recorder = Recorder()
    directory = RunDir.create(tmp_path / "run", config)
    train(TrainingInputs.read(config), directory, runtime, hooks=Hooks([recorder]))
    names = {
        "step",
        "loss",
        "val_loss",
        "val_symbol_accuracy",
        "val_exact_match",
        "learning_rate",
        "gradient_norm",
        "examples_per_second",
        "seconds",
    }
    assert recorder.seen == [(0, names), (1, names)]
    assert recorder.ended
    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) == 2


def test_a_loss_far_above_that_of_guessing_is_warned_of_once():
    trainer, said = Trainer.__new__(Trainer), []
    trainer.warn, trainer.epochs_far_above, trainer.guessing_loss = said.append, 0, math.log(10)
    for loss in (9.0, 1.0, 9.0, 9.0, 9.0):
        trainer._warn_if_far_above_guessing(loss)
    assert len(said) == 1
    assert "9" in said[0]
    assert "training.learning_rate" in said[0]
