"""`rnncli verify`: a run directory is checked, and that a config resumes exactly is proved."""

import os
import signal
import sys

import interrupted_training as interrupted
import numpy as np
import pytest
from interrupted_training import rnncli

from rnncli.runs.train_state import TrainState
from rnncli.training.interruption import Stopped

pytestmark = pytest.mark.usefixtures("runtime")


def test_verify_accepts_a_sound_run(stopped):
    result = rnncli("verify", "run")
    assert result.exit_code == 0, result.stdout
    lines = result.stdout.splitlines()
    assert {line.split()[0] for line in lines} == {"ok"}
    assert "ok     checkpoints/00000016 in the model" in lines


def widen(path):
    path.write_text(path.read_text().replace("units: 6", "units: 7"))


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("config.yaml", lambda path: path.write_text("task: ["), "wrong  config.yaml:"),
        ("config.yaml", widen, "wrong  checkpoints/00000016 in the model: weights.safetensors"),
        ("vocabulary.json", interrupted.halve, "wrong  vocabulary.json:"),
        ("manifest.json", interrupted.halve, "wrong  manifest.json:"),
        ("checkpoints/00000016/optimizer.safetensors", interrupted.flip, "wrong  checkpoints/00000016:"),
        ("checkpoints/00000016/losses.safetensors", os.remove, "wrong  checkpoints/00000016:"),
        ("checkpoints/best", os.remove, "wrong  checkpoints/best:"),
        ("checkpoints/last", lambda path: path.write_text("00000099"), "wrong  checkpoints/last:"),
        ("metrics.jsonl", interrupted.halve, "wrong  metrics.jsonl: line 2 "),
        ("metrics.jsonl", os.remove, "wrong  metrics.jsonl: has 0 epochs"),
    ],
)
def test_verify_names_the_damaged_file(stopped, name, damage, said):
    damage(stopped / name)
    result = rnncli("verify", "run")
    assert result.exit_code == 1
    assert said in result.stdout


def test_what_is_no_run_is_refused(tmp_path):
    result = rnncli("verify", tmp_path / "nothing")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no such run directory" in result.stderr


def test_verify_resume_ends_at_sigterm(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    interrupted.write_config(tmp_path, "lstm")
    monkeypatch.setattr("rnncli.training.loop.train", lambda *_, **__: Stopped(3, 24, signal.SIGTERM))
    result = rnncli("verify", "--resume", "config.yaml")
    assert (result.exit_code, result.stdout) == (143, ""), result.stderr


def test_verify_resume_without_a_package_that_the_config_needs_is_refused(tmp_path, monkeypatch):
    interrupted.write_config(tmp_path, "lstm", "{epochs: 1, tensorboard: true}")
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = rnncli("verify", "--resume", tmp_path / "config.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "tensorboard" in result.stderr


def test_verify_quiet_prints_only_problems(stopped):
    assert rnncli("verify", "run", "--quiet").stdout == ""
    interrupted.halve(stopped / "manifest.json")
    result = rnncli("verify", "run", "--quiet")
    assert result.exit_code == 1
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [["wrong", "manifest.json:"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--resume CONFIG"),
        (["run", "--set", "a=b"], "--resume"),
        (["run", "--device", "cpu"], "--resume"),
        (["--resume", "config.yaml", "--trust-code"], "--trust-code"),
    ],
)
def test_verify_refuses_options_of_its_other_mode(stopped, arguments, said):
    result = rnncli("verify", *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.long
def test_verify_resume_finds_equal_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    interrupted.write_config(tmp_path, "lstm")
    result = rnncli("verify", "--resume", "config.yaml", "--set", "model.encoder.units=5")
    assert result.exit_code == 0, result.stderr
    (one, whole), (two, pieces), equal = [line.split("  ") for line in result.stdout.splitlines()[:2]] + [
        result.stdout.splitlines()[2]
    ]
    assert (whole, pieces, equal) == ("9 steps", "4 steps, a checkpoint, 5 steps", "equal")
    assert one == two
    assert len(one) == 64


def test_verify_resume_finds_different_weights(tmp_path, monkeypatch):
    def train(_inputs, directory, *_):
        """Every time other weights."""
        weights.append(np.full(3, len(weights), np.float32))
        arrays = {"weights.safetensors": {"kernel": weights[-1]}, "optimizer.safetensors": {}}
        directory.save_checkpoint(TrainState(step=len(weights)), arrays, True)

    weights = []
    monkeypatch.chdir(tmp_path)
    interrupted.write_config(tmp_path, "lstm")
    monkeypatch.setattr("rnncli.training.loop.train", train)
    result = rnncli("verify", "--resume", "config.yaml")
    assert result.exit_code == 1, result.stderr
    assert result.stdout.endswith("different\n")
    one, two, _ = result.stdout.splitlines()
    assert one.split()[0] != two.split()[0]
