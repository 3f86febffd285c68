"""Time peers: processes with a fresh cache, the same examples, interleaved rounds, and a line for each."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))
ADDITION = ROOT / "configs" / "addition_repeat_vector.yaml"
SMALL = ROOT / "configs" / "addition_small.yaml"


@dataclass(frozen=True)
class Row:
    """A line of the table; `ratio` is theirs over ours, or of ours alone the last over the first."""

    what: str
    ours: str
    theirs: str
    ratio: str = "-"
    asked: str = "-"
    holds: bool | None = None


class Bench:
    """The options, a folder for files, and how to run a process."""

    def __init__(self, options: argparse.Namespace, folder: Path, root: Path = ROOT) -> None:
        self.root = root
        self.options, self.folder, self.quick = options, folder, options.quick
        self.rounds = 1 if self.quick else options.rounds
        self.torch = "no PyTorch"
        self.names = 0

    def new(self, name: str) -> Path:
        """A path that is not in use yet."""
        self.names += 1
        return self.folder / f"{name}-{self.names}"

    def process(
        self, *command: Any, python: str = sys.executable, cache: Path | None = None
    ) -> subprocess.Popen[str]:
        """Start Python with arguments."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.root),
            "CUDA_VISIBLE_DEVICES": "-1",
            "XDG_CACHE_HOME": str(cache or self.folder / "cache"),
        }
        if self.quick:
            environment["XLA_FLAGS"] = "--xla_backend_optimization_level=0"  # which compiles faster
        if python != sys.executable:
            environment.pop("PYTHONPATH")
        return subprocess.Popen(
            [python, *map(str, command)], stdout=-1, stderr=-1, text=True, cwd=self.root, env=environment
        )

    def lines(self, *command: Any, python: str = sys.executable) -> list[Any]:
        """Return the JSON lines that a process prints.

        Raises:
            FailedError: It fails.
        """
        process = self.process(*command, python=python)
        out, err = process.communicate()
        if process.returncode:
            raise FailedError((err.strip().splitlines() or ["no message"])[-1])
        return [json.loads(line) for line in out.splitlines()]

    def train(self, *arguments: Any, cache: Path | None = None) -> tuple[subprocess.Popen[str], Path]:
        """Start `rnncli train`; returns it and its run directory."""
        run = self.new("run")
        return self.process("-m", "rnncli", "train", *arguments, "-q", "--run-dir", run, cache=cache), run

    def trained(self, *arguments: Any) -> tuple[Path, list[Any]]:
        """A finished run of `rnncli train` and its metrics."""
        process, run = self.train(*arguments)
        err = process.communicate()[1]
        if process.returncode:
            raise FailedError(err.strip())
        return run, [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


class FailedError(Exception):
    """A process failed; its last line."""


def settings(**keys: Any) -> list[str]:
    """`--set` options; `__` in a name is a dot."""
    return [part for key, value in keys.items() for part in ("--set", f"{key.replace('__', '.')}={value}")]


def sums(bench: Bench, examples: int, held_out: int) -> tuple[list[str], Path]:
    """Settings of the addition task, and the same examples as a file for the peers."""
    keys = settings(task__examples=examples, task__held_out=held_out)
    return keys, data_file(bench, ADDITION, keys[1::2])


def data_file(bench: Bench, config_path: Path, overrides: list[str]) -> Path:
    """The examples that an epoch of a config shows, for others."""
    from rnncli.config import load_config
    from rnncli.data.tasks import build_task

    task = build_task(load_config(config_path, overrides))
    train, held_out = task.splits()
    train = train.of_epoch()
    path = bench.new("data").with_suffix(".npz")
    np.savez(
        path,
        source=train.source,
        lengths=train.source_lengths,
        target=train.target,
        held_out_source=held_out.source,
        held_out_target=held_out.target,
        symbols=task.sizes.source_symbols,
        classes=task.sizes.target_symbols,
    )
    return path


def rounds(bench: Bench, contestants: dict[str, Callable[[], list[float]]]) -> dict[str, list[float] | str]:
    """Seconds of each in interleaved rounds, or why there are none."""
    found: dict[str, list[float] | str] = {}
    for number in range(bench.rounds):
        for name, run in contestants.items():
            before = found.setdefault(name, [])
            if isinstance(before, str):
                continue
            try:
                before += run()
                print(f"  round {number + 1}, {name}: {before[-1]:.3f} s", file=sys.stderr, flush=True)
            except FailedError as failure:
                if name == "rnncli":
                    raise
                found[name] = f"not run: {failure}"
    return found


def compared(
    what: str, found: dict[str, list[float] | str], asked: dict[str, float], more: str = ""
) -> Iterator[Row]:
    """A line for each peer."""
    mine = found["rnncli"]
    assert not isinstance(mine, str)
    ours = statistics.median(mine)
    for name in list(found)[1:]:
        theirs, least = found[name], asked.get(name)
        wanted = "-" if least is None else f"at least {least:g}" if least > 1 else "more than 1"
        if isinstance(theirs, str):
            yield Row(f"{what}, {name}", f"{ours:.3g} s{more}", theirs, asked=wanted)
        else:
            ratio = statistics.median(theirs) / ours
            holds = None if least is None else ratio >= least
            yield Row(
                f"{what}, {name}",
                f"{ours:.3g} s{more}",
                f"{statistics.median(theirs):.3g} s",
                f"{ratio:.2f}",
                wanted,
                holds,
            )


def peers(bench: Bench, **options: Any) -> dict[str, Callable[[], list[float]]]:
    """Keras and PyTorch with the same options."""
    told = json.dumps({"epochs": 1, **options})

    def keras() -> list[float]:
        return [line["seconds"] for line in bench.lines(HERE / "keras_peer.py", told)]

    def torch() -> list[float]:
        lines = bench.lines(HERE / "torch_peer.py", told, python=bench.options.torch_python or sys.executable)
        bench.torch = lines[0]["version"]
        return [line["seconds"] for line in lines]

    return {"Keras": keras, "PyTorch": torch}


def machine(bench: Bench) -> str:
    """Return the machine, and the versions of the software."""
    from rnncli.runtime.host import available_cores
    from rnncli.runtime.tensorflow_setup import versions

    cpu = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in cpu.read_text().splitlines() if line.startswith("model name")]
    software = ", ".join(f"{name} {version}" for name, version in versions().items())
    load = f"load {os.getloadavg()[0]:.1f} at the end"
    return f"{names[0] if names else 'a CPU'}, {available_cores()} cores ({load}); {software}, {bench.torch}"


def reached(process: subprocess.Popen[str], metrics: Path, goal: float) -> float:
    """The clock when a run's metrics reach the goal."""
    running = True
    while running:
        running = process.poll() is None  # before reading, so that the last line is not missed
        text = metrics.read_text() if metrics.exists() else ""
        if any(
            json.loads(line)["exact_match"] >= goal for line in text.splitlines(keepends=True) if line[-1] == "\n"
        ):
            return time.monotonic()
        time.sleep(0.02)
    raise FailedError(f"{goal:.0%} was not reached: {process.communicate()[1].strip()}")
