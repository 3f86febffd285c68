"""The task of classifying generated sequences whose steps are nested structures: a vector and a matrix each."""

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
    """The task of classifying sequences by the sum, over their steps, of a hidden function of each step.

    The function has a value for each class: tanh of a linear function of the vector, plus tanh of one of the matrix.
    The class with the largest sum is right, so that no step decides alone. Numbers are normally distributed and
    rounded to two decimals, so that the text of a sequence is exact.

    Args:
        config: The task's section of the config.
        recorded: Not used: the classes follow from the config.
    """

    columns = Columns()

    def __init__(self, config: NestedTask, recorded: Vocabularies | None = None) -> None:  # noqa: ARG002 (a task's)
        self.config = config
        self.source_vocabulary = Vocabulary(())
        self.target_vocabulary = Vocabulary(tuple(map(str, range(config.classes))))
        parts = ((config.vector,), tuple(config.matrix))
        self.features = sum(map(math.prod, parts))
        self.sizes = Sizes(0, config.steps, config.classes, 1, self.features, parts)

    def splits(self) -> tuple[Examples, Examples]:
        """Return training and held-out sequences."""
        config, rng = self.config, np.random.default_rng(self.config.seed)
        hidden = rng.normal(0, 1, (self.features, config.classes))
        source = rng.normal(0, 1, (config.examples, config.steps, self.features)).round(2).astype(np.float32)
        lengths = rng.integers(max(1, config.steps // 2), config.steps + 1, config.examples, np.int32)
        source[np.arange(config.steps) >= lengths[:, None]] = 0
        target = class_scores(source, hidden, config.vector).argmax(axis=1)[:, None].astype(np.int32)
        ones = np.ones(config.examples, np.int32)
        train, test = slice(config.held_out, None), slice(config.held_out)
        return (
            Examples(source[train], lengths[train], target[train], ones[train]),
            Examples(source[test], lengths[test], target[test], ones[test]),
        )

    def read_source(self, text: str) -> list[list[float]]:
        """Return the steps of a sequence that is given as numbers: of each step the vector, then the matrix by rows.

        Raises:
            DataError: The text is not such a sequence.
        """
        numbers, size, steps = read_numbers(text, "numbers"), self.features, self.config.steps
        if len(numbers) % size or len(numbers) > steps * size:
            raise bad_line(f"{len(numbers)} numbers; a sequence has 1 to {steps} steps of {size}", text)
        if not all(map(math.isfinite, numbers)):
            raise bad_line("a number is not finite", text)
        return [numbers[i : i + size] for i in range(0, len(numbers), size)]

    def read_target(self, text: str) -> list[int]:
        """Return the id of a class."""
        return read_class(text, self.target_vocabulary)

    def show_source(self, ids: Sequence[Sequence[float]]) -> str:
        """Return the numbers of all steps."""
        return ",".join(f"{number:.4g}" for step in ids for number in step)

    def show_target(self, ids: Sequence[int]) -> str:
        """Return a class."""
        return "".join(self.target_vocabulary.decode(ids))

    def answer(self, source: str) -> str | None:  # noqa: ARG002 (the function is hidden)
        """Return None: the function is hidden."""
        return None


def class_scores(source: NDArray[np.float32], weights: NDArray[np.float64], vector_size: int) -> NDArray[np.float64]:
    """Return the sum over steps of the hidden function, for each class; padding with zeros adds nothing.

    Args:
        source: [examples, steps, features]: of each step the vector, then the matrix.
        weights: [features, classes].
        vector_size: Numbers of the vector.

    Returns:
        [examples, classes].
    """
    halves = (slice(None, vector_size), slice(vector_size, None))
    values = (np.tanh(source[..., half] @ weights[half] / math.sqrt(len(weights[half]))) for half in halves)
    sums: NDArray[np.float64] = np.sum(list(values), axis=(0, 2))
    return sums
