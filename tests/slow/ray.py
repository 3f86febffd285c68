"""Training and a sweep on a Ray cluster of this machine, with a worker that is killed: a script, for some minutes.

`PYTHONPATH=. python tests/slow/ray.py [train] [stop] [sweep]`; without a word all of them. It needs the extra `ray`.

- `train`: a config is trained on two workers, once without a kill, and once with a SIGKILL of the second worker's
  process when there is a checkpoint. That must go on by itself, and end with the same weights (by `weights_digest`)
  and metrics.
- `stop`: Ctrl-C at the driver must end both workers with a checkpoint and status 130; `--resume` goes on, to the same
  end.
- `sweep`: a sweep of six trials on a cluster that another process has started, of whose trainings one is killed, must
  end with six complete trials.

The exit status is 1 if anything was wrong.
"""

import json
import os
import secrets
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
training: {epochs: 30, batch_size: 32, clip_norm: 1.0}
checkpoint: {every: 50 steps}
"""
SWEEP = """\
config: config.yaml
set: {training.epochs: 8}
space: {training.learning_rate: {log: [1e-3, 1e-1]}}
sampler: random
trials: 6
"""
PORT = 26379
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
TRAIN = ("train", "--engine", "ray", "--quiet")


class Command:
    """A command of rnncli's in a folder, and in a session of its own."""

    def __init__(self, folder, *arguments):
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rnncli", *arguments],
            cwd=folder,
            env={**os.environ, **TOKEN, "HOME": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # ignored in the background
        )

    def end(self):
        """Return the exit status and what was printed, which is shown."""
        out, err = self.process.communicate()
        seconds = time.monotonic() - self.began
        print(f"  status {self.process.returncode} after {seconds:.0f} s, stdout {out.split()}", flush=True)
        print("".join(f"  | {line}\n" for line in err.splitlines()), end="", flush=True)
        return self.process.returncode, out, err


def result(run):
    """The digest of the last weights, and the metrics of every epoch but times."""
    found, _ = Checkpoints(run).newest_sound()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    times = ("seconds", "examples_per_second")
    return weights_digest(found.arrays["weights.safetensors"]), [
        {key: value for key, value in line.items() if key not in times} for line in lines
    ]


def trainings(run):
    """The processes that train a run, by the number of the worker; that of a sweep has none."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            variables = dict(
                each.split(b"=", 1) for each in (path / "environ").read_bytes().split(b"\0") if b"=" in each
            )
        except OSError:
            continue
        here = b"RNNCLI_LIFELINE" in variables and {b"--run-dir", b"--resume"} & set(words)
        if here and str(run).encode() in words:
            config = json.loads(variables.get(b"TF_CONFIG", b'{"task": {"index": 0}}'))
            found[config["task"]["index"]] = int(path.name)
    return found


def wait_for_checkpoint(command, place):
    while command.process.poll() is None and not Checkpoints(place).names():
        time.sleep(0.1)


def check_train(folder):
    print("two workers, uninterrupted", flush=True)
    status, out, _ = Command(folder, *TRAIN, "config.yaml", "--workers", "2", "--run-dir", "whole").end()
    whole = result(folder / "whole")
    print(f"  digest {whole[0]}")
    print("two workers, and the second one killed", flush=True)
    command = Command(folder, *TRAIN, "config.yaml", "--workers", "2", "--run-dir", "killed", "--restarts", "2")
    wait_for_checkpoint(command, folder / "killed")
    os.kill(trainings("killed")[1], signal.SIGKILL)
    print(f"  SIGKILL after {time.monotonic() - command.began:.0f} s", flush=True)
    killed, out_of_killed, err = command.end()
    print(f"  digest {result(folder / 'killed')[0]}")
    same = result(folder / "killed") == whole
    told = "worker 1 was killed by SIGKILL; all workers start again (restart 1 of 2)" in err
    return (status, out, killed, out_of_killed, same, told) == (0, "whole\n", 0, "killed\n", True, True)


def check_stop(folder):
    print("Ctrl-C at the driver", flush=True)
    command = Command(folder, *TRAIN, "config.yaml", "--workers", "2", "--run-dir", "stopped")
    wait_for_checkpoint(command, folder / "stopped")
    command.process.send_signal(signal.SIGINT)
    stopped, out, err = command.end()
    left = trainings("stopped")
    resumed, _, _ = Command(folder, *TRAIN, "--resume", "stopped").end()
    state = result(folder / "stopped")
    print(f"  digest {state[0]}")
    same = not (folder / "whole").exists() or state == result(folder / "whole")
    return (stopped, out, left, resumed, same) == (130, "", {}, 0, True) and "stopped at step" in err


def check_sweep(folder):
    print("a sweep of six trials on a cluster that is there, one training killed", flush=True)
    environment = {**os.environ, **TOKEN, "HOME": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}
    ray = [str(Path(sys.executable).with_name("ray"))]
    start = ["start", "--head", f"--port={PORT}", "--num-cpus=2", "--include-dashboard=false", "--block"]
    with (
        tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as place,
        subprocess.Popen(
            [*ray, *start, f"--temp-dir={place}"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as head,
    ):
        try:
            time.sleep(20)
            arguments = ("sweep", "sweep.yaml", "--dir", "sweep", "--engine", "ray")
            command = Command(folder, *arguments, "--ray-address", f"127.0.0.1:{PORT}")
            wait_for_checkpoint(command, folder / "sweep/trials/0001")
            for process in trainings("sweep/trials/0001").values():
                os.kill(process, signal.SIGKILL)
                print(f"  SIGKILL of trial 1 after {time.monotonic() - command.began:.0f} s", flush=True)
            status, out, _ = command.end()
        finally:
            head.send_signal(signal.SIGTERM)
    from rnncli.sweep.study import Sweep

    trials = Sweep(folder / "sweep", read_only=True).trials()
    for trial in trials:
        print(f"  trial {trial.number} {trial.state.name} {trial.value} {trial.params}")
    return (status, out) == (0, "sweep\n") and [trial.state.name for trial in trials] == ["COMPLETE"] * 6


CHECKS = {"train": check_train, "stop": check_stop, "sweep": check_sweep}


def main():
    names = sys.argv[1:] or list(CHECKS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.yaml").write_text(CONFIG)
        (folder / "sweep.yaml").write_text(SWEEP)
        wrong = [each for each in names if not CHECKS[each](folder)]
    print(f"wrong: {', '.join(wrong)}" if wrong else f"right: {', '.join(names)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
