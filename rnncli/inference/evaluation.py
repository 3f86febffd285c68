"""How good a trained model is on examples whose answers are known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncli.data.examples import Examples
from rnncli.data.task import HasGroups, Task
from rnncli.data.vocabulary import EOS, EOS_ID, PAD, Vocabulary
from rnncli.inference import metrics
from rnncli.inference.decoder import GREEDY, predict_examples
from rnncli.inference.decoding_options import Search
from rnncli.inference.predictor import TrainedRun

Interval = tuple[float, float]


@dataclass(frozen=True)
class Counts:
    """What some examples add up to.

    Attributes:
        examples: How many.
        exact: How many were right in every symbol.
        edits: That turn the targets into the predictions.
        symbols: Of the targets, their ends not counted.
    """

    examples: int
    exact: int
    edits: int
    symbols: int

    @property
    def exact_match(self) -> float:
        """The share of examples that were right in every symbol."""
        return self.exact / self.examples

    @property
    def word_error_rate(self) -> float:
        """The share of examples that were not, as in SIGMORPHON's shared tasks."""
        return (self.examples - self.exact) / self.examples

    @property
    def symbol_error_rate(self) -> float:
        """Edits over symbols, all examples together."""
        return metrics.rate(self.edits, self.symbols)

    def as_json(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        return {
            "examples": self.examples,
            "exact": self.exact,
            "exact_match": self.exact_match,
            "word_error_rate": self.word_error_rate,
            "symbol_error_rate": self.symbol_error_rate,
        }


@dataclass(frozen=True)
class Evaluation:
    """Figures over a set of examples; intervals hold 95% of what resamples of the examples give.

    Attributes:
        total: Of all examples.
        left_out: Examples that were too long, and count nowhere.
        symbol_accuracy: Share of target symbols, the end included, that stand in their place in the prediction.
        exact_match_interval: Of `total.exact_match`.
        symbol_error_rate_interval: Of `total.symbol_error_rate`.
        groups: For each kind of group (digits, carries), each group's figures.
    """

    total: Counts
    left_out: int
    symbol_accuracy: float
    exact_match_interval: Interval
    symbol_error_rate_interval: Interval
    groups: dict[str, dict[int | str, Counts]]

    @property
    def word_error_rate_interval(self) -> Interval:
        """Of `total.word_error_rate`."""
        low, high = self.exact_match_interval
        return 1 - high, 1 - low

    def as_json(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        return {
            **self.total.as_json(),
            "left_out": self.left_out,
            "symbol_accuracy": self.symbol_accuracy,
            "exact_match_interval": self.exact_match_interval,
            "word_error_rate_interval": self.word_error_rate_interval,
            "symbol_error_rate_interval": self.symbol_error_rate_interval,
            "groups": {
                kind: {str(value): counts.as_json() for value, counts in members.items()}
                for kind, members in self.groups.items()
            },
        }


class WrongAnswer(NamedTuple):
    """An example that was not right in every symbol.

    Attributes:
        example: Its number, or that of its line in a file; the first is 1.
        source: As somebody wrote it.
        prediction: What the model wrote, as a person writes it.
        target: What is right.
        edits: That turn the target into the prediction.
        alignment: Symbols of the target beside those of the prediction; None where only the other has one.
    """

    example: int
    source: str
    prediction: str
    target: str
    edits: int
    alignment: list[tuple[str | None, str | None]]


class Measured:
    """What a model wrote for examples, beside what is right.

    Args:
        task: Of the examples.
        examples: Their targets are what is right.
        predicted: What the model wrote, int [examples, target steps].
    """

    def __init__(self, task: Task, examples: Examples, predicted: NDArray[np.integer]) -> None:
        self.task, self.examples, self.predicted = task, examples, predicted
        self.exact = metrics.exact_match(predicted, examples.target)
        self._lengths = _content_lengths(examples.target, task.target_vocabulary)
        self._predicted_lengths = _content_lengths(predicted, task.target_vocabulary)
        self._wrong = np.flatnonzero(~self.exact)
        self.edits = np.zeros(len(examples), np.int64)
        self.edits[self._wrong] = metrics.edit_distances(*self._wrong_pairs())

    def _wrong_pairs(self) -> tuple[NDArray[np.integer], ...]:
        sides = (self.examples.target, self._lengths, self.predicted, self._predicted_lengths)
        return tuple(side[self._wrong] for side in sides)

    def evaluation(self, kinds: Sequence[str] = ()) -> Evaluation:
        """The figures.

        Args:
            kinds: Of groups that the task has, to break them down by.
        """
        ones = np.ones(len(self.examples), np.int64)
        right = metrics.symbols_right(self.predicted, self.examples.target, self.examples.target_lengths)
        return Evaluation(
            total=self._counts(slice(None)),
            left_out=self.examples.left_out,
            symbol_accuracy=float(right.sum() / self.examples.target_lengths.sum()),
            exact_match_interval=metrics.bootstrap_interval(self.exact.astype(np.int64), ones),
            symbol_error_rate_interval=metrics.bootstrap_interval(self.edits, self._lengths),
            groups=self._grouped(kinds) if kinds else {},
        )

    def wrong_answers(self) -> Iterator[WrongAnswer]:
        """The examples that were not right, in order."""
        show, symbols = self.task.show_target, self.task.target_vocabulary.symbols
        for row, way in zip(self._wrong.tolist(), metrics.alignments(*self._wrong_pairs()), strict=True):
            yield WrongAnswer(
                example=self.examples.texts[row].line if self.examples.texts else row + 1,
                source=self._source(row),
                prediction=show(self.predicted[row].tolist()),
                target=self._target(row),
                edits=int(self.edits[row]),
                alignment=[
                    (None if right is None else symbols[right], None if written is None else symbols[written])
                    for right, written in way
                ],
            )

    def _target(self, row: int) -> str:
        if self.examples.texts:
            return self.examples.texts[row].target
        return self.task.show_target(self.examples.target[row].tolist())

    def _source(self, row: int) -> str:
        if self.examples.texts:
            return self.examples.texts[row].source
        return self.task.show_source(self.examples.source[row, : self.examples.source_lengths[row]].tolist())

    def _counts(self, rows: slice | list[int]) -> Counts:
        exact = self.exact[rows]
        return Counts(len(exact), int(exact.sum()), int(self.edits[rows].sum()), int(self._lengths[rows].sum()))

    def _grouped(self, kinds: Sequence[str]) -> dict[str, dict[int | str, Counts]]:
        assert isinstance(self.task, HasGroups)
        rows: dict[str, dict[int | str, list[int]]] = {kind: defaultdict(list) for kind in kinds}
        for row in range(len(self.examples)):
            found = self.task.groups(self._source(row))
            for kind, members in rows.items():
                for value in found[kind]:
                    members[value].append(row)
        return {
            kind: {value: self._counts(members[value]) for value in sorted(members)} for kind, members in rows.items()
        }


def measure(run: TrainedRun, examples: Examples, search: Search = GREEDY) -> Measured:
    """Predict all sources and compare with the targets."""
    return Measured(run.task, examples, predict_examples(run.decoder, examples, run.carried, search))


def _content_lengths(ids: NDArray[np.integer], vocabulary: Vocabulary) -> NDArray[np.int64]:
    if PAD not in vocabulary.ids:  # then 0 is a symbol like any other
        return np.full(len(ids), ids.shape[1], np.int64)
    return metrics.content_lengths(ids, EOS_ID if EOS in vocabulary.ids else None)
