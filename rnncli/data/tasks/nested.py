"""Generated sequences whose steps are structures, a vector and a matrix each; the class follows from all steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Columns, NestedTask
from rnncli.data.examples import Examples, Sizes
from rnncli.data.parsing import bad_line, read_class, read_numbers
from rnncli.data.vocabulary import Vocabularies, Vocabulary


class Nested:
    """The task of telling the class of a sequence from the sum, over its steps, of a hidden function of each step.

    The function has a value for each class: tanh of a linear function of the vector, plus tanh of one of the matrix.
    The class is the one with the largest sum, so that no step decides alone. Numbers are normally distributed and
    rounded to two decimals, so that a sequence is read again as it is shown.

    Args:
        config: The task's section of the config.
    """

    columns = Columns()

    def __init__(self, config: NestedTask, _recorded: Vocabularies | None = None) -> None:
        self.config = config
        self.source_vocabulary = Vocabulary(())
        self.target_vocabulary = Vocabulary(tuple(map(str, range(config.classes))))
        parts = ((config.vector,), tuple(config.matrix))
        self.features = sum(map(math.prod, parts))
        self.sizes = Sizes(0, config.steps, config.classes, 1, self.features, parts)

    def splits(self) -> tuple[Examples, Examples]:
        """The sequences to train on and those to measure on."""
        config, rng = self.config, np.random.default_rng(self.config.seed)
        hidden = rng.normal(0, 1, (self.features, config.classes))
        source = rng.normal(0, 1, (config.examples, config.steps, self.features)).round(2).astype(np.float32)
        lengths = rng.integers(max(1, config.steps // 2), config.steps + 1, config.examples, np.int32)
        source[np.arange(config.steps) >= lengths[:, None]] = 0
        target = self._sums(source, hidden).argmax(axis=1)[:, None].astype(np.int32)
        ones = np.ones(config.examples, np.int32)
        train, test = slice(config.held_out, None), slice(config.held_out)
        return (
            Examples(source[train], lengths[train], target[train], ones[train]),
            Examples(source[test], lengths[test], target[test], ones[test]),
        )

    def _sums(self, source: NDArray[np.float32], hidden: NDArray[np.float64]) -> NDArray[np.float64]:
        """[examples, steps, features] and [features, classes] to [examples, classes]; zeros add nothing."""
        vector = self.config.vector
        halves = (slice(None, vector), slice(vector, None))
        values = (np.tanh(source[..., half] @ hidden[half] / math.sqrt(len(hidden[half]))) for half in halves)
        sums: NDArray[np.float64] = np.sum(list(values), axis=(0, 2))
        return sums

    def read_source(self, text: str) -> list[list[float]]:
        """The steps of a sequence written as its numbers, of each step the vector and the matrix row by row."""
        numbers, size, steps = read_numbers(text, "numbers"), self.features, self.config.steps
        if len(numbers) % size or len(numbers) > steps * size:
            raise bad_line(f"{len(numbers)} numbers; a sequence has 1 to {steps} steps of {size}", text)
        if not all(map(math.isfinite, numbers)):
            raise bad_line("a number is not finite", text)
        return [numbers[i : i + size] for i in range(0, len(numbers), size)]

    def read_target(self, text: str) -> list[int]:
        """The id of a class."""
        return read_class(text, self.target_vocabulary)

    def show_source(self, ids: Sequence[Sequence[float]]) -> str:
        """The numbers of all steps."""
        return ",".join(f"{number:.4g}" for step in ids for number in step)

    def show_target(self, ids: Sequence[int]) -> str:
        """The class."""
        return "".join(self.target_vocabulary.decode(ids))

    def answer(self, source: str) -> str | None:  # noqa: ARG002 (the function is hidden)
        """Nothing: a sequence does not say its class."""
        return None
