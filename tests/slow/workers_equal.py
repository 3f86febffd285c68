"""Workers against one process of as many shards, on the example configs: a script, for some minutes.

`PYTHONPATH=. python tests/slow/workers_equal.py [--workers 2 3 4] [CONFIG...]`

Each config is trained for 100 steps, in pieces of ten whose mean losses are compared: on N workers of this machine,
in one process of N shards, and in one of twice as many. The first two compute the same sums in another order, so
that the first ten steps may be no further apart than 1e-6 (relative), and all of them than 1e-6 or three times what
the last two are, which differ in the same way: where training is unstable, differences of rounding grow. A second
training on N workers must end with the same bits. What a config refuses is printed. The exit status is 1 if anything
was wrong.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rnncli.runs.arrays import weights_digest
from rnncli.runs.checkpoints import Checkpoints

STEPS, PIECES = 100, 10
SAME = 1e-6
CONFIGS = [path.stem for path in sorted(Path("configs").glob("*.yaml")) if path.stem != "g2p"]
SHORT = [f"training.epochs={PIECES}", f"training.steps_per_epoch={STEPS // PIECES}"]


def train(folder, name, config, *how):
    """Train; returns the losses of the pieces and the digest of the weights, or the error."""
    run = folder / name
    sets = [part for each in SHORT for part in ("--set", each)]
    command = [sys.executable, "-m", "rnncli", "train", config, *sets, *how, "--run-dir", str(run), "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return None, done.stderr.strip().splitlines()[-2:]
    losses = [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    return losses, weights_digest(Checkpoints(run).load_arrays(which="last")[0])


def apart(left, right):
    """Return the largest relative difference."""
    return max(abs(a - b) / abs(b) for a, b in zip(left, right, strict=True))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("configs", nargs="*", default=CONFIGS)
    parser.add_argument("--workers", type=int, nargs="*", default=[2])
    given = parser.parse_args()
    wrong = 0
    print("| config | workers | from one process, 10 steps | 100 steps | it from twice as many shards | again |")
    print("|---|---|---|---|---|---|")
    for config in given.configs:
        for count in given.workers:
            with tempfile.TemporaryDirectory() as name:
                folder, many = Path(name), ("--workers", str(count))
                mine, digest = train(folder, "workers", config, *many)
                if mine is None:
                    print(f"| {config} | {count} | refused: {' '.join(digest)} | | | |", flush=True)
                    continue
                again, second = train(folder, "again", config, *many)
                one, _ = train(folder, "one", config, "--set", f"runtime.cores={count}")
                more, _ = train(folder, "more", config, "--set", f"runtime.cores={2 * count}")
            if None in (again, one, more):
                wrong += 1
                print(f"| {config} | {count} | a training failed that should not | | | | WRONG", flush=True)
                continue
            begin, near, spread = apart(mine[:1], one[:1]), apart(mine, one), apart(more, one)
            same = again == mine and second == digest
            good = same and begin <= SAME and near <= max(SAME, 3 * spread)
            wrong += not good
            ends = f"{'equal' if same else 'different'} |{'' if good else ' WRONG'}"
            print(f"| {config} | {count} | {begin:.1e} | {near:.1e} | {spread:.1e} | {ends}", flush=True)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
