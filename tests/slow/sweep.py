"""A sweep of 12 trials that is killed three times, with its trainings: a script, for some minutes.

`PYTHONPATH=. python tests/slow/sweep.py [--kills 3]`

The sweep is trained once without a kill, and once with kills by SIGKILL, of the sweep and of the training that it has
started, at moments drawn from a seed. Both must have the same 12 trials: settings, seeds, metrics of every epoch, and
weights by `weights_digest`. The exit status is 1 if they differ.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rnncli.runs.arrays import weights_digest
from rnncli.runs.directory import RunDir

BASE = """\
task: {type: addition, digits: 1, examples: 50, held_out: 10}
model: {type: encoder_decoder, encoder: {units: 4}, decoder: {units: 4}}
training: {epochs: 4, batch_size: 16}
checkpoint: {every: epoch}
"""
SWEEP = """\
config: base.yaml
space:
  training.learning_rate: {log: [1e-3, 3e-1]}
  model.cell: [lstm, gru]
seeds: [0, 1]
sampler: tpe
pruning: median
trials: 12
"""
UNREPEATABLE = ("seconds", "examples_per_second")


def start(folder, name):
    """Start the sweep, or go on with it, in a session of its own."""
    command = [sys.executable, "-m", "rnncli", "sweep", "sweep.yaml", "--dir", name]
    return subprocess.Popen(command, cwd=folder, start_new_session=True)


def found(folder, name):
    """All that must be the same, of every trial."""
    from rnncli.sweep.study import Sweep

    sweep = Sweep(folder / name)
    trials = []
    for trial in sweep.trials():
        run = sweep.run_of(trial.number)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        epochs = [{key: value for key, value in line.items() if key not in UNREPEATABLE} for line in lines]
        if trial.state.name == "PRUNED":  # it may have gone further before it was told to stop
            last = max(trial.intermediate_values)
            trials.append((trial.number, "PRUNED", trial.params, trial.intermediate_values, epochs[:last]))
        else:
            digest = weights_digest(RunDir(run).load().weights)
            trials.append((trial.number, trial.state.name, trial.params, trial.value, epochs, digest))
    return trials


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    generator = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "base.yaml").write_text(BASE)
        (folder / "sweep.yaml").write_text(SWEEP)
        began = time.monotonic()
        if start(folder, "whole").wait():
            return 1
        whole = time.monotonic() - began
        print(f"12 trials in {whole:.0f} s", flush=True)
        for kill in range(given.kills):
            process = start(folder, "killed")
            try:
                process.wait(generator.uniform(0.1, 0.3) * whole)
                print("ended before it was killed", flush=True)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                print(f"kill {kill + 1}", flush=True)
        if start(folder, "killed").wait():
            return 1
        one, other = found(folder, "whole"), found(folder, "killed")
        for trial in other:
            print(*trial[:4], flush=True)
        same = one == other and len(other) == 12
        print("the same 12 trials" if same else "the trials differ")
        return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
