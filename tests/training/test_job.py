"""Training jobs: their directory and its lock, where they resume, and what callbacks see."""

import json
import os
import shutil
import signal

import interrupted_training as interrupted
import keras
import pytest
from interrupted_training import STEPS

from rnncli.config import parse_config
from rnncli.errors import InputError, RunFailedError
from rnncli.runs.directory import RunDir
from rnncli.runs.lock import locked
from rnncli.training.inputs import TrainingInputs
from rnncli.training.interruption import Stop, Stopped
from rnncli.training.job import TrainingJob

pytestmark = pytest.mark.usefixtures("runtime")


@pytest.fixture
def inputs(tmp_path):
    return TrainingInputs.read(parse_config(interrupted.write_config(tmp_path, "lstm").read_text(), "c"))


class Recorder(keras.callbacks.Callback):
    """Records the epochs that begin, and sends the process a signal after one of them."""

    def __init__(self, signal_after=None):
        super().__init__()
        self.epochs, self.signal_after = [], signal_after

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(epoch)

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.signal_after:
            os.kill(os.getpid(), signal.SIGTERM)


def test_batch_larger_than_the_data_is_noted():
    notes = []
    text = "{task: {type: addition, digits: 1, examples: 55, held_out: 9}, model: repeat_vector}"
    TrainingInputs.read(parse_config(text, "c", ["training.batch_size=100"]), note=notes.append)
    assert [note.partition(":")[0] for note in notes] == ["training.batch_size"]


@pytest.mark.parametrize(("warmup", "noted"), [(23, []), (24, ["training.warmup_steps"])])
def test_a_warm_up_as_long_as_the_training_is_noted(warmup, noted):
    notes = []
    text = "{task: {type: addition, digits: 1, examples: 55, held_out: 9}, model: repeat_vector}"
    keys = {"epochs": 2, "steps_per_epoch": 12, "schedule": "warmup_cosine", "warmup_steps": warmup}
    overrides = [f"training.{key}={value}" for key, value in {**keys, "batch_size": 4}.items()]
    TrainingInputs.read(parse_config(text, "c", overrides), note=notes.append)
    assert [note.partition(":")[0] for note in notes] == noted


def test_new_holds_the_lock(inputs, tmp_path):
    with (
        TrainingJob.new(inputs, tmp_path / "run") as job,
        pytest.raises(RunFailedError),
        locked(job.directory.path),
    ):
        pass
    assert (tmp_path / "run/config.yaml").is_file()


def test_new_removes_the_directory_if_it_fails_before_a_checkpoint(inputs, tmp_path):
    with pytest.raises(ZeroDivisionError), TrainingJob.new(inputs, tmp_path / "run"):
        raise ZeroDivisionError
    assert not (tmp_path / "run").exists()


def test_new_keeps_a_directory_that_was_there(inputs, tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(ZeroDivisionError), TrainingJob.new(inputs, tmp_path / "run"):
        raise ZeroDivisionError
    assert list((tmp_path / "run").iterdir()) == []


def test_stop_is_a_result(inputs, tmp_path):
    with TrainingJob.new(inputs, tmp_path / "run") as job:
        assert job.run(stop=Stop(2)) == Stopped(2, 4 * STEPS, None)
    assert job.directory.newest_state().step == 2


def test_finished_run_has_nothing_to_do_and_its_pointers_are_repaired(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    directory, warnings = RunDir(tmp_path / "run"), []
    last = directory.checkpoints.pointed("last")
    (directory.checkpoints.path / "last").write_text("00000006\n")
    with TrainingJob.resume(directory.path, warn=warnings.append) as job:
        assert job.run() is None
        assert job.inputs is None
    assert directory.checkpoints.pointed("last") == last
    assert len(warnings) == 1


def test_a_run_killed_after_its_last_checkpoint_is_recorded_as_finished_by_resume(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    path = tmp_path / "run/manifest.json"
    recorded = json.loads(path.read_text())
    ended = ("state", "step", "best", "best_intervals")
    (session,) = recorded["sessions"]
    killed = {key: value for key, value in recorded.items() if key not in ended}
    killed |= {"state": "running", "sessions": [{**session, "end": None, "seconds": None}]}
    path.write_text(json.dumps(killed))
    half = path.with_name(".manifest.json-0123456789abcdef")
    half.write_text("{")
    with TrainingJob.resume(tmp_path / "run") as job:
        assert job.run() is None
    assert not half.exists()
    found = json.loads(path.read_text())
    assert {key: found[key] for key in ended} == {key: recorded[key] for key in ended}
    assert found["sessions"] == killed["sessions"]


def test_resume_holds_the_lock_and_names_its_checkpoint(stopped):
    notes = []
    with TrainingJob.resume(stopped, note=notes.append) as job, pytest.raises(RunFailedError), locked(stopped):
        pass
    assert job.resume_point.checkpoint.step == 16
    assert "step 16" in notes[-1]


def test_resume_refuses_another_model_and_writes_nothing(stopped):
    before = (stopped / "config.yaml").read_bytes()
    with pytest.raises(InputError, match=r"model\.cell"), TrainingJob.resume(stopped, overrides=["model.cell=gru"]):
        pass
    assert (stopped / "config.yaml").read_bytes() == before
    assert not (stopped / "lock").exists()


def test_resume_with_memory_starts_over_without_a_checkpoint(inputs, stopped):
    shutil.rmtree(stopped / "checkpoints")
    with TrainingJob.resume_with(inputs, stopped) as job:
        assert job.resume_point is None
        assert not (stopped / "metrics.jsonl").exists()


@pytest.mark.long
def test_callbacks_of_a_resumed_run_begin_in_its_epoch_and_a_signal_stops_it(stopped):
    recorder = Recorder(signal_after=2)
    with TrainingJob.resume(stopped) as job:
        ended = job.run([recorder])
    assert recorder.epochs == [2]
    assert ended == Stopped(3 * STEPS, 4 * STEPS, signal.SIGTERM)
