"""rnncli in somebody else's process: it leaves settings alone, and computes the same as the command."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from interrupted_training import rnncli

ROOT = Path(__file__).parents[2]
TINY = """
task: {type: addition, digits: 1, examples: 55, held_out: 5}
model: {type: encoder_decoder, cell: lstm, encoder: {units: 6, dropout: 0.1}, decoder: {units: 6}}
training: {epochs: 2, batch_size: 10, learning_rate: 1e-2}
"""
OTHERS = ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL", "XLA_FLAGS")
SUMS = [f"{a}+{b}" for a in range(10) for b in range(10)]


def run_python(code, folder, **environment):
    """Run code in a process of its own; return it, and the JSON on the last line of its output."""
    found = {name: value for name, value in os.environ.items() if name not in OTHERS}
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**found, "PYTHONPATH": str(ROOT), **environment},
    )
    if process.returncode:
        return process, None
    return process, json.loads(process.stdout.splitlines()[-1])


pytestmark = pytest.mark.long  # processes that import TensorFlow


@pytest.fixture(scope="module")
def trained(tmp_path_factory, runtime):
    """A folder with a config and a run that the command trained."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "tiny.yaml").write_text(TINY)
    assert rnncli("train", folder / "tiny.yaml", "--run-dir", folder / "run", "--quiet").exit_code == 0
    return folder


@pytest.fixture(scope="module")
def command_answers(trained):
    """The command's answers to all sums; this process is one of its own, as the command's is."""
    done = rnncli("predict", trained / "run", "--format", "jsonl", *SUMS)
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_same_answers(found, expected):
    assert [text for text, _ in found] == [answer["prediction"] for answer in expected]
    assert [score for _, score in found] == pytest.approx([answer["score"] for answer in expected], abs=1e-5)


USE_AFTERWARDS = """
import json, os, random, signal, sys, warnings
before = dict(os.environ)
import keras, numpy as np, tensorflow as tf
imported = {name for name in os.environ if os.environ[name] != before.get(name)}
keras.config.set_floatx("float64")
keras.config.set_image_data_format("channels_first")
tf.config.threading.set_intra_op_parallelism_threads(3)
random.seed(1), np.random.seed(1), tf.random.set_seed(1)
expected = random.random(), np.random.rand(), float(tf.random.normal([]))
random.seed(1), np.random.seed(1), tf.random.set_seed(1)
handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
import gc, rnncli
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    runs = [rnncli.load("run") for _ in range(2)]
    predictions = runs[1].predict([f"{a}+{b}" for a in range(10) for b in range(10)])
    runs[0].encode(["1+2"])
    rnncli.train("tiny.yaml", run_dir="library", progress=False)
found = random.random(), np.random.rand(), float(tf.random.normal([]))
changed = {name for name in os.environ if os.environ[name] != before.get(name)} - imported
kept = keras.config.floatx(), keras.config.image_data_format(), keras.config.dtype_policy().name
keras.config.set_floatx("float32")
keras.config.set_image_data_format("channels_last")
keras.config.set_dtype_policy("float32")
model = keras.Sequential([keras.layers.Dense(3), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
model.compile(loss="mse")
model.fit(np.ones((8, 2)), np.ones(8), verbose=0)
list(tf.data.Dataset.range(5).shuffle(5))
tf.random.normal([3])
print(json.dumps({
    "changed": sorted(changed), "kept": kept, "random": found == expected, "frozen": gc.get_freeze_count(),
    "signals": handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
    "answers": [(p.text, p.score) for p in predictions],
    "warnings": [str(w.message) for w in caught if "TensorFlow was used before" in str(w.message)],
}))
"""


def test_other_code_works_as_before_after_loading_predicting_and_training(trained, command_answers):
    process, found = run_python(USE_AFTERWARDS, trained)
    assert found is not None, process.stderr
    assert found["changed"] == []
    assert found["kept"] == ["float64", "channels_first", "float64"]
    assert found["random"], "the global random states go on as if nothing had happened"
    assert found["signals"]
    assert found["frozen"] == 0
    assert len(found["warnings"]) == 1, "the other number of threads is named, and once"
    assert_same_answers(found["answers"], command_answers)


USE_OFTEN = """
import json, rnncli
from rnncli.runtime import xla
xla.XLA = False
answers = [rnncli.load("run").predict(["1+2"])[0].text for _ in range(7)]
print(json.dumps({"answers": len(set(answers))}))
"""


def test_many_runs_in_a_process_are_no_reason_for_warnings_of_tensorflow(trained):
    process, found = run_python(USE_OFTEN, trained)
    assert found == {"answers": 1}
    assert process.stderr == ""


USE_FIRST = """
import json, os, signal, warnings
import rnncli, rnncli.errors
from rnncli.runtime import xla
from rnncli.runtime.tensorflow_setup import scoped_settings
xla.XLA = False  # the other process compiles as for users
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    predictions = rnncli.load("run").predict([f"{a}+{b}" for a in range(10) for b in range(10)])
found = {
    "answers": [(p.text, p.score) for p in predictions],
    "warnings": [str(w.message) for w in caught if "TensorFlow was used before" in str(w.message)],
}
try:
    rnncli.claim_process()
except rnncli.errors.RunFailedError:
    from tensorflow.python.framework import config
    with scoped_settings():
        found["refused, and operations are deterministic"] = config.is_op_determinism_enabled()
import keras
class Interrupt(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0:
            os.kill(os.getpid(), signal.SIGINT)
try:
    rnncli.train("tiny.yaml", run_dir="interrupted", progress=False, callbacks=[Interrupt()])
except KeyboardInterrupt:
    resumed = rnncli.train(run_dir="interrupted", resume=True, progress=False)
    again = rnncli.train(run_dir="interrupted", resume=True, progress=False)
    found["resumed"] = [resumed.metrics[-1]["epoch"], resumed.finished, again.best == resumed.best]
config = {"task": {"type": "addition", "digits": 1, "examples": 55, "held_out": 5},
          "model": {"type": "encoder_decoder", "encoder": {"units": 6}, "decoder": {"units": 6}},
          "training": {"epochs": 3, "batch_size": 10}}
result = rnncli.train(config, ["training.epochs=1"], run_dir="mapping", progress=False)
found["mapping"] = [result.step, result.best["epoch"], str(result.path), len(result.predict(["1+1"]))]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def first(trained):
    """A process that uses TensorFlow through rnncli only; an IPython is installed that fails where it is used."""
    (trained / "installed").mkdir()
    (trained / "installed/IPython.py").write_text("raise SystemError")
    process, found = run_python(USE_FIRST, trained, PYTHONPATH=f"{trained / 'installed'}{os.pathsep}{ROOT}")
    assert found is not None, process.stderr
    return {
        **found,
        "log": [line for line in process.stderr.splitlines() if re.match(r"[IWEF]\d{4} |WARNING: All", line)],
    }


def test_log_of_tensorflow_stays_off_the_terminal(first):
    assert first["log"] == []


def test_predictions_equal_those_of_the_command(first, command_answers):
    assert_same_answers(first["answers"], command_answers)
    assert first["warnings"] == []


def test_claiming_the_process_after_its_first_use_is_refused(first):
    assert first["refused, and operations are deterministic"]


def test_ctrl_c_in_training_saves_a_checkpoint_and_raises_keyboard_interrupt(first):
    assert first["resumed"] == [2, True, True]


def test_train_takes_a_mapping_and_overrides(first):
    assert first["mapping"] == [5, 1, "mapping", 1]


def test_another_keras_backend_is_refused_in_one_line(trained):
    code = (
        "import rnncli\ntry: rnncli.load('run')\nexcept rnncli.errors.RunFailedError as e: print(json.dumps(str(e)))"
    )
    process, found = run_python("import json, rnncli.errors\n" + code, trained, KERAS_BACKEND="jax")
    assert found is not None, process.stderr
    assert "jax" in found
