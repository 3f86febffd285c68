"""Memory and time of reading files of pairs, up to the arrays that training uses: no TensorFlow.

    python benchmarks/pair_reading.py 100000 1000000 [--package FOLDER]

A training file of so many pairs of 7 + 7 digits is made, and a held-out file of 1,000. Each count is read in a
process of its own. `--package` names the folder of another version of rnncli, to compare.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = """\
task: {type: pairs, train: train.tsv, validation: validation.tsv}
model: {type: encoder_decoder, encoder: {units: 32}, decoder: {units: 32}}
"""
UNIT = 1024 if sys.platform == "linux" else 1
"""Bytes of the unit that the system counts the peak in."""


def write_data(folder: Path, count: int) -> None:
    """Write the files of a task of that many training pairs: a number, and its digits backwards."""
    (folder / "config.yaml").write_text(CONFIG)
    for name, numbers in (
        ("train", range(1_000_000, 1_000_000 + count)),
        ("validation", range(1_000_500 + count, 1_001_500 + count)),
    ):
        with (folder / f"{name}.tsv").open("w") as file:
            file.writelines(f"{number}\t{str(number)[::-1]}\n" for number in numbers)


def peak() -> int:
    """Return the peak of this process's resident memory in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


def measure(folder: Path) -> dict[str, float | str]:
    """Read the task of a folder and return its figures."""
    from rnncli.config import load_config
    from rnncli.data.examples import ARRAYS
    from rnncli.data.tasks import build_task

    config = load_config(str(folder / "config.yaml"))
    before, began, cpu = peak(), time.perf_counter(), time.process_time()
    train, held_out = build_task(config).splits()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    arrays = [getattr(train, name) for name in ARRAYS]
    digest = hashlib.sha256(b"".join(array.tobytes() for array in [*arrays, held_out.source, held_out.target]))
    return {
        "seconds": round(seconds, 2),
        "cpu": round(cpu, 2),
        "bytes_per_pair": round((peak() - before) / len(train)),
        "encoded": round(sum(array.nbytes for array in arrays) / len(train)),
        "peak_mib": round(peak() / 2**20),
        "digest": digest.hexdigest()[:12],
    }


def main() -> None:
    """Print a line for each count."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("counts", nargs="*", type=int, default=[100_000, 1_000_000])
    parser.add_argument("--package", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.measure)))
        return
    for count in given.counts:
        with tempfile.TemporaryDirectory() as folder:
            write_data(Path(folder), count)
            command = [sys.executable, __file__, "--measure", folder]
            environment = {**os.environ, "PYTHONPATH": str(given.package)}
            done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        print(f"{count:,} pairs:", done.stdout.strip(), flush=True)


if __name__ == "__main__":
    main()
