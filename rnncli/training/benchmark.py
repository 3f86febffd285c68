"""Measurement of training speed, compared with the peak of the machine."""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rnncli.models import build_model
from rnncli.runtime.host import peak_memory_bytes
from rnncli.runtime.tensorflow_setup import Runtime, cached_compilations
from rnncli.terminal import bar
from rnncli.training.batches import Batches, build_step
from rnncli.training.benchmark_report import BenchmarkBaseline, KernelTiming
from rnncli.training.inputs import TrainingInputs
from rnncli.training.loop import CALL_SECONDS
from rnncli.training.peak_flops import measure_peak_flops
from rnncli.training.step import TrainStep

MIN_CALLS = 3
"""A median needs at least this many calls."""


class Benchmark:
    """Measures how fast a config trains with the kernel that it selects.

    Args:
        inputs: The config and its data.
        runtime: The device and its parallelism.

    Raises:
        RnncliError: The kernel cannot run.
    """

    def __init__(self, inputs: TrainingInputs, runtime: Runtime) -> None:
        self.config, self.runtime = inputs.config, runtime
        self.examples, _ = inputs.splits
        keras.utils.set_random_seed(self.config.training.seed)
        with runtime.strategy.scope():
            self.model = build_model(self.config, inputs.task.sizes, runtime.on_gpu, inputs.search_path)

    def baseline(self, first: BenchmarkBaseline | None = None) -> BenchmarkBaseline:
        """Return the model's weights and its logits, after setting the weights to those of `first` if given."""
        if first is not None:
            self.model.assign(first.weights)
        examples = self.examples.rows(slice(self.config.training.batch_size)).in_memory()
        target = examples.target
        arguments = examples.source.astype(self.model.source_dtype), examples.source_lengths, target.astype(np.int32)
        with tf.device(self.runtime.device):
            logits: NDArray[Any] = self.model.logits(*map(tf.constant, arguments)).numpy()
        real = np.arange(target.shape[1]) < examples.target_lengths[:, None]  # kernels may differ in padding
        return BenchmarkBaseline(self.model.arrays(), logits[real].astype(np.float32))

    def measure(
        self, seconds: float, quiet: bool, first: BenchmarkBaseline | None = None
    ) -> tuple[KernelTiming, BenchmarkBaseline]:
        """Train for a while and return the timing, with the baseline that it started from.

        Args:
            seconds: How long to measure, not counting the first call of each batch shape.
            quiet: True shows no progress bar.
            first: The baseline of the kernel to compare with.
        """
        runtime, model = self.runtime, self.model
        peak_seconds = min(1.0, seconds)
        peak = measure_peak_flops(runtime.on_gpu, peak_seconds)
        if runtime.on_gpu:
            tf.config.experimental.reset_memory_stats("GPU:0")
        baseline = self.baseline(first)
        batches = Batches(self.config, self.examples, runtime.shards)
        step = build_step(self.config, batches, model, runtime)
        full = max(1, len(self.examples) // batches.rows)  # a short last batch would count as a fast one
        order = batches.order(0)[:full]
        compile_seconds, cache = self._compile(step, [rows[None] for rows in order if batches.compiles(rows[None])])
        steps, step_seconds = time_steps(step, order, seconds, self.config.runtime.kernel, quiet)
        memory = self._peak_memory()
        peak = max(peak, measure_peak_flops(runtime.on_gpu, peak_seconds))  # the first may have been disturbed
        timing = KernelTiming(
            layers={x.prefix: {"kernel": x.choice.kernel, "reason": x.choice.reason} for x in model.recurrent_layers},
            device="gpu" if runtime.on_gpu else "cpu",
            parts=runtime.shards,
            peak=peak,
            compile_seconds=compile_seconds,
            cache=cache,
            step_seconds=float(np.median(step_seconds)),
            least_step_seconds=min(step_seconds),
            steps=steps,
            peak_memory=memory,
            logits_difference=float(np.abs(baseline.logits - (first or baseline).logits).max(initial=0.0)),
        )
        return timing, baseline

    def _compile(self, step: TrainStep, batches: list[NDArray[np.int32]]) -> tuple[float, str | None]:
        """Train on one batch of each shape; return the seconds, and `warm` or `cold` for XLA's cache."""
        kept, began = cached_compilations(), time.perf_counter()
        for rows in batches:
            step(rows, 0)
        seconds = time.perf_counter() - began
        if self.runtime.on_gpu or kept is None:
            return seconds, None
        return seconds, "warm" if cached_compilations() == kept else "cold"

    def _peak_memory(self) -> int:
        if self.runtime.on_gpu:
            return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
        return peak_memory_bytes()


def time_steps(
    step: TrainStep, order: NDArray[np.int32], seconds: float, name: str, quiet: bool
) -> tuple[int, list[float]]:
    """Time calls of a compiled training step; calls first grow to a length that is worth timing.

    Args:
        step: The training step, compiled.
        order: The batches, int32 [batches, rows]; used again and again.
        seconds: How long to measure.
        name: The label of the progress bar.
        quiet: True shows no progress bar.

    Returns:
        The number of measured steps, and the seconds a step of each call.
    """
    min_call = min(CALL_SECONDS, seconds / MIN_CALLS)
    done, count, steps, spent = 1, 1, 0, 0.0
    step_seconds: list[float] = []
    bar_format = "{desc} {percentage:3.0f}%|{bar}| {remaining}"
    with bar(seconds, name, " s", shown=not quiet, bar_format=bar_format) as shown:
        while spent < seconds or len(step_seconds) < MIN_CALLS:
            rows = order.take(range(done, done + count), axis=0, mode="wrap")
            began = time.perf_counter()
            step(rows, done)
            lasted = time.perf_counter() - began
            done += count
            if step_seconds or lasted >= min_call / 2:
                step_seconds.append(lasted / count)
                steps, spent = steps + count, spent + lasted
                shown.update(min(lasted, seconds - shown.n))
            count = int(np.clip(count * min_call / lasted, 1, 2 * count))
    return steps, step_seconds
