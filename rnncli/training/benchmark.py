"""How fast a config trains, beside the machine's own peak."""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rnncli.config import Config
from rnncli.data.examples import Examples, Sizes
from rnncli.models import build_model
from rnncli.runtime import xla as compilation
from rnncli.runtime.host import peak_memory_bytes
from rnncli.runtime.tensorflow_setup import Runtime, versions
from rnncli.runtime.user_code import NO_SEARCH_PATH, ModuleSearchPath
from rnncli.training.batches import Batches, build_step
from rnncli.training.benchmark_report import Measured, Start
from rnncli.training.loop import CALL_SECONDS
from rnncli.training.peak_flops import machine_rate
from rnncli.training.progress import bar
from rnncli.training.step import TrainStep

FEWEST_CALLS = 3


class Bench:
    """Measures the kernel that a config asks for.

    Args:
        config: Asks for a kernel.
        sizes: What the data says of vocabularies and lengths.
        examples: What is trained on.
        runtime: Where to run.
        search_path: Where the class of a custom cell is looked for.

    Raises:
        RnncliError: The kernel cannot run.
    """

    def __init__(
        self,
        config: Config,
        sizes: Sizes,
        examples: Examples,
        runtime: Runtime,
        search_path: ModuleSearchPath = NO_SEARCH_PATH,
    ) -> None:
        self.config, self.examples, self.runtime = config, examples, runtime
        keras.utils.set_random_seed(config.training.seed)
        with runtime.strategy.scope():
            self.model = build_model(config, sizes, runtime.on_gpu, search_path)

    def start(self, given: Start | None = None) -> Start:
        """What the kernel starts from, and what it makes of it; given another's, from the same weights."""
        if given is not None:
            self.model.assign(given.weights)
        some, rows = self.examples, self.config.training.batch_size
        source, target = some.source[:rows].astype(self.model.source_dtype), some.target[:rows].astype(np.int32)
        with tf.device(self.runtime.device):
            values: NDArray[Any] = self.model.logits(
                *map(tf.constant, (source, some.source_lengths[:rows], target))
            ).numpy()
        counted = np.arange(target.shape[1]) < some.target_lengths[:rows, None]
        return Start(self.model.arrays(), values[counted].astype(np.float32))  # kernels may differ behind a row's end

    def measure(self, seconds: float, quiet: bool, first: Start | None = None) -> tuple[Measured, Start]:
        """Train for a while.

        Args:
            seconds: How long to measure, after the first call with each shape of a batch.
            quiet: Show no bar, on a terminal either.
            first: Of the kernel to compare with.
        """
        runtime, model = self.runtime, self.model
        peak = machine_rate(runtime.on_gpu)
        if runtime.on_gpu:
            tf.config.experimental.reset_memory_stats("GPU:0")
        start = self.start(first)
        batches = Batches(self.config, self.examples, runtime.parts)
        step = build_step(self.config, batches, model, runtime)
        whole = max(1, len(self.examples) // batches.rows)  # a short last batch would count as a quick one
        order = batches.order(0)[:whole]
        firsts = [rows[None] for rows in order if batches.compiles(rows[None])]
        kept, began = kept_compilations(), time.perf_counter()
        for rows in firsts:
            step(rows, 0)
        compile_seconds = time.perf_counter() - began
        xla = not runtime.on_gpu and kept_compilations() is not None
        cache = ("warm" if kept_compilations() == kept else "cold") if xla else None
        steps, taken = timed(step, order, seconds, self.config.runtime.kernel, quiet)
        memory = self._peak_memory()
        peak = max(peak, machine_rate(runtime.on_gpu))  # lest the machine was busy with something else once
        found = Measured(
            layers={x.prefix: {"kernel": x.choice.kernel, "reason": x.choice.reason} for x in model.recurrent_layers},
            device="gpu" if runtime.on_gpu else "cpu",
            parts=runtime.parts,
            peak=peak,
            compile_seconds=compile_seconds,
            cache=cache,
            step_seconds=float(np.median(taken)),
            least_step_seconds=min(taken),
            steps=steps,
            peak_memory=memory,
            logits_difference=float(np.abs(start.logits - (first or start).logits).max(initial=0.0)),
        )
        return found, start

    def _peak_memory(self) -> int:
        if self.runtime.on_gpu:
            return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
        return peak_memory_bytes()


def timed(
    step: TrainStep, order: NDArray[np.int32], seconds: float, name: str, quiet: bool
) -> tuple[int, list[float]]:
    """Steps done, and seconds a step of each call; calls grow first to a length that is worth timing.

    Args:
        step: It has compiled.
        order: Batches for it, over and over.
        seconds: How long.
        name: On the bar.
        quiet: Show none.
    """
    shortest = min(CALL_SECONDS, seconds / FEWEST_CALLS)
    done, count, steps, spent = 1, 1, 0, 0.0
    taken: list[float] = []
    form = "{desc} {percentage:3.0f}%|{bar}| {remaining}"
    with bar(seconds, name, " s", shown=not quiet, bar_format=form) as shown:
        while spent < seconds or len(taken) < FEWEST_CALLS:
            rows = order.take(range(done, done + count), axis=0, mode="wrap")
            began = time.perf_counter()
            step(rows, done)
            lasted = time.perf_counter() - began
            done += count
            if taken or lasted >= shortest / 2:
                taken.append(lasted / count)
                steps, spent = steps + count, spent + lasted
                shown.update(min(lasted, seconds - shown.n))
            count = int(np.clip(count * shortest / lasted, 1, 2 * count))
    return steps, taken


def kept_compilations() -> int | None:
    """How many the persistent cache holds; None where there is none."""
    directory = compilation.cache_directory(versions())
    return None if directory is None else len(list(directory.iterdir()))
