"""Another checkout of rnncli beside this one, as one markdown table: `python benchmarks/versions.py CHECKOUT`.

Rounds are interleaved (the other, this, the other, ...), each in a process of its own with a cache of its own, and
medians are compared. `--only epoch,start` measures some rows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from contest import ROOT, Bench, FailedError, reached, settings

SOURCES = 100_000
TEXTS, MAX_STEPS = 640, 500


class Checkout(Bench):
    """A checkout, measured by its own commands on its own configs.

    Args:
        root: Its folder.
        options: Those of the command line.
        folder: For files.
    """

    def __init__(self, root: Path, options: argparse.Namespace, folder: Path) -> None:
        super().__init__(options, folder, root)
        self.script = next(root.rglob("benchmarks/ours.py"))
        self.long_config = long_config(self)
        self.run_of_sums: Path | None = None
        self.kept: Path | None = None

    def config(self, name: str) -> Path:
        """Return one of its configs."""
        return self.root / "configs" / f"{name}.yaml"

    def epoch(self) -> dict[str, float]:
        """Seconds of the second epoch, as training logs them."""
        found = {}
        for what, config, batch in (
            ("sums, batch 128", self.config("addition_repeat_vector"), 128),
            ("sums, batch 32", self.config("addition_repeat_vector"), 32),
            ("small GRU, batch 32", self.config("addition_small"), 32),
            ("dates, attention", self.config("dates"), 64),
            ("texts of 250 to 500 steps", self.long_config, 64),
        ):
            keys = settings(training__epochs=2, training__batch_size=batch)
            _, metrics = self.trained(config, *keys)
            found[f"epoch of {what}"] = metrics[1]["seconds"]
        return found

    def start(self) -> dict[str, float]:
        """Seconds from the command to the first training step."""
        if self.kept is None:  # a whole epoch, since compilations are kept after one or at the end
            self.kept = self.new("cache")
            self.train(self.config("addition_repeat_vector"), *settings(training__epochs=1), cache=self.kept)[
                0
            ].wait()
        return {
            "first step, compilations kept": self._first_step(self.kept),
            "first step, nothing compiled": self._first_step(self.new("cache")),
        }

    def _first_step(self, cache: Path) -> float:
        config = self.config("addition_repeat_vector")
        began = time.monotonic()
        process = self.process(self.script, "first-step", "train", config, "--run-dir", self.new("run"), cache=cache)
        out, err = process.communicate()
        if process.returncode:
            raise FailedError(err.strip())
        return float(json.loads(out)["clock"]) - began

    def wall(self) -> dict[str, float]:
        """Seconds from the command to 99% of the held-out sums."""
        return {
            "99% of sums, compilations kept": self._wall(self.folder / "cache"),
            "99% of sums, nothing compiled": self._wall(self.new("cache")),
        }

    def _wall(self, cache: Path) -> float:
        began = time.monotonic()
        process, run = self.train(self.config("addition_small"), cache=cache)
        found = reached(process, run / "metrics.jsonl", 0.99)
        process.kill()
        process.communicate()
        return found - began

    def predict(self) -> dict[str, float]:
        """Seconds of predicting many sums; of one sum from the shell; and of many words by beam search."""
        if self.run_of_sums is None:
            keys = settings(training__epochs=1, task__examples=2_000, task__held_out=100)
            self.run_of_sums, _ = self.trained(self.config("addition"), *keys)
        run, lines = self.run_of_sums, self.folder / "sums.txt"
        rng = np.random.default_rng(0)
        lines.write_text("".join(f"{a}+{b}\n" for a, b in rng.integers(0, 1000, (SOURCES, 2))))
        return {
            f"predict {SOURCES:,} sums, file to file": self._seconds("predict", run, "--input", lines),
            "predict one sum": self._seconds("predict", run, "1+2"),
            "predict one sum, beam of 5": self._seconds("predict", run, "1+2", "--beam", 5),
        }

    def _seconds(self, *arguments: object) -> float:
        began = time.monotonic()
        process = self.process("-m", "rnncli", *arguments)
        err = process.communicate()[1]
        if process.returncode:
            raise FailedError(err.strip())
        return time.monotonic() - began


def long_config(bench: Bench) -> Path:
    """Write texts of half to all of 500 symbols, and the config of a masked LSTM that classifies them."""
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcdefgh"), n)) for n in rng.integers(MAX_STEPS // 2, MAX_STEPS + 1, TEXTS)]
    data, config = bench.new("texts"), bench.new("long").with_suffix(".yaml")
    data.write_text("".join(f"{label}\t{text}\n" for label, text in zip(rng.choice(2, TEXTS), texts, strict=True)))
    task = f"type: classify, tokenize: characters, max_length: {MAX_STEPS}, train: {data}, validation: {data}"
    config.write_text(f"task: {{{task}}}\nmodel: {{type: classifier, units: 128, embedding: 32}}\n")
    return config


def main() -> None:
    """Measure both, and print the table."""
    rows = ("epoch", "start", "wall", "predict")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("--only", default=",".join(rows), help=f"some of {', '.join(rows)}, with commas between")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    options.quick = False
    with tempfile.TemporaryDirectory() as folder:
        sides = {}
        for name, root in (("other", options.other.resolve()), ("this", ROOT)):
            (Path(folder) / name).mkdir()
            sides[name] = Checkout(root, options, Path(folder) / name)
        found: dict[str, dict[str, list[float]]] = {}
        for row in options.only.split(","):
            for number in range(options.rounds + 1):
                for name, side in sides.items():
                    for what, seconds in getattr(side, row)().items():
                        if number:  # the first round fills the caches
                            found.setdefault(what, {}).setdefault(name, []).append(seconds)
                print(f"{row}: round {number} of {options.rounds}", file=sys.stderr, flush=True)
    print(f"Medians of {options.rounds} interleaved rounds.\n")
    print("| what | other | this | this / other |\n|---|---|---|---|")
    for what, times in found.items():
        other, this = statistics.median(times["other"]), statistics.median(times["this"])
        print(f"| {what} | {other:.2f} s | {this:.2f} s | {this / other:.2f} |")


if __name__ == "__main__":
    main()
