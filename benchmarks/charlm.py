"""Bits per character of `rnncli train charlm` beside a PyTorch char-rnn of the same size, settings and data.

    python benchmarks/charlm.py --torch-python PYTHON

Both train the config's network, with its batch size, window, epochs, rate, schedule, clipping and dropout, on the
same symbols; the best epoch counts. Prints a markdown table.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))
CONFIG = ROOT / "configs" / "charlm.yaml"


def ours(folder: Path, settings: list[str]) -> tuple[float, float]:
    """The smallest held-out loss, and the seconds of the whole command."""
    overrides = [part for setting in settings for part in ("--set", setting)]
    command = [
        sys.executable,
        "-m",
        "rnncli",
        "train",
        str(CONFIG),
        "-q",
        "--run-dir",
        str(folder / "run"),
        *overrides,
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")}
    began = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    return min(json.loads(line)["validation_loss"] for line in lines), seconds


def theirs(folder: Path, settings: list[str], python: str) -> tuple[float, float]:
    """The same of PyTorch."""
    from rnncli.config import load_config
    from rnncli.data.tasks.text import Text

    config = load_config(CONFIG, settings)
    task = Text(config.task)
    train, held_out = task.texts()
    file = folder / "data.npz"
    ids = {name: task._encode(text) for name, text in (("train", train), ("held_out", held_out))}
    np.savez(file, symbols=task.sizes.source_symbols, **ids)
    training, model = config.training, config.model
    options = {
        "data": str(file),
        "threads": len(os.sched_getaffinity(0)),
        "seed": training.seed,
        "units": model.units,
        "dropout": model.dropout,
        "batch": training.batch_size,
        "window": config.task.window,
        "epochs": training.epochs,
        "rate": training.learning_rate,
        "warmup": training.warmup_steps,
    }
    command = [python, str(HERE / "torch_charlm.py"), "train", json.dumps(options)]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit((done.stderr.strip().splitlines() or ["PyTorch failed"])[-1])
    losses = [json.loads(line)["held_out_loss"] for line in done.stdout.splitlines()]
    return min(losses), time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    options = parser.parse_args()
    print("| what | bits a character | seconds |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        loss, seconds = ours(Path(folder), options.settings)
        print(f"| rnncli | {loss / math.log(2):.3f} | {seconds:.0f} |", flush=True)
        loss, seconds = theirs(Path(folder), options.settings, options.torch_python)
        print(f"| PyTorch | {loss / math.log(2):.3f} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
