"""Callbacks of the config, losses within epochs, and what TensorBoard gets, in one small training."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from cell_config import rnncli

from rnncli.config import UserClass, parse_config
from rnncli.errors import ConfigError, InputError
from rnncli.runtime.user_code import ModuleSearchPath
from rnncli.training.interruption import Stop
from rnncli.training.loop import Trainer
from rnncli.training.step import StepResults
from rnncli.training.user_callbacks import load_callbacks

pytestmark = pytest.mark.usefixtures("runtime")
CONFIG = """
task: {type: addition, digits: 1, examples: 55, held_out: 5}
model: {type: encoder_decoder, cell: gru, encoder: {units: 4}, decoder: {units: 4}}
training:
  epochs: 2
  batch_size: 10
  tensorboard: true
  histograms: true
  log_every: 2
  callbacks: [{class: "my_callback:Recorder", file: told.jsonl, extra: {a: [1]}}]
"""
CALLBACK = """
import json
import keras

class Recorder(keras.callbacks.Callback):
    def __init__(self, file, extra):
        super().__init__()
        self.file, self.extra = file, extra

    def tell(self, *told):
        with open(self.file, "a") as file:
            file.write(json.dumps(told) + "\\n")

    def on_train_begin(self, logs=None):
        self.tell("begin", self.params["config"]["training"]["batch_size"], self.params["run_dir"], self.extra)

    def on_train_batch_end(self, batch, logs=None):
        self.tell("batch", batch, logs["loss"])

    def on_epoch_end(self, epoch, logs=None):
        self.tell("epoch", epoch, sorted(logs))
"""


def told():
    return [json.loads(line) for line in Path("told.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, runtime):
    folder = tmp_path_factory.mktemp("trained")
    (folder / "c.yaml").write_text(CONFIG)
    (folder / "my_callback.py").write_text(CALLBACK)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = rnncli("train", "c.yaml", "--run-dir", "run", "-q")
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """A copy of the run elsewhere."""
    shutil.copytree(trained / "run", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    return Path("run")


def test_a_callback_is_told_of_steps_and_epochs(trained, monkeypatch):
    monkeypatch.chdir(trained)
    begin, *rest = told()
    assert begin == ["begin", 10, "run", {"a": [1]}]
    assert [(kind, number) for kind, number, _ in rest[:4]] == [
        ("batch", 1),
        ("batch", 3),
        ("batch", 4),
        ("epoch", 0),
    ]
    assert {"loss", "val_loss", "val_exact_match"} <= set(rest[3][2])


@pytest.mark.long
def test_the_run_keeps_the_callback_which_only_resuming_needs(run):
    assert (run / "code/my_callback.py").read_text() == CALLBACK
    assert rnncli("predict", run, "1+2").exit_code == 0
    refused = rnncli("train", "--resume", run, "--set", "training.epochs=3")
    assert refused.exit_code == 2
    assert "callback my_callback:Recorder is code" in refused.stderr
    resumed = rnncli("train", "--resume", run, "--set", "training.epochs=3", "--trust-code", "-q")
    assert resumed.exit_code == 0, resumed.stderr
    assert [line[1] for line in told() if line[0] == "epoch"] == [2]


def test_resuming_without_callbacks_needs_no_trust(run):
    assert rnncli("train", "--resume", run, "-q").exit_code == 2
    assert rnncli("train", "--resume", run, "--set", "training.callbacks=[]", "-q").exit_code == 0  # nothing to do


def test_tensorboard_has_config_hyperparameters_samples_histograms_and_losses_of_steps(trained):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.plugin_event_accumulator")
    folder = trained / "run" / "tensorboard"

    def events(name):
        return accumulator.EventAccumulator(str(folder / name), size_guidance={"tensors": 0}).Reload()

    def text(found, tag):
        return [str(tf.make_ndarray(event.tensor_proto).flat[0], "utf-8") for event in found.Tensors(tag)]

    top, train, validation, steps = (events(name) for name in (".", "train", "validation", "steps"))
    assert "    batch_size: 10" in text(top, "config")[0].replace("      ", "    ")
    given = top.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"model.encoder.units" in given
    samples = text(validation, "samples")
    assert len(samples) == 2
    assert samples[0].count("->") == 5
    (kernel,) = [tag for tag in train.Tags()["tensors"] if tag.startswith("encoder_0") and tag.endswith("/kernel")]
    assert [event.step for event in train.Tensors(kernel)] == [0, 1]
    losses = [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in steps.Tensors("batch_loss")]
    assert [step for step, _ in losses] == [2, 4, 6, 8, 10]


def test_the_loss_of_steps_is_their_mean(trained, monkeypatch):
    monkeypatch.chdir(trained)
    first, second, third = [line[2] for line in told() if line[0] == "batch"][:3]
    epoch, *_ = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert np.average([first, second, third], weights=[2, 2, 1]) == pytest.approx(epoch["loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("source", "class_", "problem"),
    [
        ("", "some:Callback", r"training\.callbacks\.0\.class: some has no Callback"),
        ("def make(): return 3\n", "some:make", r"some:make: makes int, not a keras\.callbacks\.Callback"),
        (
            "def make():\n    raise OSError('no')\n",
            "some:make",
            r"cannot be made: OSError: no \(.*some\.py, line 2\)",
        ),
        ("", "nowhere:Callback", r"training\.callbacks\.0\.class: there is no module nowhere"),
    ],
)
def test_what_is_no_callback_is_refused(tmp_path, source, class_, problem):
    (tmp_path / "some.py").write_text(source)
    with pytest.raises(InputError, match=problem):
        load_callbacks([UserClass("training.callbacks.0", "callback", class_)], ModuleSearchPath((tmp_path,)))


def test_a_failing_callback_is_one_line_with_its_place(tmp_path):
    source = (
        "import keras\nclass C(keras.callbacks.Callback):\n    def on_epoch_end(self, epoch, logs):\n        1 / 0\n"
    )
    (tmp_path / "some.py").write_text(source)
    classes = [UserClass("training.callbacks.0", "callback", "some:C")]
    (callback,) = load_callbacks(classes, ModuleSearchPath((tmp_path,)))
    callback.on_train_begin({})
    with pytest.raises(InputError, match=r"some:C: on_epoch_end failed: ZeroDivisionError.*some\.py, line 4"):
        callback.on_epoch_end(0, {})


@pytest.mark.parametrize(
    ("callbacks", "problem"),
    [
        ("[{}]", "has no class"),
        ("[{class: 3}]", "module:Class"),
        ("[{class: 'a:B', 'not a name': 1}]", "not a name"),
        ("[{class: 'a:B', x: [.nan]}]", "finite"),
        ("{class: 'a:B'}", "list"),
    ],
)
def test_callbacks_of_the_config_are_checked(callbacks, problem):
    with pytest.raises(ConfigError, match=problem):
        parse_config(f"task: addition\nmodel: encoder_decoder\ntraining: {{callbacks: {callbacks}}}", "c.yaml")


def test_a_training_that_is_only_a_check_has_no_callbacks():
    config = parse_config(CONFIG, "c.yaml")
    assert [each.class_ for each in config.training_code] == ["my_callback:Recorder"]
    assert config.without_callbacks().training_code == []


def test_histograms_need_tensorboard():
    with pytest.raises(ConfigError, match="needs tensorboard: true"):
        parse_config("task: addition\nmodel: encoder_decoder\ntraining: {histograms: true}", "c.yaml")


class Told:
    """A list of callbacks that notes what it is told."""

    def __init__(self):
        self.calls = []

    def on_train_batch_begin(self, batch):
        self.calls.append(("begin", batch))

    def on_train_batch_end(self, batch, logs):
        self.calls.append(("end", batch, logs["loss"]))


def test_an_epoch_that_is_resumed_between_logged_steps_begins_before_it_ends():
    trainer = Trainer.__new__(Trainer)
    trainer.config, trainer.steps, trainer.steps_per_call = SimpleNamespace(log_every=2), 5, 1
    trainer.state = SimpleNamespace(
        epoch=0, done=1, step=1, losses=[np.float32([10])], gradient_norms=[], time_is_up=lambda _config: False
    )
    trainer.batches = SimpleNamespace(order=lambda _epoch: np.arange(5))
    trainer.checkpointer = SimpleNamespace(steps_left=lambda _step: None)
    trainer.resets_states, trainer.checkpoint_due, trainer.stop = False, False, Stop()
    trainer._agree = lambda: None
    trainer._call_step = lambda rows: (StepResults(rows.astype(np.float32), np.ones(len(rows))), 0.0)
    trainer.callbacks, trainer.told_of_calls = Told(), Told()
    assert trainer._train_epoch(0.0)
    assert trainer.callbacks.calls == [
        *(("begin", 1), ("end", 1, 5.5)),
        *(("begin", 2), ("end", 3, 2.5)),
        *(("begin", 4), ("end", 4, 4.0)),
    ]
