"""rnncli beside Keras `fit` and PyTorch on this machine, as one markdown table: `python benchmarks/peers.py`.

Runs are interleaved (ours, Keras, PyTorch, ours, ...), each in a process of its own, and medians are compared, so
that a machine that grows slower or faster does not favour one. What Keras waits at the end of `fit` and `predict`
(keras_peer.py) is left out, but for a row that says so. All read the same examples, and run on the CPU. The cache of
compilations is a fresh one. `--only batch128,start` runs some rows, `--quick` tries the script itself in a minute or
two: its figures then mean nothing. PyTorch may live in a Python of its own, `--torch-python`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from contest import (
    ADDITION,
    HERE,
    SMALL,
    Bench,
    FailedError,
    Row,
    compared,
    data_file,
    machine,
    peers,
    reached,
    rounds,
    settings,
    sums,
)

FLAT = 1.2
"""A cost that grows by less than this from end to end counts as flat."""


def second_epoch(bench: Bench, *arguments: Any, examples: int) -> list[float]:
    """Seconds of training in the epoch after the one that compiles."""
    _, metrics = bench.trained(*arguments, *settings(training__epochs=2))
    return [examples / metrics[1]["examples_per_second"]]


def epoch(bench: Bench, batch: int, asked: dict[str, float]) -> Iterator[Row]:
    """Seconds an epoch of the RepeatVector network."""
    examples, held_out = (2_000, 200) if bench.quick else (50_000, 5_000)
    keys, data = sums(bench, examples, held_out)
    keys += settings(training__batch_size=batch)
    shown = len(np.load(data)["lengths"])
    ours = {"rnncli": lambda: second_epoch(bench, ADDITION, *keys, examples=shown)}
    found = rounds(bench, ours | peers(bench, what="addition", data=str(data), batch=batch))
    yield from compared(f"an epoch of {shown:,} sums, batch {batch}", found, asked)


def batch128(bench: Bench) -> Iterator[Row]:
    """The RepeatVector network at batch 128."""
    yield from epoch(bench, 128, {"Keras": 3.0, "PyTorch": 1.8})


def batch32(bench: Bench) -> Iterator[Row]:
    """And at batch 32."""
    yield from epoch(bench, 32, {"Keras": 5.0, "PyTorch": 2.0})


def rate(bench: Bench) -> Iterator[Row]:
    """The arithmetic rate at batch 128."""
    seconds = 1 if bench.quick else 10
    command = ("-m", "rnncli", "bench", ADDITION, "--seconds", seconds, "--format", "json")
    reports = [bench.lines(*command)[0] for _ in range(bench.rounds)]
    share = statistics.median(report["kernels"][0]["share_of_peak"] for report in reports)
    ours, peak = (statistics.median(values) for values in zip(*map(rates, reports), strict=True))
    yield Row(
        "needed FLOP a second of training, batch 128, against large products",
        f"{ours:.1f} GFLOP/s",
        f"{peak:.1f} GFLOP/s",
        f"{share:.0%}",
        "at least 50%",
        share >= 0.5,
    )


def rates(report: Any) -> tuple[float, float]:
    """Of training and of the machine."""
    return report["kernels"][0]["gflop_per_second"], report["peak_gflop_per_second"]


def long(bench: Bench) -> Iterator[Row]:
    """Long masked sequences: texts of half to all of 500 symbols, one of two classes."""
    steps, units, batch, examples = (60, 16, 8, 64) if bench.quick else (500, 256, 64, 640)
    rng = np.random.default_rng(0)
    lengths = rng.integers(steps // 2, steps + 1, examples)
    lengths[0] = steps
    texts = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), length)) for length in lengths]
    lines = [f"{label}\t{text}\n" for label, text in zip(rng.choice(["odd", "even"], examples), texts, strict=True)]
    names = [bench.new(name) for name in ("train", "validation")]
    names[0].write_text("".join(lines))
    names[1].write_text("".join(lines[:batch]))
    config = bench.new("long").with_suffix(".yaml")
    task = f"type: classify, tokenize: characters, max_length: {steps}, train: {names[0]}, validation: {names[1]}"
    config.write_text(
        f"task: {{{task}}}\nmodel: {{type: classifier, units: {units}, embedding: 32}}\n"
        f"training: {{batch_size: {batch}}}\n"
    )
    data = data_file(bench, config, [])
    ours = {"rnncli": lambda: second_epoch(bench, config, examples=examples)}
    theirs = peers(bench, what="long", data=str(data), batch=batch, units=units, embedding=32)
    found = rounds(bench, ours | theirs)
    what = f"an epoch of {examples} texts of {steps // 2} to {steps} steps, {units} units, batch {batch}, masked"
    yield from compared(what, found, {"Keras": 1.0, "PyTorch": 1.0})


def predict(bench: Bench) -> Iterator[Row]:
    """Prediction of many sums."""
    count = 2_000 if bench.quick else 100_000
    each = settings(task__examples=count + 100, task__held_out=100, task__short_sums="once")
    data = data_file(bench, ADDITION, each[1::2])
    few = settings(task__examples=1_000, task__held_out=100, training__epochs=1)
    run, _ = bench.trained(ADDITION, *few)
    text: list[float] = []

    def ours() -> list[float]:
        line = bench.lines(HERE / "ours.py", "predict", run, data, 1)[0]
        text.append(line["text_seconds"])
        return [line["seconds"]]

    def keras(batch: int) -> Callable[[], list[float]]:
        return peers(bench, what="predict", data=str(data), batch=batch)["Keras"]

    contestants = {"rnncli": ours, "keras predict": keras(32), "keras predict in batches of 512": keras(512)}
    found = rounds(bench, contestants)
    more = f" ({statistics.median(text):.3g} s from text to text)"
    yield from compared(f"prediction of {count:,} sums", found, {"keras predict": 5.0}, more)


def scale(bench: Bench) -> Iterator[Row]:
    """Cost as data and sequences grow."""
    counts = (1_000, 10_000) if bench.quick else (10_000, 100_000, 1_000_000)
    keys = [settings(task__digits=4, task__examples=n, task__held_out=500) for n in counts]
    yield from grown(bench, "data grows", ADDITION, counts, keys)
    lengths = (10, 100) if bench.quick else (10, 100, 1_000)
    config = bench.new("text").with_suffix(".yaml")
    config.write_text("task: {type: text, windows: 640, held_out: 64}\nmodel: {type: next_step, units: 128}\n")
    keys = [[*settings(task__window=n), *settings(training__batch_size=64)] for n in lengths]
    yield from grown(bench, "sequences grow", config, lengths, keys, per_step=True)


def grown(
    bench: Bench, what: str, config: Path, sizes: tuple[int, ...], keys: list[list[str]], per_step: bool = False
) -> Iterator[Row]:
    """The cost of training at each size, and the process's memory, which must be flat where a step stays the same."""
    seconds = 0.5 if bench.quick else 5
    costs: dict[int, list[float]] = {size: [] for size in sizes}
    memory: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(bench.rounds):
        for size, options in zip(sizes, keys, strict=True):
            command = ("-m", "rnncli", "bench", config, *options, "--seconds", seconds, "--format", "json")
            kernel = bench.lines(*command)[0]["kernels"][0]
            costs[size].append(1e6 / kernel["examples_per_second"] / (size if per_step else 1))
            memory[size].append(kernel["peak_memory_mib"])
    cost = f"cost of {'a step' if per_step else 'an example'}"
    for name, found, unit, judged in ((cost, costs, "us", True), ("peak memory", memory, "MiB", not per_step)):
        medians = {size: statistics.median(values) for size, values in found.items()}
        told = ", ".join(f"{medians[size]:,.4g} {unit} at {size:,}" for size in sizes)
        ratio = medians[sizes[-1]] / medians[sizes[0]]
        asked, holds = (f"at most {FLAT}", ratio <= FLAT) if judged else ("-", None)
        yield Row(f"{name} as {what}", told, "itself", f"{ratio:.2f}", asked, holds)


def start(bench: Bench) -> Iterator[Row]:
    """Seconds from the command to the end of the first training step, against importing TensorFlow."""

    def timed(*command: Any, cache: Path) -> list[float]:
        began = time.monotonic()
        process = bench.process(*command, cache=cache)
        out, err = process.communicate()
        if process.returncode:
            raise FailedError(err.strip())
        return [float(json.loads(out)["clock"]) - began]

    def first_step(cache: Path) -> list[float]:
        return timed(HERE / "ours.py", "first-step", "train", ADDITION, "--run-dir", bench.new("run"), cache=cache)

    kept = bench.new("cache")
    importing = "import json, time, tensorflow; print(json.dumps({'clock': time.monotonic()}))"
    first_step(kept)  # fills the cache
    contestants = {
        "import tensorflow": lambda: timed("-c", importing, cache=kept),
        "second run": lambda: first_step(kept),
        "first run": lambda: first_step(bench.new("cache")),
    }
    found = {name: values for name, values in rounds(bench, contestants).items() if not isinstance(values, str)}
    base = statistics.median(found["import tensorflow"])
    for name, when in (("second run", "compilations kept"), ("first run", "nothing kept")):
        ours = statistics.median(found[name])
        yield Row(
            f"from command to first training step, {when}",
            f"{ours:.2f} s",
            f"{base:.2f} s to `import tensorflow`",
            f"{ours / base:.2f}",
            "at most 2.5",
            ours / base <= 2.5,
        )


def wall(bench: Bench) -> Iterator[Row]:
    """Wall time from the command to 99% exact match on held-out sums."""
    goal, epochs = (0.0, 1) if bench.quick else (0.99, 60)
    keys, data = sums(bench, *((1_000, 100) if bench.quick else (50_000, 5_000)))
    keys += settings(training__epochs=1) if bench.quick else []
    options = {"what": "addition", "data": str(data), "batch": 32, "epochs": epochs, "stop_at": goal}

    kept = bench.new("cache")

    def ours(cache: Path) -> list[float]:
        began = time.monotonic()
        process, run = bench.train(bench.options.wall_config, *keys, cache=cache)
        found = reached(process, run / "metrics.jsonl", goal)
        process.kill()
        process.communicate()
        return [found - began]

    waits: list[float] = []

    def theirs(script: str, python: str | None = None) -> tuple[float, list[dict[str, Any]]]:
        began, lines = time.monotonic(), list[dict[str, Any]]()
        process = bench.process(HERE / script, json.dumps(options), python=python or sys.executable)
        assert process.stdout is not None
        for line in map(json.loads, process.stdout):
            lines.append(line)
            if line["exact_match"] >= goal:
                taken = time.monotonic() - began
                process.communicate()
                return taken, lines
        raise FailedError(f"{goal:.0%} was not reached: {process.communicate()[1].strip()}")

    def keras() -> list[float]:
        taken, lines = theirs("keras_peer.py")
        waits.append(sum(line["waited"] for line in lines))
        return [taken]

    def torch() -> list[float]:
        taken, lines = theirs("torch_peer.py", bench.options.torch_python)
        bench.torch = lines[0]["version"]
        return [taken]

    ours(kept)  # fills the cache
    first, second = "rnncli, nothing kept", "rnncli"
    found = rounds(
        bench, {first: lambda: ours(bench.new("cache")), second: lambda: ours(kept), "Keras": keras, "PyTorch": torch}
    )
    for name, when in ((second, "compilations kept"), (first, "nothing kept")):
        what = f"from command to {goal:.0%} of held-out sums, {when}"
        times = {"rnncli": found[name], "Keras with its waits": found["Keras"], "PyTorch": found["PyTorch"]}
        if not isinstance(found["Keras"], str):
            times["Keras"] = [taken - waited for taken, waited in zip(found["Keras"], waits, strict=True)]
        yield from compared(what, times, {"Keras": 15.0, "Keras with its waits": 15.0})


ROWS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "batch128": batch128,
    "batch32": batch32,
    "wall": wall,
    "rate": rate,
    "long": long,
    "predict": predict,
    "scale": scale,
    "start": start,
}


def main() -> None:
    """Run the rows that are asked for, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(ROWS), help="some rows, with commas between")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, one round, to try the script itself")
    parser.add_argument("--torch-python", help="a Python that can import torch; this one if it is not given")
    parser.add_argument("--wall-config", type=Path, default=SMALL, help="the addition config of the row `wall`")
    options = parser.parse_args()
    wanted = options.only.split(",")
    if wrong := [name for name in wanted if name not in ROWS]:
        parser.error(f"--only: no row {', '.join(wrong)}; there are {', '.join(ROWS)}")
    found: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, Path(folder))
        for name in wanted:
            print(name, file=sys.stderr, flush=True)
            for row in ROWS[name](bench):
                verdict = {True: "yes", False: "NO", None: "-"}[row.holds]
                found.append((row.what, row.ours, row.theirs, row.ratio, row.asked, verdict))
    print(f"{machine(bench)}; medians of {bench.rounds} interleaved rounds{', QUICK' * options.quick}\n")
    print("| what, against | rnncli | theirs | ratio | asked | holds |\n|---|---|---|---|---|---|")
    for cells in found:
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
