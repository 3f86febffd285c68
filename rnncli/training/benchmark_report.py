"""How fast kernels train, and what follows from it; nothing here imports TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncli.runs.arrays import Arrays
from rnncli.runtime.tensorflow_setup import versions


class Start(NamedTuple):
    """What kernels that are compared have in common, and by which they are held to it.

    Attributes:
        weights: Of the model, before it trains.
        logits: On one batch, float32 [symbols that count, symbols].
    """

    weights: Arrays
    logits: NDArray[np.float32]


@dataclass(frozen=True)
class Measured:
    """How fast a kernel trains.

    Attributes:
        layers: The kernel that ran each recurrent layer, and the reason, by the prefix of its states.
        device: `cpu` or `gpu`.
        parts: Parts of a batch that are computed side by side.
        peak: FLOP a second of the machine's own product of matrices.
        compile_seconds: Of the first call with each shape of a batch: tracing, compiling and one step.
        cache: `warm` where XLA found all its compilations in the persistent cache, `cold` where it made some; None
            where nothing is kept.
        step_seconds: The median over calls of several steps each.
        least_step_seconds: The least.
        steps: Measured in all.
        peak_memory: Bytes: of the GPU; on a CPU of the process.
        logits_difference: The largest difference of a logit on one batch from the first kernel's, before training.
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
class Report:
    """What was measured.

    Attributes:
        rows: Examples of a batch.
        examples: That the config trains on.
        flop: That one example needs, where that is known; see `needed_flop`.
        kernels: By the name that was asked for; of one that cannot run, why. One at least ran.
    """

    rows: int
    examples: int
    flop: float | None
    kernels: dict[str, Measured | str]

    def as_json(self) -> dict[str, Any]:
        """All of it, and what follows from it, as a JSON object."""
        ran = [found for found in self.kernels.values() if isinstance(found, Measured)]
        peak = max(found.peak for found in ran)  # the machine may have been busy with something else once
        return {
            "versions": versions(),
            "device": ran[0].device,
            "batch_size": self.rows,
            "parts": ran[0].parts,
            "examples": self.examples,
            "flop_per_example": self.flop,
            "peak_gflop_per_second": peak / 1e9,
            "kernels": [
                {"kernel": name, "refused": found} if isinstance(found, str) else self._row(name, found, ran[0], peak)
                for name, found in self.kernels.items()
            ],
        }

    def _row(self, name: str, found: Measured, first: Measured, peak: float) -> dict[str, Any]:
        rate = None if self.flop is None else self.flop * self.rows / found.step_seconds
        return {
            "kernel": name,
            "layers": found.layers,
            "examples_per_second": self.rows / found.step_seconds,
            "ms_per_step": 1e3 * found.step_seconds,
            "least_ms_per_step": 1e3 * found.least_step_seconds,
            "steps": found.steps,
            "compile_seconds": found.compile_seconds,
            "compilation_cache": found.cache,
            "gflop_per_second": None if rate is None else rate / 1e9,
            "share_of_peak": None if rate is None else rate / peak,
            "peak_memory_mib": found.peak_memory / 2**20,
            "times_the_first": first.step_seconds / found.step_seconds,
            "logits_difference": found.logits_difference,
        }
