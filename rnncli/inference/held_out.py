"""Predictions of trained runs for examples with known targets, and paired comparisons of two runs.

Imports TensorFlow when a run is asked, not before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncli.data.examples import Examples
from rnncli.data.task import HasGroups, Task, show_target
from rnncli.errors import InputError
from rnncli.inference.confusion import Confusion
from rnncli.inference.evaluation import (
    Evaluation,
    WrongPrediction,
    compare,
    evaluate,
    source_text,
    target_text,
    wrong_predictions,
)
from rnncli.metrics import METRICS, metrics_for
from rnncli.metrics.base import CLASSIFIERS, Predictions
from rnncli.metrics.class_report import LABEL
from rnncli.metrics.randomization import randomization_test
from rnncli.runs.directory import SavedRun
from rnncli.runs.listing import kind_of
from rnncli.runtime.tensorflow_setup import setup_inference

if TYPE_CHECKING:
    from rnncli.inference.predictor import TrainedRun


@dataclass(frozen=True)
class Answers:
    """A run's predictions for examples.

    Attributes:
        saved: The run.
        trained: The run, ready to predict.
        examples: The examples.
        predictions: Its predictions beside their targets.
    """

    saved: SavedRun
    trained: TrainedRun
    examples: Examples
    predictions: Predictions

    @classmethod
    def of(cls, saved: SavedRun, examples: Examples) -> Answers:
        """Predict examples greedily; a stateful model starts as an epoch of training does."""
        runtime = setup_inference(saved.config)  # before any module that imports TensorFlow
        from rnncli.inference.predictor import TrainedRun

        return cls.by(TrainedRun(saved, runtime), saved, examples)

    @classmethod
    def by(cls, trained: TrainedRun, saved: SavedRun, examples: Examples) -> Answers:
        """Predict examples as `of` does, by a run that is ready."""
        from rnncli.inference.examples import predict_and_score

        predicted, scored = predict_and_score(trained.decoder, examples, trained.first_states)
        return cls(saved, trained, examples, compare(saved.task, examples, predicted, scored))

    @property
    def task(self) -> Task:
        """The task of the run."""
        return self.saved.task

    @property
    def kind(self) -> str:
        """The kind of model that metrics tell apart."""
        return kind_of(self.saved.config)

    @cached_property
    def evaluation(self) -> Evaluation:
        """The metrics with their intervals, of all kinds of groups too."""
        return evaluate(self.task, self.examples, self.predictions, self.group_kinds, self.kind)

    @property
    def group_kinds(self) -> list[str]:
        """The kinds of groups of the examples."""
        task, kinds = self.task, [LABEL] if self.saved.config.model.type in CLASSIFIERS else []
        if isinstance(task, HasGroups) and len(self.examples):
            kinds += task.groups(source_text(task, self.examples, 0))
        return kinds

    @cached_property
    def wrong(self) -> list[WrongPrediction]:
        """The examples that are not right in every symbol."""
        return list(wrong_predictions(self.task, self.examples, self.predictions))

    def confusion(self, max_symbols: int) -> Confusion:
        """Return which symbols, or classes, became which."""
        if (report := self.evaluation.classes) is not None:
            return Confusion.of_report(report, max_symbols)
        return Confusion.of_symbols(self.wrong, max_symbols)

    def texts(self, row: int) -> tuple[str, str, str]:
        """Return source, target and prediction of an example as text."""
        source = source_text(self.task, self.examples, row)
        shown = show_target(self.task, self.predictions.predicted[row].tolist(), source)
        return source, target_text(self.task, self.examples, row), shown

    def line(self, row: int) -> int:
        """Return the number of an example, or its line in a file, from 1."""
        return self.examples.texts[row].line if self.examples.texts else row + 1

    def on(self, rows: Sequence[int]) -> Answers:
        """Return the predictions for some of the examples."""
        return Answers(self.saved, self.trained, self.examples.rows(rows), predictions_of(self.predictions, rows))


def common_rows(members: Sequence[tuple[Task, Examples]]) -> list[list[int]]:
    """Return the rows of the examples that several tasks have in common, in the same order for each.

    They have the same line or number, and the same source and target; of several files, such examples may repeat.

    Raises:
        InputError: There are none.
    """
    keyed = []
    for task, examples in members:
        lines = [text.line for text in examples.texts] or range(1, len(examples) + 1)
        keys, seen = dict[tuple[int, str, str, int], int](), Counter[tuple[int, str, str]]()
        for row, line in enumerate(lines):
            key = (line, source_text(task, examples, row), target_text(task, examples, row))
            keys[*key, seen[key]] = row
            seen[key] += 1
        keyed.append(keys)
    shared = [key for key in keyed[0] if all(key in other for other in keyed[1:])]
    if not shared:
        raise InputError("the runs have no held-out examples in common", "give a file of examples with --input")
    return [[rows[key] for key in shared] for rows in keyed]


@dataclass(frozen=True)
class PairedTest:
    """Two runs on the same examples.

    Attributes:
        differences: The second run's value of each metric less the first's.
        p_values: The p-value of each, by approximate randomization.
        both: Number of examples that both have right.
        first_only: Rows that only the first has right.
        second_only: Rows that only the second has right.
        neither: Number of examples that both have wrong.
    """

    differences: dict[str, float]
    p_values: dict[str, float]
    both: int
    first_only: list[int]
    second_only: list[int]
    neither: int

    @classmethod
    def of(cls, first: Answers, second: Answers) -> PairedTest:
        """Compare two runs; both have answered the same examples in the same order."""
        joint, size = _joined(first.predictions, second.predictions), len(first.predictions)
        rows = list(range(size)), list(range(size, 2 * size))
        differences, p_values = {}, {}
        for name in metrics_for(first.kind).keys() & metrics_for(second.kind).keys():
            metric = METRICS[name]
            if not metric.is_known(joint):
                continue
            counts = metric.count(joint)  # of both at once, so that they count the same classes
            ours, theirs = (counts.of(each) for each in rows)
            differences[name] = metric.total(theirs) - metric.total(ours)
            p_values[name] = randomization_test(ours, theirs, metric.aggregate)
        a, b = first.predictions.exact, second.predictions.exact
        only_a, only_b = (np.flatnonzero(mask).tolist() for mask in (a & ~b, b & ~a))
        return cls(differences, p_values, int((a & b).sum()), only_a, only_b, int((~a & ~b).sum()))


class Comparison(NamedTuple):
    """Runs on the examples that all have.

    Attributes:
        answers: Their predictions for these examples, in the same order.
        tests: The test of the first run and each other one.
        left_out: Number of examples, of the run that has most, that not all have.
    """

    answers: list[Answers]
    tests: list[PairedTest]
    left_out: int

    @classmethod
    def of(cls, answers: Sequence[Answers]) -> Comparison:
        """Compare the first of some runs with each other one.

        Raises:
            InputError: They have no examples in common, or their windows of a text differ in length.
        """
        examples = [each.examples for each in answers]
        if any(each.continuing for each in examples) and len({len(each) for each in examples}) > 1:
            raise InputError("windows of a text that differ in length", "compare runs with the same windows")
        rows = common_rows([(each.task, each.examples) for each in answers])
        chosen = [each.on(found) for each, found in zip(answers, rows, strict=True)]
        tests = [PairedTest.of(chosen[0], other) for other in chosen[1:]]
        return cls(chosen, tests, max(map(len, examples)) - len(rows[0]))


def predictions_of(predictions: Predictions, rows: Sequence[int]) -> Predictions:
    """Return the predictions for some of the examples."""
    chosen: dict[str, Any] = {}
    for each in fields(predictions):
        value = getattr(predictions, each.name)
        chosen[each.name] = None if value is None else value[rows]
    return Predictions(**chosen)


def _joined(first: Predictions, second: Predictions) -> Predictions:
    """Return the predictions of two models one behind the other; what one lacks is left out."""
    values: dict[str, Any] = {}
    for each in fields(first):
        pair = getattr(first, each.name), getattr(second, each.name)
        values[each.name] = None if any(value is None for value in pair) else _stacked(*pair)
    return Predictions(**values)


def _stacked(first: NDArray[Any], second: NDArray[Any]) -> NDArray[Any]:
    if first.ndim == 1:
        return np.concatenate([first, second])
    width = max(first.shape[1], second.shape[1])
    return np.concatenate([np.pad(each, ((0, 0), (0, width - each.shape[1]))) for each in (first, second)])
