"""Symbols a second that a language model writes: `rnncli generate`, a loop over Keras `predict`, and PyTorch.

    python benchmarks/generate.py RUN --torch-python PYTHON

RUN is a run of one LSTM layer on one-hot symbols, such as of `rnncli train charlm`. All three write from the same
weights, one text, sampled at temperature 1, with the same number of threads; what compiles is left out. The PyTorch
loop is that of char-rnn: the network for one symbol, softmax, multinomial. PyTorch may live in a Python of its own.
Prints a markdown table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
PRIME = "KING"


def ours(run: Any, symbols: int) -> float:
    """Symbols a second of `Run.generate`."""
    for _ in run.generate(PRIME, 200):  # which compiles
        pass
    began = time.perf_counter()
    for _ in run.generate(PRIME, symbols, seed=1):
        pass
    return symbols / (time.perf_counter() - began)


def keras_loop(weights: dict[str, Any], ids: list[int], symbols: int) -> float:
    """Symbols a second of a stateful Keras model that `predict` asks for one symbol at a time."""
    import keras

    kernel, recurrent, bias, output, output_bias = weights.values()
    size, units = output.shape[1], recurrent.shape[0]
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(1, 1, size)),
            keras.layers.LSTM(units, stateful=True),
            keras.layers.Dense(size, activation="softmax"),
        ]
    )
    model.set_weights([kernel, recurrent, bias, output, output_bias])
    rng, one_hot = np.random.default_rng(0), np.eye(size, dtype=np.float32)
    for symbol in ids:
        probability = model.predict(one_hot[None, None, symbol], verbose=0)[0]
    began = time.perf_counter()
    for _ in range(symbols):
        probability = probability.astype(np.float64) / probability.sum(dtype=np.float64)
        symbol = rng.choice(size, p=probability)
        probability = model.predict(one_hot[None, None, symbol], verbose=0)[0]
    return symbols / (time.perf_counter() - began)


def torch_loop(python: str, file: Path, threads: int, symbols: int) -> float:
    """Symbols a second of PyTorch, in a process of its own."""
    options = json.dumps({"weights": str(file), "threads": threads, "symbols": symbols})
    command = [python, str(HERE / "torch_charlm.py"), "generate", options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit((done.stderr.strip().splitlines() or ["PyTorch failed"])[-1])
    return float(json.loads(done.stdout)["symbols_per_second"])


def arrays(run: Any) -> dict[str, Any]:
    """The five arrays of one LSTM layer and the output layer, in the order of Keras."""
    found = list(run._run.model.arrays().values())
    if len(found) != 5 or found[0].shape[1] != 4 * found[1].shape[0]:
        raise SystemExit("this compares runs of one LSTM layer without embedding")
    return dict(zip(("kernel", "recurrent", "bias", "output", "output_bias"), found, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--symbols", type=int, default=20_000)
    options = parser.parse_args()
    import rnncli

    run = rnncli.load(options.run, "cpu")
    weights, ids = arrays(run), run._run.task.read_prime(PRIME)
    threads = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.npz"
        np.savez(file, ids=ids, **weights)
        contestants: dict[str, Callable[[], float]] = {
            "rnncli": lambda: ours(run, options.symbols),
            "Keras predict": lambda: keras_loop(weights, ids, options.symbols // 100),
            "PyTorch": lambda: torch_loop(options.torch_python, file, threads, options.symbols // 4),
        }
        found: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(options.rounds):
            for name, measure in contestants.items():
                found[name].append(measure())
    ours_median = statistics.median(found["rnncli"])
    print(f"{weights['recurrent'].shape[0]} units, {weights['output'].shape[1]} symbols, {threads} threads\n")
    print("| what | symbols a second | rnncli is faster by |\n|---|---|---|")
    for name, values in found.items():
        median = statistics.median(values)
        print(f"| {name} | {median:,.0f} ({min(values):,.0f} to {max(values):,.0f}) | {ours_median / median:.2f} |")


if __name__ == "__main__":
    main()
