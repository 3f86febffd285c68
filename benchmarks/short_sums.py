"""Accuracy on sums as people ask them: `python benchmarks/short_sums.py configs/addition.yaml`, or a run directory.

2,000 sums are drawn as the task draws them, with another seed, so that all 55 sums of two one-digit numbers are among
them. Some of them are in the training data too: there are few short sums. A config is trained first, in a folder that
is removed afterwards.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))


def main() -> None:
    """Print the accuracy by the digits of the longer operand, on the one-digit sums, and on all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="an addition config, or a run of one")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="set a config key")
    parser.add_argument("--count", type=int, default=2_000, help="number of sums")
    parser.add_argument("--seed", type=int, default=12_345, help="seed of the sums")
    options = parser.parse_args()
    from rnncli.runtime.tensorflow_setup import claim_process

    claim_process()  # the bits and the speed of the command
    with tempfile.TemporaryDirectory() as folder:
        run = options.path if options.path.is_dir() else trained(options.path, options.set, Path(folder) / "run")
        measure(run, options.count, options.seed)


def trained(config: Path, overrides: list[str], run: Path) -> Path:
    """Train a config into a run directory, and return it."""
    from rnncli import train

    train(config, overrides, run_dir=run)
    return run


def measure(path: Path, count: int, seed: int) -> None:
    """Print a run's accuracy on sums drawn with a seed."""
    from rnncli import load
    from rnncli.data.tasks import build_task
    from rnncli.data.tasks.addition import draw_sums

    run = load(path)
    task = build_task(run.config)
    a, b = draw_sums(run.config.task.digits, count, seed)
    sources = [f"{x}+{y}" for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    answers = [task.answer(source) for source in sources]
    predictions = run.predict(sources)
    right = np.array([found.text == answer for found, answer in zip(predictions, answers, strict=True)])
    digits = np.array([max(map(len, source.split("+"))) for source in sources])
    for number in np.unique(digits):
        show(f"{number} digits" if number > 1 else "1 digit", right[digits == number])
    show("all", right)
    wrong = [source for source, is_right in zip(sources, right, strict=True) if not is_right]
    print(f"wrong: {' '.join(sorted(wrong, key=len)[:12]) or 'none'}")


def show(what: str, right: np.ndarray) -> None:
    """Print a line."""
    print(f"{what:<9} {right.sum():>6,} of {len(right):>6,}  {right.mean():.2%}")


if __name__ == "__main__":
    main()
