"""How answers are looked for: greedily, by a beam, or by chance. Imports no TensorFlow."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Model
from rnncli.errors import InputError

MOST_HYPOTHESES, MOST_SYMBOLS, MOST_SEED = 512, 10_000, 2**63 - 1
"""Of a source, of an answer; the largest seed."""


@dataclass(frozen=True)
class Search:
    """How answers are looked for; by itself greedily, the likeliest symbol at every step.

    Attributes:
        beam: Unfinished hypotheses that are kept at every step; 1 is greedy.
        n_best: Answers to a source: the best ones, at most as many as the beam, or so many samples.
        length_penalty: How much more longer hypotheses count; see `rnncli.beam`. 0 is not at all.
        max_length: Most symbols of an answer, its end included; None is as the model was trained.
        temperature: Answers are drawn by chance, from probabilities to the power of 1 over it; None is not by chance.
        seed: With a source's line it decides what chance says.

    Raises:
        InputError: A value is none, or goes with no other.
    """

    beam: int = 1
    n_best: int = 1
    length_penalty: float = 0.0
    max_length: int | None = None
    temperature: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, most in (
            ("beam", self.beam, MOST_HYPOTHESES),
            ("n-best", self.n_best, MOST_HYPOTHESES),
            ("max-length", self.max_length, MOST_SYMBOLS),
        ):
            if value is not None and not 1 <= value <= most:
                raise InputError(f"{name} is {value}; it must be from 1 to {most:,}")
        if not 0 <= self.seed <= MOST_SEED:
            raise InputError(f"seed is {self.seed}; it must be from 0 to {MOST_SEED}")
        if not (math.isfinite(self.length_penalty) and self.length_penalty >= 0):
            raise InputError(f"length-penalty is {self.length_penalty}; it must be 0 or more")
        if self.temperature is not None and not (math.isfinite(self.temperature) and self.temperature > 0):
            raise InputError(f"temperature is {self.temperature}; it must be more than 0")
        if self.seed and self.temperature is None:
            raise InputError("a seed goes with samples", "leave it out, or ask for samples")
        if self.temperature is not None and self.beam > 1:
            raise InputError("samples are drawn one by one, without a beam", "leave out --beam or --sample")
        if self.temperature is None and self.n_best > self.beam:
            raise InputError(
                f"a beam of {self.beam} does not give the {self.n_best} best", f"use --beam {self.n_best} or more"
            )
        if self.length_penalty and self.beam == 1:
            raise InputError("a length-penalty ranks the hypotheses of a beam, and there is none", "use --beam 5")

    @property
    def width(self) -> int:
        """Hypotheses of each source that are computed side by side."""
        return self.beam if self.temperature is None else self.n_best

    def check(self, model: Model) -> None:
        """Make sure that a model can be searched so.

        Raises:
            InputError: It answers at once, and this is more than its likeliest answer.
        """
        if model.type == "encoder_decoder" or self == Search():
            return
        given = next(field.name for field in fields(self) if getattr(self, field.name) != field.default)
        option = {"temperature": "sample"}.get(given, given.replace("_", "-"))
        raise InputError(
            f"{option} is for models that write symbol by symbol; this one is a {model.type}, which answers at once",
            "model.type: encoder_decoder writes symbol by symbol",
        )

    def noise(self, lines: NDArray[np.integer], steps: int) -> NDArray[np.float32]:
        """What chance says to sources, uniform in [0, 1), float32 [sources, n_best, steps].

        Every number follows from the seed, the source's line, the sample and the step alone (Philox, Salmon et al.
        2011, "Parallel Random Numbers: As Easy as 1, 2, 3": the seed is its key, the rest its counter).

        Args:
            lines: The number of each source's line, int [sources].
            steps: Most symbols of a sample.
        """
        noise = np.empty((len(lines), self.n_best, steps), np.float32)
        for row, line in enumerate(lines.tolist()):
            for sample in range(self.n_best):
                bits = np.random.Philox(key=self.seed, counter=[0, 0, sample, line])
                noise[row, sample] = np.random.Generator(bits).random(steps, np.float32)
        return noise
