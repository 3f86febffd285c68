"""The checkpoint whose weights predict, evaluate, export-states and Python take, and what they say of it."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from npz_files import read_npz

import rnncli
from rnncli.cli.main import main
from rnncli.config import load_config
from rnncli.errors import InputError, RunDirError
from rnncli.training.inputs import TrainingInputs
from rnncli.training.interruption import Stop
from rnncli.training.job import TrainingJob

pytestmark = pytest.mark.usefixtures("runtime")
CONFIG = Path(__file__).parents[2] / "configs/alphabet.yaml"
STEPS = 4  # of an epoch
EPOCHS = 3


def command(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def train(folder, stop=None):
    """Train a run of three epochs, each with a checkpoint; `stop` is a number of steps."""
    changes = [f"training.epochs={EPOCHS}", "training.batch_size=6", "checkpoint.every=epoch", "checkpoint.keep=9"]
    with TrainingJob.new(TrainingInputs.read(load_config(CONFIG, changes)), folder / "run") as job:
        job.run(stop=Stop(stop))
    return folder / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory, runtime):
    """A run of three epochs, the first of which is said to be the best."""
    path = train(tmp_path_factory.mktemp("choice"))
    (path / "checkpoints/best").write_text(f"{STEPS:08d}\n")
    return path


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, runtime):
    """A run that was stopped in its second epoch."""
    return train(tmp_path_factory.mktemp("stopped"), STEPS + 1)


def probabilities(run, *arguments):
    result = command("predict", run, "ABC", "--format", "jsonl", *arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)["probabilities"], result.stderr


CHOICES = [((), "best", 1), (("--checkpoint", "last"), "last", 3), (("--checkpoint", 2 * STEPS), 2 * STEPS, 2)]


@pytest.mark.parametrize(("option", "choice", "epoch"), CHOICES)
def test_predict_takes_and_names_the_weights_of_a_checkpoint_as_python_does(run, option, choice, epoch):
    found, said = probabilities(run, *option)
    loaded = rnncli.load(run, checkpoint=choice)
    assert (loaded.epoch, loaded.step) == (epoch, epoch * STEPS)
    assert found == loaded.predict(["ABC"])[0].probabilities
    assert re.search(rf"epoch {epoch}\b.* {EPOCHS}", said)
    assert probabilities(run, *option, "-q")[1] == ""


def test_checkpoints_differ(run):
    assert len({str(probabilities(run, *option)[0]) for option, _, _ in CHOICES}) == len(CHOICES)


def test_evaluate_and_export_states_take_a_checkpoint(run, tmp_path):
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for option, _, epoch in CHOICES:
        result = command("evaluate", run, "--format", "json", *option)
        assert json.loads(result.stdout)["symbol_accuracy"] == pytest.approx(metrics[epoch - 1]["symbol_accuracy"])
        assert f"epoch {epoch}" in result.stderr
        path = tmp_path / f"{epoch}.npz"
        assert f"epoch {epoch}" in command("export-states", run, "ABC", "-o", path, *option).stderr
        assert json.loads(str(read_npz(path)["manifest"]))["step"] == epoch * STEPS


def test_a_stopped_run_is_named_and_how_to_continue_it(stopped):
    _, said = probabilities(stopped)
    assert re.search(rf"epoch 1\b.* 1 of {EPOCHS}\b.*train --resume {re.escape(str(stopped))}", said)
    _, said = probabilities(stopped, "--checkpoint", "last")
    assert re.search(rf"step {STEPS + 1} in epoch 2\b", said)


@pytest.mark.parametrize("choice", ["7", "newest", "-1", "9" * 30])
def test_a_checkpoint_that_is_not_there_is_refused_with_those_that_are(run, choice):
    result = command("predict", run, "ABC", "--checkpoint", choice)
    assert result.exit_code == 2
    assert (f"{STEPS}, {2 * STEPS}, {3 * STEPS}" if choice == "7" else "last") in result.stderr
    with pytest.raises(InputError):
        rnncli.load(run, checkpoint=choice)


@pytest.mark.parametrize(("part", "choice"), [("best", "best"), ("last", "last"), (f"{STEPS:08d}", str(STEPS))])
def test_a_path_of_a_checkpoint_is_answered_with_what_to_write(run, part, choice):
    path = run / "checkpoints" / part
    result = command("predict", path, "ABC")
    assert result.exit_code == 2
    assert f"{run} --checkpoint {choice}" in result.stderr
    assert command("predict", run, "ABC", "--checkpoint", choice).exit_code == 0
    with pytest.raises(RunDirError) as error:
        rnncli.load(path)
    assert f"checkpoint={choice!r}" in error.value.hint
