"""Files of strangers, mutated: read or refused, in no time and in little memory. `run.py` does one kind of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
MOST_MEGABYTES = 200
FEW = {"configs": 400, "data": 200, "stored": 200}
MANY = [
    *("configs", "data", "npz", "hdf5", "safetensors", "final states", "checkpoint arrays", "config.yaml"),
    *("manifest.json", "vocabulary.json", "checkpoint.json", "metrics.jsonl", "pointers"),
]


def fuzz(target, count, seed):
    command = [sys.executable, FOLDER / "run.py", target, str(count), "--seed", str(seed)]
    ended = subprocess.run(
        command, env={"PYTHONPATH": str(FOLDER.parent.parent)}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-6000:]
    report = json.loads(ended.stdout)
    assert report["mutants"] == report["accepted"] + report["refused"] >= count
    assert min(report["accepted"], report["refused"]) > 0, "mutants of both kinds tell more"
    assert report["peak_mb"] < MOST_MEGABYTES
    return report


@pytest.mark.long
@pytest.mark.parametrize("target", FEW)
def test_some_mutants_are_read_or_refused(target):
    fuzz(target, FEW[target], seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("target", MANY)
def test_many_mutants_are_read_or_refused(target):
    print(fuzz(target, 10_000, seed=1))


@pytest.mark.long
def test_a_reader_that_fails_or_hangs_is_found(tmp_path):
    broken = (FOLDER / "run.py").read_text().replace("read(*arguments)", "{}")
    for name in ("mutate.py", "stored.py"):
        (tmp_path / name).write_text((FOLDER / name).read_text())
    targets = (FOLDER / "targets.py").read_text().replace("__file__", repr(str(FOLDER / "targets.py")))
    (tmp_path / "targets.py").write_text(targets)
    for fault, word in (("json.loads('{')", "JSONDecodeError"), ("while True: pass", "HangError: SIGPROF")):
        (tmp_path / "run.py").write_text(broken.replace("{}", fault, 1))
        command = [sys.executable, tmp_path / "run.py", "configs", "3"]
        environment = {"PYTHONPATH": str(FOLDER.parent.parent)}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        assert word in ended.stderr
        assert len(ended.stderr) < 10_000
