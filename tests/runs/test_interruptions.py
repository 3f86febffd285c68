"""Locks, kills and full disks: nothing is lost, and what is said tells how to go on."""

import errno
import json
import os
import re
import shutil
import signal
import socket
from pathlib import Path

import interrupted_training as interrupted
import keras
import pytest
from bad_input import tree
from interrupted_training import check_equal, resumed, rnncli

from rnncli.errors import RunFailedError
from rnncli.runs import checkpoints
from rnncli.runs.directory import RunDir
from rnncli.runs.lock import locked
from rnncli.runs.train_state import TrainState
from rnncli.runtime.run_files import LOCK

pytestmark = pytest.mark.usefixtures("runtime")


def lock_of(path):
    return json.loads((path / LOCK).read_text())


def test_second_trainer_is_refused_with_process_and_host_of_the_first(stopped):
    with locked(stopped) as note:
        assert note is None
        assert lock_of(stopped)["pid"] == os.getpid()
        result = rnncli("train", "--resume", "run")
    assert result.exit_code == 1
    assert f"run: process {os.getpid()} on {socket.gethostname()} " in result.stderr
    assert not (stopped / LOCK).exists()


def test_stale_lock_is_taken_over(tmp_path):
    (tmp_path / LOCK).write_text('{"pid": 123, "host": "elsewhere"}')
    with locked(tmp_path) as note:
        assert "process 123 on elsewhere" in note
        with pytest.raises(RunFailedError), locked(tmp_path):
            pass
        assert lock_of(tmp_path)["host"] == socket.gethostname()


def test_lock_is_never_written_through_a_link(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / LOCK).symlink_to(tmp_path / "mine")
    with pytest.raises(RunFailedError, match="cannot be written"), locked(tmp_path):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


def test_resume_refuses_a_run_with_links(stopped, tmp_path):
    (stopped / "metrics.jsonl").rename(tmp_path / "elsewhere")
    (stopped / "metrics.jsonl").symlink_to(tmp_path / "elsewhere")
    assert "metrics.jsonl: a link" in rnncli("train", "--resume", "run").stderr


def test_full_disk_keeps_the_last_checkpoint_and_shows_how_to_resume(stopped, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoints, "write_synced", full)
    before = tree(stopped / "checkpoints")
    result = rnncli("train", "--resume", "run")
    assert result.exit_code == 1
    assert "run/checkpoints/00000018: cannot be written: No space left on device" in result.stderr
    assert "step 16" in result.stderr
    assert "rnncli train --resume run" in result.stderr
    assert tree(stopped / "checkpoints") == before


@pytest.mark.long
def test_kill_inside_a_write_and_sigterm_end_at_the_uninterrupted_bits(whole, tmp_path):
    interrupted.write_config(tmp_path, "lstm")
    server = interrupted.Server(compiled=False)
    first, _ = server(tmp_path, "train", "config.yaml", "--run-dir", "run", write=9, signal="SIGKILL")
    second, taken_over = server(tmp_path, "train", "--resume", "run", step=17, signal="SIGTERM")
    third, said = server(tmp_path, "train", "--resume", "run")
    server.close()
    assert (first, second, third) == (-signal.SIGKILL, 143, 0), said
    assert "lock: process " in taken_over
    assert "stopped at step 17 of 24; resume with: rnncli train --resume run\n" in taken_over
    check_equal(whole, tmp_path / "run")


def test_resume_repairs_pointers_after_a_kill(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole, "run")
    pointers = {name: Path("run/checkpoints", name).read_text() for name in ("last", "best")}
    for name in pointers:
        Path("run/checkpoints", name).write_text(min(checkpoints.Checkpoints(Path("run")).names()) + "\n")
    assert "wrong  checkpoints/last: " in rnncli("verify", "run").stdout
    result = rnncli("train", "--resume", "run")
    assert (result.exit_code, result.stdout) == (0, "run\n")
    assert "finished (epoch 4); repaired the pointer" in result.stderr
    assert {name: Path("run/checkpoints", name).read_text() for name in pointers} == pointers


def test_resume_refuses_a_folder_that_is_no_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine/tensorboard").mkdir(parents=True)
    shutil.move(interrupted.write_config(tmp_path, "lstm"), "mine/config.yaml")
    Path("mine/metrics.csv").write_text("mine")
    before = tree(Path("mine"))
    result = rnncli("train", "--resume", "mine")
    assert result.exit_code == 2
    assert "mine: not a run directory: " in result.stderr
    assert tree(Path("mine")) == before


def test_resume_refuses_links_deep_in_a_run(stopped, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (stopped / "tensorboard").mkdir()
    (stopped / "tensorboard" / "train").symlink_to(tmp_path / "elsewhere")
    assert "tensorboard/train: a link" in rnncli("train", "--resume", "run").stderr


def test_resume_removes_temporary_files_beside_logs(stopped):
    leftover = stopped / ".metrics.jsonl-0123456789abcdef"
    leftover.write_text("half")
    (stopped / ".mine").write_text("mine")
    assert rnncli("train", "--resume", "run", "--quiet").exit_code == 0
    assert not leftover.exists()
    assert (stopped / ".mine").exists()


def test_resume_warns_of_a_missing_log(stopped):
    (stopped / "metrics.jsonl").unlink()
    result = rnncli("train", "--resume", "run", "--quiet")
    assert result.exit_code == 0
    assert "run/metrics.jsonl: has only 0 of the 2 epochs" in result.stderr


def test_resume_notices_a_changed_config(stopped):
    config = stopped / "config.yaml"
    config.write_text(config.read_text().replace("clip_norm: 1.0", "clip_norm: 2.0"))
    words = "training.clip_norm was 1.0 "
    assert words in rnncli("train", "--resume", "run").stderr
    assert re.search(rf"wrong  manifest\.json: .*{words}", rnncli("verify", "run").stdout)


def test_logs_are_synced_before_the_checkpoint(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("rnncli.runs.directory.sync", lambda path: synced.append(path.name))
    monkeypatch.setattr(checkpoints.Checkpoints, "save", lambda *_: synced.append("checkpoint"))
    monkeypatch.chdir(tmp_path)
    Path("run/tensorboard/train").mkdir(parents=True)
    for name in ("metrics.jsonl", "metrics.csv", "tensorboard/train/events.out.tfevents.1"):
        Path("run", name).touch()
    RunDir(Path("run")).save_checkpoint(TrainState(step=1), {}, best=True)
    assert synced[:3] == ["metrics.jsonl", "metrics.csv", "events.out.tfevents.1"]
    assert sorted(synced[3:-1]) == ["run", "train"]
    assert synced[-1] == "checkpoint"


def test_unwritable_tensorboard_log_is_named(stopped):
    (stopped / "tensorboard").write_text("in the way")
    result = rnncli("train", "--resume", "run", "--set", "training.tensorboard=true", "--quiet")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: run/tensorboard: cannot be written: ")
    assert resumed(stopped).state.step == 16


def test_tensorboard_log_has_each_epoch_when_it_has_ended(tmp_path, monkeypatch):
    sizes = []

    class Look(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            found = sorted(Path("run/tensorboard/train").glob("events.*"))
            sizes.append(found[0].stat().st_size if found else 0)

    monkeypatch.chdir(tmp_path)
    interrupted.write_config(tmp_path, "lstm")
    monkeypatch.setattr("rnncli.training.progress.Progress", lambda *_, **__: Look())
    arguments = ("train", "config.yaml", "--run-dir", "run", "--set", "training.tensorboard=true")
    assert rnncli(*arguments).exit_code == 0
    assert sizes == sorted(set(sizes))
    assert len(sizes) == 4


def test_resume_refuses_a_fifo_in_a_run_without_waiting(stopped):
    (stopped / "tensorboard").mkdir()
    os.mkfifo(stopped / "tensorboard" / "events.out.tfevents.1")
    assert "events.out.tfevents.1: neither a file nor a directory" in rnncli("train", "--resume", "run").stderr
    RunDir(stopped).save_checkpoint(TrainState(step=99), {}, best=False)


def test_unreadable_csv_log_is_named(stopped):
    (stopped / "metrics.csv").write_bytes(b"a\xff\n")
    result = rnncli("train", "--resume", "run", "--quiet")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: run/metrics.csv: cannot be written: 'utf-8' codec can't decode")
    assert "training.csv_log: false" in result.stderr


def test_manifest_with_a_config_that_is_not_text_is_refused(stopped):
    manifest = json.loads((stopped / "manifest.json").read_text())
    (stopped / "manifest.json").write_text(json.dumps({**manifest, "config": 7}))
    for command in (("train", "--resume", "run"), ("verify", "run")):
        assert "manifest.json: config is not the text of a config" in rnncli(*command).output
