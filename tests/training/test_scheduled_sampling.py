"""Scheduled sampling in training: its course, its draws in shards, exact resume, and where it is refused."""

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import interrupted_training as interrupted
import keras
import numpy as np
import pytest

from rnncli.config import dump_config, load_config, parse_config, refuse_differences
from rnncli.data.tasks import build_task
from rnncli.errors import ConfigError
from rnncli.models import build_model
from rnncli.training.batches import Batches, build_step
from rnncli.training.scheduled_sampling import sampling_probability, sigmoid_scale

pytestmark = pytest.mark.usefixtures("runtime")
MODEL = "scheduled sampling"
CONFIG = "task: addition\nmodel: %s\ntraining: {epochs: 10, scheduled_sampling: %s}\n"


def config_of(sampling, model="encoder_decoder"):
    return parse_config(CONFIG % (model, sampling), "c.yaml")


def probabilities(sampling, steps, per_epoch=4):
    found = sampling_probability(config_of(sampling).training, per_epoch)
    return [float(found(step)) for step in steps]


# The course of the probability


def test_probability_rises_in_a_line_to_the_last_epoch():
    assert probabilities("0.5", [0, 10, 20, 39, 40, 1000]) == pytest.approx([0, 0.125, 0.25, 0.4875, 0.5, 0.5])


def test_probability_is_reached_after_the_epochs_of_the_ramp():
    given = "{probability: 0.8, ramp_epochs: 2}"
    assert probabilities(given, [0, 2, 4, 8, 9]) == pytest.approx([0, 0.2, 0.4, 0.8, 0.8])


def test_ramp_of_no_epochs_begins_with_the_final_probability():
    for ramp in ("linear", "inverse_sigmoid"):
        assert probabilities(f"{{probability: 0.3, ramp: {ramp}, ramp_epochs: 0}}", [0, 1]) == pytest.approx(
            [0.3] * 2
        )


def test_inverse_sigmoid_is_that_of_the_paper():
    given = "{probability: 0.5, ramp: inverse_sigmoid, ramp_epochs: 25}"  # 100 steps
    k = sigmoid_scale(100)
    assert k * math.log(99 * k) == pytest.approx(100)
    wanted = [0.5 * (1 - k / (k + math.exp(i / k))) for i in (0, 30, 50, 99)]
    assert probabilities(given, [0, 30, 50, 99, 100]) == pytest.approx([*wanted, 0.5], rel=1e-5)
    middle = k * math.log(k)
    assert probabilities(given, [middle]) == pytest.approx([0.25], rel=1e-5)
    assert 0.5 * 0.98 < wanted[-1] < 0.5 * 0.99


@pytest.mark.parametrize("ramp", ["linear", "inverse_sigmoid"])
def test_ramp_of_more_steps_than_are_counted_goes_on_rising(ramp):
    values = probabilities(f"{{probability: 1, ramp: {ramp}, ramp_epochs: 1000000}}", [0, 2**31 - 1], 10**9)
    assert 0 <= values[0] < values[1] < 0.01


@pytest.mark.parametrize("steps", [1, 2, 7, 1000, 10**9])
def test_inverse_sigmoid_of_any_number_of_steps_is_finite(steps):
    values = probabilities("{probability: 1, ramp: inverse_sigmoid, ramp_epochs: 1}", [0, steps - 1, steps], steps)
    assert 0 < values[0] <= values[1] <= values[2] == 1


@pytest.mark.parametrize("sampling", ["null", "0"])
def test_no_probability_is_teacher_forcing_alone(sampling):
    assert sampling_probability(config_of(sampling).training, 4) is None


# The training step


@pytest.fixture
def make(runtime, tmp_path, monkeypatch):
    """Returns a function that builds a training step, and row numbers for it; the model is always the same."""
    monkeypatch.chdir(tmp_path)

    def build(sampling, shards=1, micro_batches=1, name=MODEL):
        overrides = [f"runtime.micro_batches={micro_batches}", f"training.scheduled_sampling={sampling}"]
        config = load_config(interrupted.write_config(tmp_path, name), overrides)
        task, ready = build_task(config), replace(runtime, shards=shards)
        keras.utils.set_random_seed(0)
        batches = Batches(config, task.splits()[0], 2)
        with ready.strategy.scope():
            model = build_model(config, task.sizes, on_gpu=False)
        return build_step(config, batches, model, ready), batches.order(0)[:4]

    return build


def weights(step):
    return [variable.numpy() for variable in step.variables]


def test_first_step_of_a_ramp_is_teacher_forcing_and_later_ones_are_not(make):
    (plain, rows), (mixing, _) = make("null"), make("1")
    losses, mixed = plain(rows, 0).losses, mixing(rows, 0).losses
    assert mixed[0] == losses[0]
    assert not np.allclose(mixed[1:], losses[1:], rtol=1e-4)


@pytest.mark.long
def test_shards_and_micro_batches_draw_alike(make):
    given = "{probability: 1, ramp_epochs: 0}"
    (shards, rows), (parts, _) = make(given, shards=2), make(given, micro_batches=2)
    np.testing.assert_allclose(parts(rows, 5), shards(rows, 5), rtol=1e-5)
    for one, other in zip(weights(parts), weights(shards), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-6)


@pytest.mark.long
@pytest.mark.xla(unroll=False)
def test_compiled_loop_draws_what_single_steps_draw(make):
    (at_once, rows), (one_by_one, _) = (
        make("{probability: 0.5, ramp_epochs: 1}"),
        make("{probability: 0.5, ramp_epochs: 1}"),
    )
    assert at_once.compile_loop
    results = at_once(rows, 0)
    singly = [one_by_one(row[None], number) for number, row in enumerate(rows)]
    assert np.array_equal(results, np.concatenate(singly, axis=1))
    assert all(np.array_equal(*each) for each in zip(weights(at_once), weights(one_by_one), strict=True))


def test_resumed_training_ends_with_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    training = "{epochs: 2, batch_size: 8, csv_log: true}"  # with a ramp, that of the model
    text = interrupted.write_config(tmp_path, MODEL, training)
    for run, stops in (("whole", [None]), ("interrupted", [3, 8, None])):
        for stop in stops:
            interrupted.steps(Path(run), text.read_text(), until=stop)
    interrupted.check_equal("whole", "interrupted")


# The config


def test_number_alone_is_the_final_probability():
    assert config_of("0.25") == config_of("{probability: 0.25, ramp: linear, ramp_epochs: null}")
    assert config_of("1").training.scheduled_sampling.probability == 1.0
    config = config_of("0.25")
    assert parse_config(dump_config(config), "again") == config


@pytest.mark.parametrize(
    ("sampling", "key"),
    [
        ("1.5", ".probability"),
        ("-0.1", ".probability"),
        ("{ramp: linear}", ".probability"),
        ("true", ""),
        ("half", ""),
        ("{probability: 0.5, ramp: quick}", ".ramp"),
        ("{probability: 0.5, ramp_epochs: -1}", ".ramp_epochs"),
    ],
)
def test_what_is_no_probability_or_ramp_is_refused(sampling, key):
    with pytest.raises(ConfigError, match=rf"^c\.yaml:3: training\.scheduled_sampling{key}: "):
        config_of(sampling)


@pytest.mark.parametrize(
    ("task", "model"),
    [
        ("addition", "repeat_vector"),
        ("addition", "classifier"),
        ("alphabet", "next_step"),
        ("{type: text}", "{type: next_step, stateful: true}"),
    ],
)
def test_models_that_read_no_target_are_refused(task, model):
    text = (CONFIG % (model, 0.25)).replace("addition", task)
    with pytest.raises(ConfigError, match=r"^c\.yaml:3: training\.scheduled_sampling: is for model encoder_decoder"):
        parse_config(text, "c.yaml")


def test_refusal_needs_no_tensorflow(tmp_path):
    (tmp_path / "c.yaml").write_text(CONFIG % ("repeat_vector", 0.25))
    code = "import sys; sys.modules['tensorflow'] = None; from rnncli.cli.main import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", code, "train", "c.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "training.scheduled_sampling" in done.stderr


@pytest.mark.parametrize(
    ("sampling", "changed", "refused"),
    [
        ("0.25", "0.5", "training.scheduled_sampling.probability was 0.25 and is now 0.5"),
        ("null", "0.5", "training.scheduled_sampling was null"),
    ],
)
def test_resuming_with_another_probability_is_refused(sampling, changed, refused):
    with pytest.raises(ConfigError, match=refused):
        refuse_differences(config_of(sampling), config_of(changed), "run")


def test_more_epochs_need_a_ramp_that_does_not_span_them():
    def more(sampling):
        config = config_of(sampling)
        longer = config.training.model_copy(update={"epochs": 20})
        refuse_differences(config, config.model_copy(update={"training": longer}), "run")

    more("{probability: 0.25, ramp_epochs: 10}")
    more("0")
    with pytest.raises(ConfigError, match=r"training\.epochs was 10") as refused:
        more("0.25")
    assert refused.value.hint.startswith("its scheduled sampling spans its epochs")
    assert "training.init_from=run" in refused.value.hint
