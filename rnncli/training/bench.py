"""How fast a config trains: by several kernels in turn on the same weights, beside the machine's own peak."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rnncli import compilation
from rnncli.arrays import Arrays
from rnncli.config import Config
from rnncli.errors import RnncliError
from rnncli.flop import needed_flop
from rnncli.layers import KernelChoice
from rnncli.models import Model, build_model
from rnncli.runtime import Runtime, versions
from rnncli.tasks import Examples, Sizes
from rnncli.training.batches import Batches, build_step
from rnncli.training.loop import CALL_SECONDS
from rnncli.training.machine import machine_rate
from rnncli.training.progress import bar
from rnncli.training.step import TrainStep
from rnncli.usercode import NOWHERE, Places

FEWEST_CALLS = 3


@dataclass(frozen=True)
class Measured:
    """How fast a kernel trains.

    Attributes:
        layers: The kernel that ran each recurrent layer, by the prefix of its states.
        compile_seconds: Of the first call with each shape of a batch: tracing, compiling and one step.
        cache: `warm` where XLA found all its compilations in the persistent cache, `cold` where it made some; None
            where nothing is kept.
        step_seconds: The median over calls of several steps each.
        least_step_seconds: The least.
        steps: Measured in all.
        peak_memory: Bytes: of the GPU; on a CPU the most that the process ever had, earlier kernels included.
        logits_difference: The largest difference of a logit on one batch from the first kernel's, before training.
    """

    layers: dict[str, KernelChoice]
    compile_seconds: float
    cache: str | None
    step_seconds: float
    least_step_seconds: float
    steps: int
    peak_memory: int
    logits_difference: float


@dataclass(frozen=True)
class Report:
    """What was measured.

    Attributes:
        rows: Examples of a batch.
        parts: Parts of a batch that are computed side by side.
        device: `cpu` or `gpu`.
        examples: That the config trains on.
        flop: That one example needs, where that is known; see `needed_flop`.
        peak: FLOP a second of the machine's own product of matrices.
        kernels: By the name that was asked for; of one that cannot run, why.
    """

    rows: int
    parts: int
    device: str
    examples: int
    flop: float | None
    peak: float
    kernels: dict[str, Measured | str]

    def as_json(self) -> dict[str, Any]:
        """All of it, and what follows from it, as a JSON object."""
        ran = [found for found in self.kernels.values() if isinstance(found, Measured)]
        return {
            "versions": versions(),
            "device": self.device,
            "batch_size": self.rows,
            "parts": self.parts,
            "examples": self.examples,
            "flop_per_example": self.flop,
            "peak_gflop_per_second": self.peak / 1e9,
            "kernels": [
                {"kernel": name, "refused": found} if isinstance(found, str) else self._row(name, found, ran[0])
                for name, found in self.kernels.items()
            ],
        }

    def _row(self, name: str, found: Measured, first: Measured) -> dict[str, Any]:
        rate = None if self.flop is None else self.flop * self.rows / found.step_seconds
        return {
            "kernel": name,
            "layers": {k: {"kernel": c.kernel, "reason": c.reason} for k, c in found.layers.items()},
            "examples_per_second": self.rows / found.step_seconds,
            "ms_per_step": 1e3 * found.step_seconds,
            "least_ms_per_step": 1e3 * found.least_step_seconds,
            "steps": found.steps,
            "compile_seconds": found.compile_seconds,
            "compilation_cache": found.cache,
            "gflop_per_second": None if rate is None else rate / 1e9,
            "share_of_peak": None if rate is None else rate / self.peak,
            "peak_memory_mib": found.peak_memory / 2**20,
            "times_the_first": first.step_seconds / found.step_seconds,
            "logits_difference": found.logits_difference,
        }


def measure(
    configs: dict[str, Config | str],
    sizes: Sizes,
    examples: Examples,
    runtime: Runtime,
    seconds: float,
    places: Places = NOWHERE,
    quiet: bool = False,
) -> Report:
    """Train by each kernel for a while.

    Args:
        configs: By the kernel's name a config that asks for it, all else equal, or why it cannot run.
        sizes: What the data says of vocabularies and lengths.
        examples: What is trained on.
        runtime: Where to run.
        seconds: How long to measure each kernel, after its first call with each shape of a batch.
        places: Where the class of a custom cell is looked for.
        quiet: Show no bar, on a terminal either.

    Raises:
        RnncliError: No kernel can run; why the first that was tried cannot.
    """
    peaks = [machine_rate(runtime.on_gpu)]  # and after each kernel, lest the machine be busy with something else once
    bench = Bench(sizes, examples, runtime, seconds, places, quiet)
    found: dict[str, Measured | str] = {}
    failures: list[RnncliError] = []
    for name, config in configs.items():
        try:
            found[name] = config if isinstance(config, str) else bench.kernel(name, config)
        except RnncliError as error:
            failures.append(error)
            found[name] = error.message
        else:
            peaks.append(machine_rate(runtime.on_gpu))
    if all(isinstance(result, str) for result in found.values()) and failures:
        raise failures[0]
    config = next(config for config in configs.values() if isinstance(config, Config))
    return Report(
        rows=min(config.training.batch_size, len(examples)),
        parts=runtime.parts,
        device="gpu" if runtime.on_gpu else "cpu",
        examples=len(examples),
        flop=needed_flop(config.model, sizes, examples),
        peak=max(peaks),
        kernels=found,
    )


class Bench:
    """Measures kernels one after the other; see `measure`."""

    def __init__(
        self, sizes: Sizes, examples: Examples, runtime: Runtime, seconds: float, places: Places, quiet: bool
    ) -> None:
        self.sizes, self.examples, self.runtime = sizes, examples, runtime
        self.seconds, self.places, self.quiet = seconds, places, quiet
        self.weights: Arrays = {}  # of the first kernel, before it trains
        self.logits = np.zeros(0, np.float32)

    def kernel(self, name: str, config: Config) -> Measured:
        """Measure the kernel that a config asks for.

        Raises:
            RnncliError: It cannot run.
        """
        keras.utils.set_random_seed(config.training.seed)
        with self.runtime.strategy.scope():
            model = build_model(config, self.sizes, self.runtime.on_gpu, self.places)
        if self.runtime.on_gpu:
            tf.config.experimental.reset_memory_stats("GPU:0")
        batches = Batches(config, self.examples, self.runtime.parts)
        difference = self._same_start(model, batches.rows)
        step = build_step(config, batches, model, self.runtime)
        whole = max(1, len(self.examples) // batches.rows)  # a short last batch would count as a quick one
        order = batches.order(0)[:whole]
        firsts = [rows[None] for rows in order if batches.compiles(rows[None])]
        kept, began = kept_compilations(), time.perf_counter()
        for rows in firsts:
            step(rows, 0)
        compile_seconds = time.perf_counter() - began
        xla = not self.runtime.on_gpu and kept_compilations() is not None
        steps, taken = self._calls(step, order, name)
        return Measured(
            layers={layer.prefix: layer.choice for layer in model.recurrent_layers},
            compile_seconds=compile_seconds,
            cache=("warm" if kept_compilations() == kept else "cold") if xla else None,
            step_seconds=float(np.median(taken)),
            least_step_seconds=min(taken),
            steps=steps,
            peak_memory=self._peak_memory(),
            logits_difference=difference,
        )

    def _same_start(self, model: Model, rows: int) -> float:
        """Give the model the first one's weights; returns how far its logits are from the first one's."""
        if self.weights:
            model.assign(self.weights)
        some = self.examples
        source, target = some.source[:rows].astype(model.source_dtype), some.target[:rows].astype(np.int32)
        with tf.device(self.runtime.device):
            values: NDArray[Any] = model.logits(
                *map(tf.constant, (source, some.source_lengths[:rows], target))
            ).numpy()
        counted = np.arange(target.shape[1]) < some.target_lengths[:rows, None]
        logits = values[counted].astype(np.float32)  # kernels may differ behind the end of a row
        if not self.weights:
            self.weights, self.logits = model.arrays(), logits
        return float(np.abs(logits - self.logits).max(initial=0.0))

    def _calls(self, step: TrainStep, order: NDArray[np.int32], name: str) -> tuple[int, list[float]]:
        """Steps done, and seconds a step of each call; calls grow first to a length that is worth timing."""
        shortest = min(CALL_SECONDS, self.seconds / FEWEST_CALLS)
        done, count, steps, spent = 1, 1, 0, 0.0
        taken: list[float] = []
        form = "{desc} {percentage:3.0f}%|{bar}| {remaining}"
        with bar(self.seconds, name, " s", shown=not self.quiet, bar_format=form) as shown:
            while spent < self.seconds or len(taken) < FEWEST_CALLS:
                rows = order.take(range(done, done + count), axis=0, mode="wrap")
                began = time.perf_counter()
                step(rows, done)
                seconds = time.perf_counter() - began
                done += count
                if taken or seconds >= shortest / 2:
                    taken.append(seconds / count)
                    steps, spent = steps + count, spent + seconds
                    shown.update(min(seconds, self.seconds - shown.n))
                count = int(np.clip(count * shortest / seconds, 1, 2 * count))
        return steps, taken

    def _peak_memory(self) -> int:
        if self.runtime.on_gpu:
            return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB


def kept_compilations() -> int | None:
    """How many the persistent cache holds; None where there is none."""
    directory = compilation.cache_directory(versions())
    return None if directory is None else len(list(directory.iterdir()))
