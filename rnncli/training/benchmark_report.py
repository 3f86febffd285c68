"""Results of a benchmark and the figures derived from them. Imports no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncli.runs.arrays import Arrays
from rnncli.runtime.tensorflow_setup import versions


class BenchmarkBaseline(NamedTuple):
    """The first kernel's starting point, which the other kernels of a comparison share.

    Attributes:
        weights: The weights of the model before training, by name.
        logits: The logits of one batch with these weights, float32 [real target symbols, vocabulary].
    """

    weights: Arrays
    logits: NDArray[np.float32]


@dataclass(frozen=True)
class KernelTiming:
    """The measured training speed of one kernel.

    Attributes:
        layers: For each recurrent layer, by its name, the `kernel` that ran it and the `reason`.
        device: `cpu` or `gpu`.
        parts: Shards of a batch.
        peak: FLOP/s of a large matrix product on this machine.
        compile_seconds: Seconds of the first step of each batch shape: tracing, compiling, running.
        cache: `warm` if XLA found all compilations in the persistent cache, `cold` if not; None without a cache.
        step_seconds: Seconds a step, the median over calls of several steps each.
        least_step_seconds: Seconds a step, the minimum over calls.
        steps: Number of measured steps.
        peak_memory: Bytes: of GPU memory, or of the process on a CPU.
        logits_difference: The largest absolute difference from the logits of the first kernel.
    """

    layers: dict[str, dict[str, str]]
    device: str
    parts: int
    peak: float
    compile_seconds: float
    cache: str | None
    step_seconds: float
    least_step_seconds: float
    steps: int
    peak_memory: int
    logits_difference: float


@dataclass(frozen=True)
class BenchmarkReport:
    """The results of a benchmark.

    Attributes:
        rows: The mini-batch size.
        examples: The number of training examples.
        flop: FLOP of one example, if known; see `needed_flop`.
        kernels: The timing of each kernel by its name, or the reason that it cannot run. At least one ran.
    """

    rows: int
    examples: int
    flop: float | None
    kernels: dict[str, KernelTiming | str]

    def as_json(self) -> dict[str, Any]:
        """Return the report, with derived figures, as a JSON object."""
        timings = [found for found in self.kernels.values() if isinstance(found, KernelTiming)]
        peak = max(timing.peak for timing in timings)  # one measurement may have been disturbed
        return {
            "versions": versions(),
            "device": timings[0].device,
            "batch_size": self.rows,
            "parts": timings[0].parts,
            "examples": self.examples,
            "flop_per_example": self.flop,
            "peak_gflop_per_second": peak / 1e9,
            "kernels": [
                {"kernel": name, "refused": found}
                if isinstance(found, str)
                else self._row(name, found, timings[0], peak)
                for name, found in self.kernels.items()
            ],
        }

    def _row(self, name: str, timing: KernelTiming, first: KernelTiming, peak: float) -> dict[str, Any]:
        rate = None if self.flop is None else self.flop * self.rows / timing.step_seconds
        return {
            "kernel": name,
            "layers": timing.layers,
            "examples_per_second": self.rows / timing.step_seconds,
            "ms_per_step": 1e3 * timing.step_seconds,
            "least_ms_per_step": 1e3 * timing.least_step_seconds,
            "steps": timing.steps,
            "compile_seconds": timing.compile_seconds,
            "compilation_cache": timing.cache,
            "gflop_per_second": None if rate is None else rate / 1e9,
            "share_of_peak": None if rate is None else rate / peak,
            "peak_memory_mib": timing.peak_memory / 2**20,
            "times_the_first": first.step_seconds / timing.step_seconds,
            "logits_difference": timing.logits_difference,
        }
