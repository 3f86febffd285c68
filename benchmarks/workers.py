"""The cost of a training step on several workers of this machine, against one process with all cores.

`PYTHONPATH=. python benchmarks/workers.py [--workers 2] [--rounds 2] [NAME...]`

Each setting is trained for three epochs by `rnncli train`: with `--workers N`, which gives each worker its share of
the cores, and in one process of as many shards as there are workers together. The first epoch compiles and is left
out; of the others the fastest counts, as other load only adds time. Also printed: the largest relative difference of
the losses of all epochs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ADDITION = ("--set", "task={type: addition, digits: 3, examples: 20480, held_out: 512}")
MILLION = "{type: encoder_decoder, encoder: {units: 256, layers: 2}, decoder: {units: 256}}"
SETTINGS = {
    "addition, batch 64": ("addition", "training.batch_size=64"),
    "addition, batch 512": ("addition", "training.batch_size=512"),
    "1,000,000 parameters, batch 64": ("addition", "training.batch_size=64", f"model={MILLION}"),
    "1,000,000 parameters, batch 512": ("addition", "training.batch_size=512", f"model={MILLION}"),
}


def train(folder, name, *more):
    """Train; returns the parameters, the seconds a step of the fastest epoch, and the losses."""
    config, *overrides = SETTINGS[name]
    sets = [part for each in ("training.epochs=3", *overrides) for part in ("--set", each)]
    command = [sys.executable, "-m", "rnncli", "train", config, *ADDITION, *sets, *more, "--run-dir", str(folder)]
    subprocess.run([*command, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = epochs[0]["step"]
    examples = json.loads((folder / "manifest.json").read_text())["examples"]["train"]
    seconds = min(examples / epoch["examples_per_second"] for epoch in epochs[1:]) / steps
    return json.loads((folder / "manifest.json").read_text())["parameters"], seconds, [e["loss"] for e in epochs]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(SETTINGS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    print(f"{given.workers} workers of {cores // given.workers} cores each, and one process of {cores} cores\n")
    print("| setting | parameters | one process, ms a step | workers, ms a step | ratio | losses differ by |")
    print("|---|---|---|---|---|---|")
    for name in given.names:
        best = {}
        with tempfile.TemporaryDirectory() as folder:
            for number in range(given.rounds):
                for how in (("--workers", str(given.workers)), ("--set", f"runtime.cores={cores}")):
                    parameters, seconds, losses = train(Path(folder) / f"{how[0]}{number}", name, *how)
                    before = best.get(how[0], (seconds, losses))
                    best[how[0]] = min(seconds, before[0]), losses
        (workers, mine), (one, its) = best["--workers"], best["--set"]
        differ = max(abs(a - b) / b for a, b in zip(mine, its, strict=True))
        shown = f"{1000 * one:.1f} | {1000 * workers:.1f} | {workers / one:.2f} | {differ:.1e} |"
        print(f"| {name} | {parameters:,} | {shown}", flush=True)


if __name__ == "__main__":
    main()
