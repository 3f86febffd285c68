"""Accuracy on sums as people ask them: `python benchmarks/short_sums.py configs/addition.yaml`, or a run directory.

2,000 sums are drawn as in Keras's addition example, with another seed than the task's: the number of digits of each
operand is uniform, and sums may repeat. One in seven adds two numbers of one digit, and some of those are in the
training data, as only 55 exist; these are shown in both orders too. A config is trained first, into a folder that is
removed afterwards.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))


def main() -> None:
    """Print the accuracy on the sums that are drawn, by digits of the longer operand, and on all one-digit sums."""
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

    run = load(path)
    task = build_task(run.config)
    rng = np.random.default_rng(seed)
    drawn = [f"{number(rng, run.config.task.digits)}+{number(rng, run.config.task.digits)}" for _ in range(count)]
    one_digit = [f"{a}+{b}" for a in range(10) for b in range(10)]
    asked = list(dict.fromkeys(drawn + one_digit))
    right = {each.source: each.text == task.answer(each.source) for each in run.predict(asked)}
    digits = {source: max(map(len, source.split("+"))) for source in asked}
    for width in sorted(set(digits.values())):
        show(f"drawn, {width} digit{'s' * (width > 1)}", [right[each] for each in drawn if digits[each] == width])
    show("drawn, all", [right[each] for each in drawn])
    show("one-digit sums, both orders", [right[each] for each in one_digit])
    wrong = sorted((source for source in asked if not right[source]), key=len)
    print(f"wrong: {' '.join(wrong[:12]) or 'none'}{' ...' * (len(wrong) > 12)}")


def number(rng: np.random.Generator, digits: int) -> int:
    """Draw a number as Keras's example does."""
    return int("".join(rng.choice(list("0123456789"), rng.integers(1, digits + 1))))


def show(what: str, right: list[bool]) -> None:
    """Print a line."""
    print(f"{what:<28} {sum(right):>6,} of {len(right):>6,}  {sum(right) / len(right):.2%}")


if __name__ == "__main__":
    main()
