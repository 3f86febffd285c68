"""Every check that needs a GPU, run and shown as one table: `python tests/gpu/report.py`.

`--device cpu --small` runs the same code in a minute where there is no GPU; its figures then mean nothing.
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
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

PARITY = 1e-4
CUDNN_OVER_GENERIC = 5.0
PRECISIONS = ("float32", "tensorfloat32", "mixed_bfloat16", "mixed_float16")


@dataclass(frozen=True)
class Size:
    """Of the layer that is timed."""

    units: int = 512
    steps: int = 100
    batch: int = 256
    features: int = 512
    repeats: int = 20


SMALL = Size(units=8, steps=4, batch=3, features=2, repeats=2)


@dataclass(frozen=True)
class Check:
    """One line of the table; `passed` is None where nothing is judged."""

    name: str
    found: str
    wanted: str = ""
    passed: bool | None = None


def graph_ops(runtime: Any, cell: str) -> tuple[Counter[str], int]:
    """Count the operations in the graph of a training step, and the layers that cuDNN should run there."""
    from rnncli.config import parse_config
    from rnncli.data.tasks import build_task
    from rnncli.models import build_model
    from rnncli.training.optimizer import build_optimizer
    from rnncli.training.step import TrainStep

    encoder = "{units: 8, layers: 2, bidirectional: true}"
    model_text = f"{{type: encoder_decoder, cell: {cell}, encoder: {encoder}, decoder: {{units: 8, layers: 2}}}}"
    config = parse_config(
        f"{{task: {{type: addition, digits: 1, examples: 55, held_out: 5}}, model: {model_text}}}", "report"
    )
    task = build_task(config)
    with runtime.strategy.scope():
        model = build_model(config, task.sizes, runtime.on_gpu)
        step = TrainStep(model, build_optimizer(config.training, 1), task.splits()[0], runtime, 0, rows=50)
    graph = step.graph_function.get_concrete_function().graph.as_graph_def()
    ops = Counter(node.op for function in graph.library.function for node in function.node_def)
    eligible = sum(len(layer.directions) for layer in model.recurrent_layers) if runtime.on_gpu else 0
    return ops, eligible


def check_graphs(runtime: Any) -> Iterator[Check]:
    """cuDNN's operations stand in the graph once for every eligible layer, and none where none is eligible."""
    for cell in ("lstm", "gru", "simple_rnn"):
        ops, eligible = graph_ops(runtime, cell)
        eligible = 0 if cell == "simple_rnn" else eligible
        found = [ops[name] for name in ("CudnnRNNV3", "CudnnRNNBackpropV3")]
        yield Check(
            f"cuDNN in the graph, {cell}",
            f"{found[0]} CudnnRNNV3, {found[1]} CudnnRNNBackpropV3",
            f"{eligible} each",
            found == [eligible] * 2,
        )


def seconds(kernel: str, size: Size, runtime: Any, compiled: bool, precision: str = "float32") -> float:
    """Median seconds of a step forward and backward of one LSTM layer, as training runs it."""
    import tensorflow as tf

    from rnncli.layers import BuiltInRecurrent, KernelChoice, layer_precision

    with runtime.strategy.scope(), layer_precision(precision):
        layer = BuiltInRecurrent("lstm", size.units, KernelChoice(kernel, "timed"), "rnn/0")
        layer.build((None, size.steps, size.features))

    def step(x: Any) -> Any:
        with tf.GradientTape() as tape:
            output, _ = layer(x)
            loss = tf.reduce_sum(tf.square(tf.cast(output, tf.float32)))
        return [tf.reduce_sum(g) for g in tape.gradient(loss, [v.value for v in layer.weights])]

    run = tf.function(step, jit_compile=compiled, autograph=False)
    taken = []
    with tf.device(runtime.device):
        x = tf.random.stateless_normal([size.batch, size.steps, size.features], [1, 2])
        for _ in range(size.repeats + 3):
            began = time.perf_counter()
            for value in run(x):
                value.numpy()  # waits until it is computed
            taken.append(time.perf_counter() - began)
    return statistics.median(taken[3:])


def torch_seconds(size: Size, on_gpu: bool, tf32: bool, python: str) -> tuple[float | None, str]:
    """The same in PyTorch: seconds, or None and why not, and its version."""
    command = [python, str(Path(__file__).with_name("torch_lstm.py")), json.dumps(asdict(size))]
    command += ["cuda" if on_gpu else "cpu", json.dumps(tf32)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        return None, (result.stderr.strip().splitlines() or ["no message"])[-1]
    values = json.loads(result.stdout.splitlines()[-1])
    return values["seconds"], values["version"]


def check_speed(runtime: Any, size: Size, torch_python: str) -> Iterator[Check]:
    """cuDNN against the generic kernel, the fused one, itself in other precisions, and PyTorch."""
    import tensorflow as tf

    fast = "cudnn" if runtime.on_gpu else "fused"
    layer = f"LSTM, {size.units} units, T {size.steps}, batch {size.batch}"
    tf.config.experimental.enable_tensor_float_32_execution(False)
    ours = seconds(fast, size, runtime, fast == "fused")
    yield Check(f"{fast} step, {layer}", f"{ours * 1e3:.2f} ms")
    generic, plain = (seconds("generic", size, runtime, compiled) for compiled in (True, False))
    yield Check("generic step, as rnncli runs it (XLA)", f"{generic * 1e3:.2f} ms")
    yield Check("generic step, without XLA", f"{plain * 1e3:.2f} ms")
    yield Check("fused step", f"{seconds('fused', size, runtime, True) * 1e3:.2f} ms")
    times = min(generic, plain) / ours
    passed = times >= CUDNN_OVER_GENERIC if runtime.on_gpu else None
    yield Check("cuDNN over the faster generic", f"{times:.1f} times", f"at least {CUDNN_OVER_GENERIC:.0f}", passed)
    for precision in PRECISIONS:
        rounded = precision == "tensorfloat32"
        tf.config.experimental.enable_tensor_float_32_execution(precision != "float32")
        step = seconds(fast, size, runtime, fast == "fused", precision)
        yield Check(f"{fast} step in {precision}", f"{step * 1e3:.2f} ms")
        if precision in ("float32", "tensorfloat32"):
            theirs, said = torch_seconds(size, runtime.on_gpu, rounded, torch_python)
            found = f"not measured: {said}" if theirs is None else f"{theirs * 1e3:.2f} ms by PyTorch {said}"
            judged = None if theirs is None or not runtime.on_gpu else step <= theirs
            yield Check(f"PyTorch's step in {precision}", found, f"{step * 1e3:.2f} ms or more", judged)


def rnncli(*arguments: str | Path) -> str:
    """Run a command in a process of its own; returns what it printed."""
    command = [sys.executable, "-m", "rnncli", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)}\n{result.stderr}")
    return result.stdout


def check_parity(device: str, small: bool, folder: Path) -> Iterator[Check]:
    """A run trained on the device answers on a CPU as on the device, with the same states."""
    run = folder / "run"
    size = ["--set", "task.examples=600", "--set", "task.held_out=100"] if small else []
    epochs = "training.epochs=1" if small else "training.epochs=6"
    rnncli("train", "configs/addition.yaml", "--device", device, "--run-dir", run, "--set", epochs, "-q", *size)
    manifest = json.loads((run / "manifest.json").read_text())
    yield Check("the run was trained on", manifest["device"], device, manifest["device"] == device)
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 10 ** rng.integers(1, 4, (200, 2)))  # of one to three digits, so that rows are padded
    lines, states = folder / "sums.txt", {}
    lines.write_text("".join(f"{a}+{b}\t{a + b}\n" for a, b in pairs))
    sources = folder / "sources.txt"
    sources.write_text("".join(f"{a}+{b}\n" for a, b in pairs))
    answers = {}
    for place in dict.fromkeys((device, "cpu")):
        told = rnncli("predict", run, "--input", sources, "--format", "jsonl", "--device", place)
        answers[place] = [json.loads(line) for line in told.splitlines()]
        output = folder / f"{place}.npz"
        rnncli("export-states", run, "--input", lines, "--teacher-forced", "-o", output, "--device", place, "-q")
        states[place] = dict(np.load(output))
    yield from compared(answers[device], answers["cpu"], states[device], states["cpu"])


def compared(
    answers: list[Any], cpu_answers: list[Any], states: dict[str, Any], cpu_states: dict[str, Any]
) -> Iterator[Check]:
    """Answers, their scores, and every exported state (zero behind the end of each row) of a device and the CPU."""
    same = sum(a["prediction"] == b["prediction"] for a, b in zip(answers, cpu_answers, strict=True))
    yield Check("same answers on the CPU", f"{same} of {len(answers)}", "all", same == len(answers))
    scores = max(abs(a["score"] - b["score"]) for a, b in zip(answers, cpu_answers, strict=True))
    yield Check("largest difference of a score", f"{scores:.1g}", f"{PARITY:g}", scores <= PARITY)
    names = [name for name, value in states.items() if value.dtype == np.float32]
    worst = max(names, key=lambda name: np.abs(states[name] - cpu_states[name]).max())
    off = float(np.abs(states[worst] - cpu_states[worst]).max())
    found = f"{off:.1g} in {worst}, of {len(names)} arrays"
    yield Check("largest difference of an exported state", found, f"{PARITY:g}", off <= PARITY and len(names) >= 4)


def check_accuracy(device: str, small: bool, folder: Path) -> Iterator[Check]:
    """Train configs/addition.yaml in each precision, seed 0."""
    for precision in PRECISIONS if device == "gpu" else PRECISIONS[:1]:
        run, few = folder / precision, ["--set", "training.epochs=1"] if small else []
        choice = ["--set", f"runtime.precision={precision}"]
        rnncli("train", "configs/addition.yaml", "--device", device, "--run-dir", run, "-q", *choice, *few)
        metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        best = max(metrics, key=lambda epoch: epoch["exact_match"])
        per_epoch = statistics.median(epoch["seconds"] for epoch in metrics)
        yield Check(f"addition in {precision}", f"exact match {best['exact_match']:.2%}, {per_epoch:.1f} s an epoch")


def checks(options: argparse.Namespace) -> Iterator[Check]:
    """All checks, in order."""
    from rnncli.config import RuntimeConfig
    from rnncli.runtime.tensorflow_setup import setup_tensorflow

    runtime = setup_tensorflow(RuntimeConfig(device=options.device))
    from rnncli.layers import probe_cudnn

    if runtime.on_gpu:
        for cell in ("lstm", "gru"):
            failure = probe_cudnn(cell)
            yield Check(f"a tiny cuDNN layer, {cell}", failure or "works", "works", failure is None)
    yield from check_graphs(runtime)
    yield from check_speed(runtime, SMALL if options.small else Size(), options.torch_python)
    with tempfile.TemporaryDirectory() as folder:
        yield from check_parity(options.device, options.small, Path(folder))
        if options.accuracy:
            yield from check_accuracy(options.device, options.small, Path(folder))


def line(check: Check) -> str:
    """A check as one line of the table."""
    verdict = {True: "pass", False: "FAIL", None: ""}[check.passed]
    wanted = f"  (wanted: {check.wanted})" if check.wanted else ""
    return f"{verdict:<5} {check.name:<48} {check.found}{wanted}"


def main() -> None:
    """Run the checks; exit status 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["gpu", "cpu"], default="gpu")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the script itself")
    parser.add_argument("--accuracy", action="store_true", help="also train configs/addition.yaml in each precision")
    parser.add_argument("--torch-python", default=sys.executable, help="a Python that can import torch")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    from rnncli.errors import RnncliError

    done = []
    try:
        for check in checks(options):
            done.append(check)
            if not options.json:
                print(line(check), flush=True)
    except RnncliError as error:
        sys.exit(f"{error.message}; {error.hint}")
    if options.json:
        print(json.dumps([asdict(check) for check in done]))
    sys.exit(any(check.passed is False for check in done))


if __name__ == "__main__":
    main()
