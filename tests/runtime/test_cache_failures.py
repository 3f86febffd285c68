"""Errors of TensorFlow about a damaged cache of compilations end no command."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bad_input import rnncli

from rnncli.runtime import compiled

ROOT = Path(__file__).parents[2]
TINY = """
task: {type: addition, digits: 1, examples: 55, held_out: 5}
model: {type: classifier, cell: simple_rnn, units: 4}
training: {epochs: 2, batch_size: 10}
"""
UNCHECKED = """
from rnncli.runtime import compilation_cache
compilation_cache._checked = lambda path, found, status: path
from rnncli.cli.main import run
run()
"""


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-c", UNCHECKED, *arguments],
        env={**os.environ, "XDG_CACHE_HOME": str(Path("cache").absolute()), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def weights(run):
    files = sorted(Path(run).rglob("weights.safetensors"))
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(TINY)


@pytest.mark.long
def test_damage_that_only_tensorflow_finds_is_one_warning(folder, runtime):
    assert rnncli("train", "tiny.yaml", "--run-dir", "run", "-q").exit_code == 0
    good = command("predict", "run", "1+2", "3+4")
    entries = list(Path("cache").rglob("*.pb.*"))
    assert entries
    for path in entries:
        path.write_bytes(path.read_bytes()[:1000])
    answered = command("predict", "run", "1+2", "3+4")
    assert (answered.returncode, answered.stdout) == (0, good.stdout)
    assert answered.stderr.count("warning: ") == 1
    assert "Traceback" not in answered.stderr
    assert not list(Path("cache").rglob("*.pb.*")), "all were damaged"


@pytest.mark.long
def test_training_goes_on_exactly_after_a_failure_within_a_step(folder, monkeypatch, runtime):
    import tensorflow as tf

    from rnncli.training import loop
    from rnncli.training.step import TrainStep

    assert rnncli("train", "tiny.yaml", "--run-dir", "good", "-q").exit_code == 0
    call, failures = TrainStep.__call__, []

    def fail_once(self, rows, step):
        losses = call(self, rows, step)  # which has changed the parameters
        if not failures:
            failures.append(step)
            raise tf.errors.InternalError(None, None, "Read less bytes than requested")
        return losses

    monkeypatch.setattr(TrainStep, "__call__", fail_once)
    monkeypatch.setattr(loop, "recover_from_cache_failure", lambda error, count: count == 0)
    assert rnncli("train", "tiny.yaml", "--run-dir", "again", "-q").exit_code == 0
    assert failures
    assert weights("again") == weights("good")


def test_function_is_made_anew_after_a_failure(monkeypatch, runtime):
    import tensorflow as tf

    traces = []

    def run(values):
        traces.append(values)
        if len(traces) == 1:
            raise RuntimeError("the cache failed")
        return values + 1

    monkeypatch.setattr(compiled, "recover_from_cache_failure", lambda error, count: "cache" in str(error))
    assert compiled.CompiledFunction(run, jit_compile=False, name="a test")(tf.constant(1)).numpy() == 2
    assert len(traces) == 2


def test_other_errors_stay_as_they_are(runtime):
    import tensorflow as tf

    def run(values):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        compiled.CompiledFunction(run, jit_compile=False, name="a test")(tf.constant(1))
