"""A step of a recurrent layer from Python, beside PyTorch and Keras: `python benchmarks/stepper.py`.

Microseconds of one step of a layer of 128 units over one-hot symbols, and of its output layer, for batches of 1 and
64: `Run.stepper`, PyTorch's `nn.LSTMCell` (`GRUCell`, `RNNCell`) and Keras's stateful `predict_on_batch`. One thread
each, rounds interleaved, the median of rounds. PyTorch may live in a Python of its own, `--torch-python`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

UNITS, SYMBOLS = 128, 26
SIZES = [(cell, batch) for cell in ("lstm", "gru", "simple_rnn") for batch in (1, 64)]


def seconds(step: Callable[[], object], least: float = 0.3) -> float:
    """Return the seconds of a step, repeated for at least so many seconds."""
    step()
    count, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < least:
        step()
        count += 1
    return passed / count


def measure_rnncli() -> list[float]:
    """Return the seconds of `Stepper.step`."""
    import numpy as np

    from rnncli.config import NextStepModel
    from rnncli.data.examples import Sizes
    from rnncli.inference.stepper import Stepper
    from rnncli.layers import KernelChoice
    from rnncli.models import make_model

    sizes = Sizes(source_symbols=SYMBOLS, source_steps=8, target_symbols=SYMBOLS, target_steps=8, per_step=True)
    found = []
    for cell, batch in SIZES:
        config = NextStepModel.model_validate({"type": "next_step", "cell": cell, "units": UNITS})
        stepper = Stepper(
            make_model(config, sizes, cell, KernelChoice("fused", "a benchmark")), None, batch, "/CPU:0"
        )
        ids = np.zeros(batch, np.int32)
        found.append(seconds(lambda stepper=stepper, ids=ids: stepper.step(ids)))  # type: ignore[misc]
    return found


def measure_keras() -> list[float]:
    """Return the seconds of `predict_on_batch` of a stateful model."""
    import keras
    import numpy as np

    layers = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU, "simple_rnn": keras.layers.SimpleRNN}
    found = []
    for cell, batch in SIZES:
        inputs = keras.Input(batch_shape=(batch, 1, SYMBOLS))
        outputs = keras.layers.Dense(SYMBOLS)(layers[cell](UNITS, stateful=True)(inputs))
        model, x = keras.Model(inputs, outputs), np.zeros((batch, 1, SYMBOLS), np.float32)
        found.append(seconds(lambda model=model, x=x: model.predict_on_batch(x)))  # type: ignore[misc]
    return found


def measure_torch() -> list[float]:
    """Return the seconds of a cell of PyTorch and its output layer."""
    import torch

    torch.set_num_threads(1)
    cells = {"lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell, "simple_rnn": torch.nn.RNNCell}
    found = []
    with torch.inference_mode():
        for name, batch in SIZES:
            cell, head = cells[name](SYMBOLS, UNITS), torch.nn.Linear(UNITS, SYMBOLS)
            x = torch.zeros(batch, SYMBOLS)
            state = [cell(x)]

            def step(cell=cell, head=head, state=state, x=x):  # type: ignore[no-untyped-def]
                state[0] = cell(x, state[0])
                return head(state[0][0] if isinstance(state[0], tuple) else state[0])

            found.append(seconds(step))
    return found


MEASURES = {"rnncli": measure_rnncli, "PyTorch": measure_torch, "Keras": measure_keras}


def run(name: str, python: str) -> list[float]:
    """Return the seconds that a process of its own measures, one thread in all libraries."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), "1")
    environment = {**os.environ, **threads, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    root = str(Path(__file__).parents[1])
    environment["PYTHONPATH"] = root if python == sys.executable else ""
    output = subprocess.run(
        [python, __file__, "--measure", name], env=environment, check=True, stdout=subprocess.PIPE
    )
    found: list[float] = json.loads(output.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Measure all, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--measure", choices=MEASURES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(MEASURES[options.measure]()))
        return
    rounds: dict[str, list[list[float]]] = {name: [] for name in MEASURES}
    for _ in range(options.rounds):
        for name, found in rounds.items():
            found.append(run(name, options.torch_python if name == "PyTorch" else sys.executable))
    print("| cell | batch | rnncli | PyTorch | Keras | rnncli / PyTorch | rnncli / Keras |")
    print("|---|---|---|---|---|---|---|")
    for row, (cell, batch) in enumerate(SIZES):
        ours, torch, keras = (statistics.median(each[row] for each in found) * 1e6 for found in rounds.values())
        times = f"{ours:.0f} µs | {torch:.0f} µs | {keras:.0f} µs"
        print(f"| {cell} | {batch} | {times} | {ours / torch:.2f} | {ours / keras:.3f} |")


if __name__ == "__main__":
    main()
