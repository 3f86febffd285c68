"""Epochs of a number of steps, training metrics, and the end of training by time."""

import json

import numpy as np
import pytest

from rnncli.config import parse_config
from rnncli.metrics import METRICS
from rnncli.runs.directory import RunDir
from rnncli.training.inputs import TrainingInputs
from rnncli.training.interruption import Stop
from rnncli.training.job import TrainingJob

pytestmark = pytest.mark.usefixtures("runtime")
MODELS = {
    "shuffled": "task: {type: addition, digits: 1, examples: 50, held_out: 10, short_sums: once}\n"
    "model: {type: encoder_decoder, encoder: {units: 4}, decoder: {units: 4}}\n",
    "stateful": "task: {type: text, window: 8, windows: 20, held_out: 4}\n"
    "model: {type: next_step, units: 4, stateful: true}\n",
}


def train(name, folder, stop=None, **training):
    """Train with a batch size that gives 5 steps a pass; return the directory and the lines of metrics.jsonl."""
    keys = ", ".join(f"{key}: {value}" for key, value in training.items())
    size = 4 if name == "stateful" else 8
    config = parse_config(f"{MODELS[name]}training: {{batch_size: {size}, {keys}}}", "c")
    inputs = TrainingInputs.read(config)
    made = TrainingJob.resume_with(inputs, folder) if folder.exists() else TrainingJob.new(inputs, folder)
    with made as job:
        job.run(stop=stop)
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return RunDir(folder), [json.loads(line) for line in lines]


def weights(run):
    return run.checkpoints.newest_sound()[0].arrays["weights.safetensors"]


def assert_equal(one, other):
    for name, value in weights(one).items():
        np.testing.assert_array_equal(value, weights(other)[name], err_msg=name)


@pytest.mark.long
@pytest.mark.parametrize(("name", "steps"), [("shuffled", 3), ("stateful", 15)])
def test_epochs_of_some_steps_go_on_in_the_data_where_they_ended(tmp_path, name, steps):
    whole, lines = train(name, tmp_path / "whole", epochs=3)
    assert [line["step"] for line in lines] == [5, 10, 15]
    assert not [key for key in lines[0] if key.startswith("train_")]
    other, more = train(name, tmp_path / "other", epochs=15 // steps, steps_per_epoch=steps)
    assert [line["step"] for line in more] == list(range(steps, 16, steps))
    assert_equal(whole, other)


@pytest.mark.long
def test_an_epoch_of_some_steps_resumes_to_the_same_bits(tmp_path):
    whole, lines = train("stateful", tmp_path / "whole", epochs=4, steps_per_epoch=3)
    train("stateful", tmp_path / "run", stop=Stop(7), epochs=4, steps_per_epoch=3)
    resumed, more = train("stateful", tmp_path / "run", epochs=4, steps_per_epoch=3)
    assert_equal(whole, resumed)
    assert [line["validation_loss"] for line in lines] == [line["validation_loss"] for line in more]


def test_training_examples_are_measured_like_held_out_ones(tmp_path):
    _, (line,) = train("shuffled", tmp_path / "run", epochs=1, train_metrics=20)
    held_out = {name for name in METRICS if f"train_{name.removeprefix('validation_')}" in line}
    assert held_out == {"validation_loss", "symbol_accuracy", "exact_match"}
    assert line["train_loss"] != line["validation_loss"]


@pytest.mark.long
def test_an_epoch_out_of_time_is_cut_short_measured_and_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr("rnncli.training.loop.CALL_SECONDS", 1e-9)  # calls of one step
    run, (line,) = train("shuffled", tmp_path / "run", epochs=50, max_time="0.001 seconds")
    assert (line["epoch"], line["step"]) == (1, 1)
    assert "validation_loss" in line
    state = run.newest_state()
    assert (state.epoch, state.done) == (1, 0)
    assert run.checkpoints.read_record().step == 1
    _, lines = train("shuffled", tmp_path / "run", epochs=2)  # without a limit it goes on
    assert [each["epoch"] for each in lines] == [1, 2]
