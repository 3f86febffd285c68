"""Options of writing texts. Imports neither TensorFlow nor NumPy, so that help is quick."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rnncli.errors import InputError, option_words
from rnncli.inference.decoding_options import LIMITS, check_top_p

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 64
"""Symbols that one call writes at most, and random numbers of a block."""
MAX_LENGTH = 100_000_000
"""Symbols of a text."""


@dataclass(frozen=True)
class GenerationOptions:
    """Options of writing texts.

    Attributes:
        length: Symbols to write for each text.
        temperature: Softmax temperature; 0 always writes the most probable symbol.
        top_k: Sample only from so many most probable symbols; None is all.
        top_p: Sample only from the most probable symbols that together have this probability; None is all.
        seed: Seed of the random numbers; with a text's number and the place in it, it determines the sample.
        stop: A text ends after this; None is its length alone.

    Raises:
        InputError: A value is out of range.
    """

    length: int = 500
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0
    stop: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.length <= MAX_LENGTH:
            raise InputError(f"{option_words('length')} is {self.length}; it must be from 1 to {MAX_LENGTH:,}")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise InputError(f"{option_words('temperature')} is {self.temperature}; it must be 0 or more")
        for name in ("seed", "top_k"):
            (least, most), value = LIMITS[name], getattr(self, name)
            if value is not None and not least <= value <= most:
                raise InputError(f"{option_words(name)} is {value}; it must be from {least} to {most:,}")
        if self.stop == "":
            raise InputError(f"{option_words('stop')} is empty", "leave it out to write the whole length")
        check_top_p(self.top_p)
        if self.temperature == 0 and (self.top_k is not None or self.top_p is not None):
            what = f"{option_words('temperature', 0)} always takes the most probable symbol"
            raise InputError(what, f"leave out {option_words('top_k')} and {option_words('top_p')}")

    def uniforms(self, lines: Sequence[int], positions: Sequence[int], count: int) -> NDArray[np.float32]:
        """Return uniform random numbers in [0, 1), float32 [lines, count].

        Each is a function of seed, line and place in the text only (Philox; Salmon et al. 2011), a block of places at
        a time.

        Args:
            lines: Number of each text.
            positions: Number of symbols that were sampled before, of each text.
            count: Number of symbols.
        """
        import numpy as np

        def block(line: int, number: int) -> NDArray[np.float32]:
            bits = np.random.Philox(key=self.seed, counter=[0, 1 + number, 0, line])
            return np.random.Generator(bits).random(BLOCK, np.float32)

        rows = []
        for line, position in zip(lines, positions, strict=True):
            first, last = position // BLOCK, (position + count - 1) // BLOCK
            numbers = np.concatenate([block(line, number) for number in range(first, last + 1)])
            rows.append(numbers[position - first * BLOCK :][:count])
        return np.stack(rows)
