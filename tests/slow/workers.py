"""Workers that are killed, stopped and told to stop, at moments drawn from a seed: a script, for some minutes.

`PYTHONPATH=. python tests/slow/workers.py [--kills 20] [--workers 2] [--signals]`

A config is trained on workers of this machine once without a kill. Then it is trained again, and a worker drawn by
chance is killed by SIGKILL at an instant drawn by chance; the others must end by themselves within 15 seconds, with
one error line that names the killed one, and exit status 1. `--resume` goes on, and is killed likewise, until the run
is at its end: with the weights (by `weights_digest`) and the metrics of the run that nobody killed. If kills are
left, it begins again. `--signals` sends SIGTERM, SIGINT and SIGSTOP to each worker, and to the process that started
them. The exit status is 1 if anything was wrong.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rnncli.runs.arrays import weights_digest
from rnncli.runs.checkpoints import Checkpoints

CONFIG = """\
task: {type: addition, digits: 2, examples: 2000, held_out: 200}
model: {type: classifier, cell: gru, units: 8, dropout: 0.1}
training: {epochs: 40, batch_size: 32, clip_norm: 1.0}
checkpoint: {every: 50 steps}
"""
MAX_SECONDS = 15.0
LAUNCHER = "launcher"


class Training:
    """A training on workers of this machine."""

    def __init__(self, folder, workers, run, resume=False):
        what = ["--resume", run] if resume else ["config.yaml", "--run-dir", run, "--workers", str(workers)]
        self.error = tempfile.TemporaryFile()  # noqa: SIM115 (read at the end)
        self.launcher = subprocess.Popen(
            [sys.executable, "-m", "rnncli", "train", "--quiet", *what],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=self.error,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # ignored in the background
        )
        self.pids = []
        while len(self.pids) < workers and self.launcher.poll() is None:
            time.sleep(0.05)
            found = Path(f"/proc/{self.launcher.pid}/task/{self.launcher.pid}/children")
            self.pids = [int(pid) for pid in found.read_text().split()] if found.exists() else []

    def send(self, number, whom):
        """Send a signal to a worker, or to the launcher; returns when the others had ended, in seconds."""
        pid = self.launcher.pid if whom == LAUNCHER else self.pids[whom]
        os.kill(pid, number)
        began = time.monotonic()
        others = [each for each in self.pids if each != pid or number != signal.SIGSTOP]
        while any(map(alive, others)):
            time.sleep(0.02)
            if time.monotonic() - began > 60:
                break
        return time.monotonic() - began

    def end(self):
        """Return the exit status and what was printed to stderr."""
        status = self.launcher.wait()
        for pid in filter(alive, self.pids):
            os.kill(pid, signal.SIGKILL)
        self.error.seek(0)
        return status, self.error.read().decode().strip()


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z"


def result(run):
    """The digest of the last weights, and the metrics of every epoch but times."""
    found, _ = Checkpoints(run).newest_sound()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    times = ("seconds", "examples_per_second")
    return weights_digest(found.arrays["weights.safetensors"]), [
        {key: value for key, value in line.items() if key not in times} for line in lines
    ]


def wait_for_checkpoint(training, run):
    while training.launcher.poll() is None and not Checkpoints(run).names():
        time.sleep(0.05)


def kill_and_resume(folder, given, expected, whole):
    generator, kills, wrong, longest = random.Random(given.seed), 0, 0, 0.0
    while kills < given.kills:
        run, resume = folder / "killed", False
        shutil.rmtree(run, ignore_errors=True)
        while True:
            training = Training(folder, given.workers, run, resume)
            wait_for_checkpoint(training, run)
            try:
                training.launcher.wait(generator.uniform(0.0, 0.6) * whole)
            except subprocess.TimeoutExpired:
                if kills == given.kills:
                    training.launcher.wait()
            if training.launcher.poll() is not None:
                status, error = training.end()
                same = status == 0 and result(run) == expected
                wrong += not same
                print(
                    f"ended with status {status}: {'the same bits' if same else 'ANOTHER RESULT'} {error}", flush=True
                )
                break
            who, resume = generator.randrange(given.workers), True
            seconds, kills = training.send(signal.SIGKILL, who), kills + 1
            status, error = training.end()
            longest = max(longest, seconds)
            told = [line for line in error.splitlines() if "error:" in line]
            right = seconds <= MAX_SECONDS and status == 1 and len(told) == 1 and f"worker {who} (" in told[0]
            wrong += not right
            print(f"kill {kills} of worker {who}: others ended after {seconds:.1f} s, status {status}", flush=True)
            if not right:
                print(f"  WRONG: {error}", flush=True)
    print(f"{kills} kills, others ended after {longest:.1f} s at most")
    return wrong


def send_signals(folder, given):
    wrong = 0
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGSTOP, 1)):
        for whom in (*range(given.workers), *([] if number == signal.SIGSTOP else [LAUNCHER])):
            run = folder / f"{number.name}-{whom}"
            training = Training(folder, given.workers, run)
            wait_for_checkpoint(training, run)
            time.sleep(1)
            seconds = training.send(number, whom)
            ended, error = training.end()
            right = ended == status and seconds <= MAX_SECONDS and len(Checkpoints(run).names()) > 0
            wrong += not right
            print(f"{number.name} to {whom}: ended after {seconds:.1f} s, status {ended}: {error}", flush=True)
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--signals", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, wrong = Path(name), 0
        (folder / "config.yaml").write_text(CONFIG)
        if given.signals:
            wrong += send_signals(folder, given)
        if given.kills:
            training = Training(folder, given.workers, folder / "whole")
            wait_for_checkpoint(training, folder / "whole")
            began = time.monotonic()
            status, error = training.end()
            if status:
                print(error)
                return 1
            whole = time.monotonic() - began
            print(f"{given.workers} workers trained for {whole:.0f} s after the first checkpoint", flush=True)
            wrong += kill_and_resume(folder, given, result(folder / "whole"), whole)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
