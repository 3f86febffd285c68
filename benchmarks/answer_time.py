"""Time an answer from the shell, by an export and by TensorFlow: `python benchmarks/answer_time.py RUN WORD`.

With --words it times files of so many words too, so that one sees where TensorFlow becomes the faster.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def seconds(*arguments: str) -> float:
    """The seconds that `rnncli predict` takes as a process."""
    command = [sys.executable, "-m", "rnncli", "predict", *arguments, "-q"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment, cwd=ROOT)
    return time.perf_counter() - began


def compare(what: str, rounds: int, *arguments: str) -> None:
    """Print the median and the range of each backend, measured in turns."""
    times: dict[str, list[float]] = {"onnx": [], "tensorflow": []}
    for _ in range(rounds):
        for backend, taken in times.items():
            taken.append(seconds(*arguments, "--backend", backend))
    shown = (f"{statistics.median(t):.2f} s ({min(t):.2f} to {max(t):.2f})" for t in times.values())
    print(f"| {what} | {' | '.join(shown)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="a run that holds an export")
    parser.add_argument("word", help="a source")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--words", default="1000,20000", help="numbers of words, separated by commas")
    options = parser.parse_args()
    options.run = str(Path(options.run).resolve())
    print("| words | onnx | tensorflow |\n|---|---|---|")
    compare("1", options.rounds, options.run, options.word)
    for count in map(int, filter(None, options.words.split(","))):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "words.txt"
            path.write_text(f"{options.word}\n" * count)
            compare(f"{count:,}", max(1, options.rounds // 2), options.run, "--input", str(path))


if __name__ == "__main__":
    main()
