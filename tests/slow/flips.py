"""Flip every single bit of a checkpoint and of the pointers, and see that resuming passes over it and verify sees it.

    python tests/slow/flips.py [--every N] [--files NAME...]

It trains a tiny run of two checkpoints, flips each bit (or every Nth) of each file of the newer one, and asks in this
process what `train --resume` would resume from, and what `verify` says. The exit status is 1 if anything was missed.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rnncli.runs.directory import RunDir
from rnncli.runs.resume import find_resume_point
from rnncli.runs.verification import Verification

CONFIG = """
task: {type: addition, digits: 1, examples: 40, held_out: 8}
model: {type: encoder_decoder, encoder: {units: 2}, decoder: {units: 2}}
training: {epochs: 2, batch_size: 8, optimizer: sgd}
checkpoint: {every: 6 steps}
"""


def train(folder):
    """Train and stop, so that the newest checkpoint is within an epoch and has losses; return the run."""
    (folder / "config.yaml").write_text(CONFIG)
    code = (
        "from pathlib import Path\nfrom rnncli import claim_process\nfrom rnncli.config import load_config\n"
        "from rnncli.training.interruption import Stop\nfrom rnncli.training.inputs import TrainingInputs\n"
        "from rnncli.training.job import TrainingJob\n"
        "claim_process()\n"
        "with TrainingJob.new(TrainingInputs.read(load_config('config.yaml')), Path('run')) as job:"
        " job.run(stop=Stop(7))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    return RunDir(folder / "run")


def resume_step(run, config, task):
    """The step that training would resume from."""
    return find_resume_point(run, config, task).checkpoint.step


def flips(path, every):
    """Write a file with one bit flipped, for each bit; at the end it is as before."""
    data = path.read_bytes()
    for bit in range(0, 8 * len(data), every):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        yield bit
    path.write_bytes(data)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--every", type=int, default=1, help="flip every Nth bit only")
    parser.add_argument(
        "--files", nargs="+", help="flip bits of these files only, such as weights.safetensors or last"
    )
    given = parser.parse_args()
    every = given.every
    tried = missed = 0
    with tempfile.TemporaryDirectory() as folder:
        run = train(Path(folder))
        newest, before = (int(name) for name in run.checkpoints.names()[:2])
        assert Verification(run).valid
        config = run.read_config()
        task = run.read_task(config)
        assert resume_step(run, config, task) == newest
        inside = sorted((run.checkpoints.path / f"{newest:08d}").iterdir())
        for path in (*inside, run.checkpoints.path / "last", run.checkpoints.path / "best"):
            if given.files and path.name not in given.files:
                continue
            began, count, wrong = time.monotonic(), 0, 0
            for bit in flips(path, every):
                count += 1
                expected = before if path in inside else newest
                found, valid = resume_step(run, config, task), Verification(run).valid
                if found != expected or valid:
                    wrong += 1
                    print(f"{path.name}, bit {bit}: resumes from {found}, valid {valid}", flush=True)
            print(f"{path.name}: {count} flips, {wrong} missed, {time.monotonic() - began:.0f} s", flush=True)
            tried, missed = tried + count, missed + wrong
        assert Verification(run).valid
    print(f"{tried} flips, {missed} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
