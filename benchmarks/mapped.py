"""Training on pairs in mapped files: time to read, bytes of the cache, peak of memory, examples a second.

    python benchmarks/mapped.py                                  # 100,000 and 1,000,000 pairs
    python benchmarks/mapped.py 100000 10000000 --steps 2000
    python benchmarks/mapped.py 100000 --data memory             # to compare

Each count is a training file of numbers of 7 digits and their digits backwards, and a held-out file of 1,000. It is
read twice in processes of their own, first into an empty cache and then from it, and trained for some steps. Other
processes change the seconds; examples a second of processor time (`cpu`) suffer less.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))

from pair_reading import UNIT, write_data  # noqa: E402

CONFIG = """\
task: {type: pairs, train: train.tsv, validation: validation.tsv, max_source_length: 8, max_target_length: 8}
model: {type: encoder_decoder, cell: gru, encoder: {units: 32}, decoder: {units: 32}}
training: {epochs: 1000, batch_size: 128}
runtime: {cores: 1}
"""
MIN_STEPS = 50
"""Steps whose calls are not timed: the first one compiles, and calls grow to their length."""


def peak_mib() -> int:
    """Return the peak of this process's resident memory, mapped files included."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT / 2**20)


def measure(folder: Path, data: str, steps: int) -> dict[str, Any]:
    """Read the task of a folder, and train some steps if there are any; return the figures."""
    from rnncli.config import load_config
    from rnncli.training.inputs import TrainingInputs

    began, cpu = time.perf_counter(), time.process_time()
    inputs = TrainingInputs.read(load_config(str(folder / "config.yaml"), [f"task.data={data}"]))
    figures: dict[str, Any] = {
        "read_seconds": round(time.perf_counter() - began, 2),
        "read_cpu": round(time.process_time() - cpu, 2),
        "read_peak_mib": peak_mib(),
    }
    return {**figures, **train(inputs, folder, steps)} if steps else figures


def train(inputs: Any, folder: Path, steps: int) -> dict[str, Any]:
    """Train some steps; return the figures."""
    import keras

    from rnncli.training.interruption import Stop
    from rnncli.training.job import TrainingJob

    class Clock(keras.callbacks.Callback):
        """Adds up the times of calls, without those of validation and of checkpoints, and their steps."""

        def __init__(self) -> None:
            super().__init__()
            self.all_steps = self.steps = 0
            self.seconds = self.cpu = 0.0

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            """Begin a call."""
            self.began = batch, time.perf_counter(), time.process_time()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            """Add it."""
            first, seconds, cpu = self.began
            if self.all_steps >= MIN_STEPS:
                self.steps += batch + 1 - first
                self.seconds += time.perf_counter() - seconds
                self.cpu += time.process_time() - cpu
            self.all_steps += batch + 1 - first

    clock = Clock()
    with TrainingJob.new(inputs, folder / f"run{time.time_ns()}") as job:
        job.run([clock], stop=Stop(MIN_STEPS + steps))
    rows = inputs.config.training.batch_size
    return {
        "steps": clock.steps,
        "examples_per_second": round(clock.steps * rows / clock.seconds),
        "examples_per_cpu_second": round(clock.steps * rows / clock.cpu),
        "peak_mib": peak_mib(),
    }


def run(folder: Path, data: str, steps: int) -> dict[str, Any]:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--measure", str(folder), "--data", data, "--steps", str(steps)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Print the figures of each count."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("counts", nargs="*", type=int, default=[100_000, 1_000_000])
    parser.add_argument("--steps", type=int, default=1000, help="steps that are timed")
    parser.add_argument("--data", choices=["mapped", "memory"], default="mapped", help="task.data")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure, given.data, given.steps)))
        return
    for count in given.counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_data(folder, count)
            (folder / "config.yaml").write_text(CONFIG)
            print(f"{count:,} pairs, {given.data}")
            print("  first: ", run(folder, given.data, 0))
            size = sum(each.stat().st_size for each in (folder / "cache").rglob("*") if each.is_file())
            print(f"  cache:  {size / 1e6:.1f} MB, {size / count:.1f} bytes a pair")
            for _ in range(2):
                print("  later: ", run(folder, given.data, given.steps), flush=True)


if __name__ == "__main__":
    main()
