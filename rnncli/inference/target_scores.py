"""Log probabilities of given targets or texts, symbol by symbol (forced decoding)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from rnncli.data.examples import Steps
from rnncli.data.padding import pad_sources, pad_steps
from rnncli.data.parsing import bad_line, read_example
from rnncli.data.task import Task, WritesText, symbols_to_write
from rnncli.errors import DataError, RunFailedError, option_words
from rnncli.inference.batching import BATCH_ROWS
from rnncli.inference.decoder import Decoder
from rnncli.inference.decoding import States

CHUNK_LINES = 16 * BATCH_ROWS
"""Lines scored together."""


@dataclass(frozen=True)
class TargetScore:
    """The score of a line.

    Attributes:
        source: The source; of a text what stands before it.
        target: The target, or the text.
        symbols: Its symbols, end-of-sequence included, each with its natural-log probability given those before it.
        error: The error of an invalid line, which has no symbols.
        hint: A remedy for the error.
    """

    source: str
    target: str
    symbols: tuple[tuple[str, float], ...] = ()
    error: str | None = None
    hint: str = ""

    @property
    def score(self) -> float | None:
        """The natural-log probability of the target; None for invalid lines."""
        return None if self.error is not None else math.fsum(value for _, value in self.symbols)


@dataclass(frozen=True)
class _Row:
    source: Steps
    target: Sequence[int]
    shown: tuple[str, str]


class TargetScorer:
    """Scores lines of sources and targets, or for a model of texts lines of text.

    Args:
        decoder: Runs the model.
        task: The task of the lines.
        prime: For models of texts, the text that stands before each line.

    Raises:
        DataError: The prime is not text, or empty.
    """

    def __init__(self, decoder: Decoder, task: Task, prime: str = "\n") -> None:
        self.decoder, self.task, self.prime = decoder, task, prime
        self._read: Callable[[str], _Row] = self._read_pair
        self._score: Callable[[list[_Row]], list[NDArray[np.float32]]] = self._score_pairs
        if isinstance(task, WritesText):
            self._before = task.read_prime(prime)
            self._writes = task
            if not self._before:
                what = f"{option_words('prime')}: empty; the first symbol of a line needs one before it"
                raise DataError(what, "give a text")
            self._read, self._score = self._read_text, self._score_texts

    def __call__(self, lines: Iterable[str]) -> Iterator[list[TargetScore]]:
        """Yield the scores of lines, in lists, in order."""
        rest = iter(lines)
        while chunk := list(islice(rest, CHUNK_LINES)):
            yield self.score(chunk)

    def score(self, lines: Sequence[str]) -> list[TargetScore]:
        """Return the score of each line, invalid lines included."""
        found: list[_Row | TargetScore] = []
        for line in lines:
            try:
                found.append(self._read(line))
            except DataError as error:
                found.append(TargetScore(line, "", error=error.message, hint=error.hint))
        rows = [each for each in found if isinstance(each, _Row)]
        scored = iter(self._score(rows) if rows else [])
        return [each if isinstance(each, TargetScore) else self._shown(each, next(scored)) for each in found]

    def _shown(self, row: _Row, values: NDArray[np.float32]) -> TargetScore:
        if np.isnan(values).any():
            raise RunFailedError("a probability is NaN; the model has probably diverged", "train it again")
        known = symbols_to_write(self.task, row.shown[0])
        symbols = [known[index] for index in row.target]
        pairs = zip(symbols, values[: len(symbols)].tolist(), strict=True)
        return TargetScore(*row.shown, tuple(pairs))

    def _read_pair(self, line: str) -> _Row:
        return _Row(*read_example(self.task, line))

    def _score_pairs(self, rows: list[_Row]) -> list[NDArray[np.float32]]:
        sources, lengths = pad_sources(self.task.sizes, [row.source for row in rows])
        targets, _ = pad_steps([row.target for row in rows], max(len(row.target) for row in rows))
        return list(self.decoder.score(sources, lengths, targets)[0])

    def _read_text(self, line: str) -> _Row:
        ids = self._writes.read_prime(line, count=True)
        if not ids:
            raise bad_line("no text", line)
        return _Row([*self._before, *ids][:-1], ids, (self.prime, line))

    def _score_texts(self, rows: list[_Row]) -> list[NDArray[np.float32]]:
        """Score texts of any length, a window of the model at a time, from the states after the one before."""
        scores = [np.zeros(0, np.float32) for _ in rows]
        size, skipped = self.task.sizes.source_steps, len(self._before) - 1
        states: States = {}
        left = list(range(len(rows)))
        for at in range(0, max(len(row.source) for row in rows), size):
            going_on = [row for row in left if len(rows[row].source) > at]
            kept = [left.index(row) for row in going_on]
            initial = {name: value[kept] for name, value in states.items()} or None
            sources, lengths = pad_steps([rows[row].source[at : at + size] for row in going_on], size)
            targets, _ = pad_steps([self._next(rows[row])[at : at + size] for row in going_on], size)
            found, states = self.decoder.score(sources, lengths, targets, initial)
            for row, values, length in zip(going_on, found, lengths.tolist(), strict=True):
                scores[row] = np.concatenate([scores[row], values[:length]])
            left = going_on
        return [each[skipped:] for each in scores]

    def _next(self, row: _Row) -> list[int]:
        """Return the symbol after each symbol of a row's source."""
        return [*self._before[1:], *row.target]
