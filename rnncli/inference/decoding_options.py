"""Options of decoding. Imports neither TensorFlow nor NumPy, so that help is quick."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING

from rnncli.errors import InputError, option_words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rnncli.config import Model

LIMITS = {
    "beam": (1, 512),
    "n_best": (1, 512),
    "max_length": (1, 10_000),
    "seed": (0, 2**63 - 1),
    "top_k": (1, 1_000_000),
}
"""Smallest and largest value of each integer option, by its name in `DecodingOptions`."""


@dataclass(frozen=True)
class DecodingOptions:
    """Options of decoding; the defaults are greedy decoding.

    Attributes:
        beam: Beam width: unfinished hypotheses kept at every step; 1 is greedy decoding.
        n_best: Hypotheses returned for each source: the best of the beam, or independent samples.
        length_penalty: Exponent of the length penalty of beam search (Wu et al. 2016); 0 is none.
        max_length: Maximum symbols of a prediction, end-of-sequence included; None is the longest target in training.
        sample: True samples from the model.
        temperature: Softmax temperature of sampling; above 0.
        seed: Seed of sampling; with a source's line number it determines the samples.
        top_k: Sample only from so many most probable symbols; None is all.
        top_p: Sample only from the most probable symbols that together have this probability; None is all.

    Raises:
        InputError: A value is out of range, or options contradict each other.
    """

    beam: int = 1
    n_best: int = 1
    length_penalty: float = 0.0
    max_length: int | None = None
    sample: bool = False
    temperature: float = 1.0
    seed: int = 0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise InputError(f"{option_words(name)} is {value}; it must be from {least} to {most:,}")
        if not (math.isfinite(self.length_penalty) and self.length_penalty >= 0):
            raise InputError(f"{option_words('length_penalty')} is {self.length_penalty}; it must be 0 or more")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise InputError(f"{option_words('temperature')} is {self.temperature}; it must be more than 0")
        check_top_p(self.top_p)
        self._refuse_contradictions()

    def _refuse_contradictions(self) -> None:
        beam, sample = (partial(option_words, name) for name in ("beam", "sample"))
        for name in ("temperature", "seed", "top_k", "top_p"):
            if not self.sample and getattr(self, name) != getattr(DecodingOptions, name):
                raise InputError(f"{option_words(name)} is for sampling", f"add {sample(True)}")
        if self.sample and self.beam > 1:
            raise InputError("sampling uses no beam", f"leave out {beam()} or {sample()}")
        if self.n_best > self.width:
            raise InputError(
                f"{option_words('n_best', self.n_best)} is more than the beam of {self.beam}",
                f"use {beam(self.n_best)} or {sample(True)}",
            )
        if self.length_penalty and self.beam == 1:
            raise InputError(f"{option_words('length_penalty')} is for beam search", f"add {beam(5)}")

    @property
    def filters(self) -> bool:
        """Return True if samples are of the most probable symbols only."""
        return self.top_k is not None or self.top_p is not None

    @property
    def width(self) -> int:
        """Rows that decode each source: one for each hypothesis of the beam, or for each sample."""
        return self.n_best if self.sample else self.beam

    def check(self, model: Model) -> None:
        """Refuse options that a model does not support.

        Raises:
            InputError: The model predicts all symbols at once, and an option is not the default.
        """
        if model.type == "encoder_decoder" or self == DecodingOptions():
            return
        given = next(field.name for field in fields(self) if getattr(self, field.name) != field.default)
        raise InputError(
            f"{option_words(given)} needs a model that predicts symbol by symbol, not model.type: {model.type}",
            "train one with model.type: encoder_decoder",
        )

    def sampling_uniforms(self, lines: NDArray[np.integer], steps: int) -> NDArray[np.float32]:
        """Return uniform random numbers in [0, 1) for sampling, float32 [sources, n_best, steps].

        Each number is a function of seed, line, sample and step only, so that samples do not depend on batches
        (Philox; Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3"; the seed is its key, the rest its
        counter).

        Args:
            lines: Line number of each source, int [sources].
            steps: Maximum symbols of a sample.
        """
        import numpy as np

        uniforms = np.empty((len(lines), self.n_best, steps), np.float32)
        for row, line in enumerate(lines.tolist()):
            for sample in range(self.n_best):
                bits = np.random.Philox(key=self.seed, counter=[0, 0, sample, line])
                uniforms[row, sample] = np.random.Generator(bits).random(steps, np.float32)
        return uniforms


def check_top_p(top_p: float | None) -> None:
    """Refuse what is no probability above 0.

    Raises:
        InputError: It is none.
    """
    if top_p is not None and not 0 < top_p <= 1:
        raise InputError(f"{option_words('top_p')} is {top_p}; it must be more than 0 and at most 1")
