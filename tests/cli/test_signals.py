"""SIGINT and SIGTERM: what they end, what they leave, and what is said."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import interrupted_training as interrupted
import keras
import pytest
from bad_input import tree
from interrupted_training import resumed, rnncli

from rnncli.runs import checkpoints
from rnncli.runs.directory import RunDir
from rnncli.runtime.run_files import LOCK
from rnncli.training.interruption import Stop
from rnncli.training.job import TrainingJob
from rnncli.training.step import TrainStep

pytestmark = pytest.mark.usefixtures("runtime")


class Kill(keras.callbacks.Callback):
    """Sends signals to this process, at the end of the second epoch."""

    def __init__(self, *signals):
        super().__init__()
        self.signals = signals

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            for number in self.signals:
                os.kill(os.getpid(), number)


def test_sigint_saves_a_checkpoint_and_shows_how_to_resume(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    interrupted.write_config(tmp_path, "lstm")
    monkeypatch.setattr("rnncli.training.progress.Progress", lambda *_, **__: Kill(signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    result = rnncli("train", "config.yaml", "--run-dir", "a run")
    assert (result.exit_code, result.stdout) == (130, "")
    assert re.search("step 12 of 24.*rnncli train --resume 'a run'\n", result.stderr)
    assert signal.getsignal(signal.SIGINT) == before
    assert not Path("a run", LOCK).exists()
    assert resumed(Path("a run")).state.step == 12


def test_second_sigint_stops_immediately(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    interrupted.write_config(tmp_path, "lstm", every="epoch")
    monkeypatch.setattr("rnncli.training.progress.Progress", lambda *_, **__: Kill(signal.SIGINT, signal.SIGINT))
    result = rnncli("train", "config.yaml", "--run-dir", "run")
    assert result.exit_code == 130
    assert "rnncli train --resume run" in result.stderr
    assert checkpoints.Checkpoints(Path("run")).names() == ["00000006"]


class Early(Kill):
    """Sends them before the first step, as if it were traced."""

    def on_train_batch_begin(self, batch, logs=None):
        if not batch:
            super().on_epoch_end(1)


@pytest.mark.long
def test_sigint_before_the_first_step_waits_for_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    interrupted.write_config(tmp_path, "lstm")
    monkeypatch.setattr("rnncli.training.progress.Progress", lambda *_, **__: Early(signal.SIGINT))
    result = rnncli("train", "config.yaml", "--run-dir", "run")
    assert result.exit_code == 130
    assert re.search("step 1 of 24.*rnncli train --resume run\n", result.stderr)
    assert resumed(Path("run")).state.step == 1


@pytest.mark.long
def test_ignored_sigint_stays_ignored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    interrupted.write_config(tmp_path, "lstm")
    monkeypatch.setattr("rnncli.training.progress.Progress", lambda *_, **__: Kill(signal.SIGINT, signal.SIGINT))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert rnncli("train", "config.yaml", "--run-dir", "run").exit_code == 0
    finally:
        signal.signal(signal.SIGINT, before)


def test_sigterm_does_not_interrupt_cleanup_after_two_sigints():
    tidied = []

    def interrupted_twice():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            tidied.append(True)

    with pytest.raises(KeyboardInterrupt), Stop().handling_signals():
        interrupted_twice()
    assert tidied


def test_two_sigints_before_the_first_step_leave_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    interrupted.write_config(tmp_path, "lstm")
    monkeypatch.setattr("rnncli.training.progress.Progress", lambda *_, **__: Early(signal.SIGINT, signal.SIGINT))
    result = rnncli("train", "config.yaml", "--run-dir", "run")
    assert result.exit_code == 130
    assert result.stderr.endswith("interrupted\n")
    assert not Path("run").exists()


class Dropping(Kill):
    """Sends them where Python drops what is raised: in a destructor."""

    def __del__(self):
        super().on_epoch_end(1)


class Transforming(Kill):
    """Sends them where something else is made of what is raised, as TensorFlow does when it traces."""

    def on_train_batch_begin(self, batch, logs=None):
        try:
            super().on_epoch_end(1)
        except KeyboardInterrupt as error:
            raise TypeError from error


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", [Dropping, Transforming])
def test_second_sigint_is_neither_lost_nor_taken_for_an_error(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    interrupted.write_config(tmp_path, "lstm")
    kills = [kind(signal.SIGINT, signal.SIGINT)]
    call = TrainStep.__call__

    def calling(*arguments):
        kills.clear()
        return call(*arguments)

    monkeypatch.setattr(TrainStep, "__call__", calling)
    progress = keras.callbacks.Callback() if kind is Dropping else kills[0]
    monkeypatch.setattr("rnncli.training.progress.Progress", lambda *_, **__: progress)
    assert rnncli("train", "config.yaml", "--run-dir", "run").exit_code == 130
    assert not Path("run").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signal_that_became_another_error_ends_the_command(tmp_path, monkeypatch, number, status):
    def build(*_):
        try:
            os.kill(os.getpid(), number)
        except BaseException as error:
            raise TypeError from error

    monkeypatch.chdir(tmp_path)
    interrupted.write_config(tmp_path, "lstm")
    monkeypatch.setattr("rnncli.training.loop.build_model", build)
    result = rnncli("train", "config.yaml", "--run-dir", "run")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        status,
        {130: "interrupted", 143: "terminated", 129: "hung up"}[status],
    )
    assert not Path("run").exists()


def test_sigterm_before_training_leaves_no_files(tmp_path, monkeypatch):
    def told(*_, **__):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.chdir(tmp_path)
    interrupted.write_config(tmp_path, "lstm")
    before = tree(tmp_path)
    monkeypatch.setattr(TrainingJob, "run", told)
    result = rnncli("train", "config.yaml", "--run-dir", "run")
    assert (result.exit_code, result.stdout) == (143, "")
    assert tree(tmp_path) == before
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_second_sigterm_does_not_interrupt_cleanup(tmp_path, monkeypatch):
    discard = RunDir.discard_if_untrained

    def told(*_):
        os.kill(os.getpid(), signal.SIGTERM)

    def told_again(self, **options):
        told()
        discard(self, **options)

    monkeypatch.chdir(tmp_path)
    interrupted.write_config(tmp_path, "lstm")
    before = tree(tmp_path)
    monkeypatch.setattr(RunDir, "discard_if_untrained", told_again)
    monkeypatch.setattr(RunDir, "write_config", told)  # in the middle of making the directory
    assert rnncli("train", "config.yaml", "--run-dir", "run").exit_code == 143
    assert tree(tmp_path) == before


@pytest.mark.parametrize(("ending", "status"), [("sys.exit(3)", 3), ("raise ValueError", 1)])
def test_a_process_ends_after_its_exit_handlers_and_without_destructors(ending, status):
    program = f"""
import atexit, os, sys
import rnncli.cli.main as cli
class Destroyed:
    def __del__(self):
        os.write(2, b"destroyed")
kept = Destroyed()
def command():
    atexit.register(print, "closed")
    {ending}
cli.main = command
cli.run()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (status, "closed\n"), ended.stderr
    assert ("destroyed" in ended.stderr) == ("ValueError" in ended.stderr) == (status == 1)
