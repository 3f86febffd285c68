"""Evaluation of a trained model on examples with known targets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncli.data.examples import Examples
from rnncli.data.task import (
    CopiesSource,
    HasGroups,
    MayWriteBackwards,
    Task,
    show_target,
    symbol_characters,
    symbols_to_write,
)
from rnncli.data.vocabulary import EOS, EOS_ID, PAD, Vocabulary
from rnncli.metrics import METRICS, metrics_for
from rnncli.metrics.base import CLASSIFIERS, Counts, Predictions, content_lengths
from rnncli.metrics.class_report import LABEL, ClassReport
from rnncli.metrics.edit_distance import alignments
from rnncli.metrics.intervals import confidence_interval

Interval = tuple[float, float]


@dataclass(frozen=True)
class Scores:
    """The metrics of a set of examples.

    Attributes:
        examples: Number of examples.
        exact: Number of examples that are right in every symbol.
        metrics: Value of each metric by its name in `METRICS`.
    """

    examples: int
    exact: int
    metrics: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return the scores as a JSON object."""
        return {"examples": self.examples, "exact": self.exact, **self.metrics}


@dataclass(frozen=True)
class Evaluation:
    """The scores of all examples and of groups of them.

    Attributes:
        total: Scores of all examples.
        left_out: Number of examples that were too long; they count nowhere.
        intervals: 95% confidence interval of each metric of `total`.
        groups: Scores by kind of group (length, digits) and value.
        classes: The confusion matrix of a classifier, and the scores of each class; None for other models.
        targets: Number of targets, where an example is a source with any number of them; None where it is a pair.
    """

    total: Scores
    left_out: int
    intervals: dict[str, Interval]
    groups: dict[str, dict[int | str, Scores]]
    classes: ClassReport | None = None
    targets: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the evaluation as a JSON object."""
        return {
            **self.total.as_json(),
            "left_out": self.left_out,
            **({} if self.targets is None else {"targets": self.targets}),
            **{f"{name}_interval": interval for name, interval in self.intervals.items()},
            **({} if self.classes is None else self.classes.as_json()),
            "groups": {
                kind: {str(value): scores.as_json() for value, scores in members.items()}
                for kind, members in self.groups.items()
            },
        }


class WrongPrediction(NamedTuple):
    """An example that is not right in every symbol.

    Attributes:
        example: Its number, or its line in a file, from 1.
        source: The source as text.
        prediction: The prediction as text.
        target: The target as text.
        edits: Levenshtein distance of target and prediction.
        alignment: Aligned symbols of target and prediction; None on the side that has a gap.
        row: Its row; of several files, lines repeat.
    """

    example: int
    source: str
    prediction: str
    target: str
    edits: int
    alignment: list[tuple[str | None, str | None]]
    row: int


def compare(
    task: Task, examples: Examples, predicted: NDArray[np.integer], scored: NDArray[np.float32] | None = None
) -> Predictions:
    """Put predictions beside their targets.

    Args:
        task: The task of the examples.
        examples: Its targets are the correct ones.
        predicted: Predicted ids, int [examples, target steps].
        scored: Log probabilities of the targets' symbols, 0 at padding; float32 [examples, target steps].
    """
    vocabulary = task.target_vocabulary
    characters = symbol_characters(task)
    counted = np.arange(examples.target.shape[1]) < examples.target_lengths[:, None]
    target = examples.target
    if isinstance(task, CopiesSource) and task.copies and examples.texts:
        sources = [text.source for text in examples.texts]
        predicted, target = task.first_places(predicted, sources), task.first_places(target, sources)
    return Predictions(
        predicted,
        target,
        examples.target_lengths,
        _content_lengths(predicted, vocabulary),
        _content_lengths(target, vocabulary),
        scored,
        None if characters is None else (characters[examples.target] * counted).sum(axis=1),
    )


def _content_lengths(ids: NDArray[np.integer], vocabulary: Vocabulary) -> NDArray[np.int64]:
    if PAD not in vocabulary.ids:  # id 0 is a symbol like any other
        return np.full(len(ids), ids.shape[1], np.int64)
    return content_lengths(ids, EOS_ID if EOS in vocabulary.ids else None)


def closest_references(
    task: Task, examples: Examples, sources: Sequence[Sequence[int]], predicted: NDArray[np.integer]
) -> list[int]:
    """Return, for each source, the row of the target that is closest to its prediction.

    That is the one that the prediction meets, if there is one; else the first of those with the fewest edits.

    Args:
        task: The task of the examples.
        examples: The examples.
        sources: The rows of each source; see `rnncli.data.references.rows_by_source`.
        predicted: The prediction for each source, int [sources, target steps].
    """
    counts = [len(rows) for rows in sources]
    candidates = [row for rows in sources for row in rows]
    found = compare(task, examples.rows(candidates), np.repeat(predicted, counts, axis=0))
    distances = np.where(found.exact, -1, found.edits)
    begins = np.cumsum(counts) - counts
    return [
        candidates[begin + int(distances[begin : begin + count].argmin())]
        for begin, count in zip(begins.tolist(), counts, strict=True)
    ]


def evaluate(
    task: Task,
    examples: Examples,
    predictions: Predictions,
    kinds: Sequence[str] = (),
    model: str = "encoder_decoder",
) -> Evaluation:
    """Compute all metrics of predictions.

    Args:
        task: The task of the examples.
        examples: The examples.
        predictions: As `compare` returns them for these examples.
        kinds: Kinds of groups to compute scores for: those of the task, and for classifiers LABEL.
        model: The type of the model.
    """
    counts = _counts(predictions, model)
    return Evaluation(
        total=_scores(predictions, counts, list(range(len(examples)))),
        left_out=examples.left_out,
        intervals={name: confidence_interval(each, METRICS[name].aggregate) for name, each in counts.items()},
        groups=group_scores(task, examples, predictions, kinds, model),
        classes=ClassReport.of(predictions, task.target_vocabulary.symbols) if model in CLASSIFIERS else None,
    )


def group_scores(
    task: Task,
    examples: Examples,
    predictions: Predictions,
    kinds: Sequence[str],
    model: str = "encoder_decoder",
) -> dict[str, dict[int | str, Scores]]:
    """Return the scores of each group, by kind and value; arguments as for `evaluate`."""
    counts = _counts(predictions, model)
    return {
        kind: {value: _scores(predictions, counts, members[value]) for value in sorted(members)}
        for kind, members in _grouped_rows(task, examples, kinds).items()
    }


def _counts(predictions: Predictions, model: str) -> dict[str, Counts]:
    metrics = metrics_for(model).items()
    return {name: metric.count(predictions) for name, metric in metrics if metric.is_known(predictions)}


def _scores(predictions: Predictions, counts: Mapping[str, Counts], rows: list[int]) -> Scores:
    values = {name: METRICS[name].total(each.of(rows)) for name, each in counts.items()}
    return Scores(len(rows), int(predictions.exact[rows].sum()), values)


def _grouped_rows(task: Task, examples: Examples, kinds: Sequence[str]) -> dict[str, dict[int | str, list[int]]]:
    """Return the rows of each group, by kind and value."""
    rows: dict[str, dict[int | str, list[int]]] = {kind: defaultdict(list) for kind in kinds}
    for row in range(len(examples)) if kinds else ():
        groups = groups_of(task, examples, row)
        for kind, members in rows.items():
            for value in groups[kind]:
                members[value].append(row)
    return rows


def groups_of(task: Task, examples: Examples, row: int) -> Mapping[str, Sequence[int | str]]:
    """Return the groups of an example: those of its source, and its target as LABEL."""
    groups = task.groups(source_text(task, examples, row)) if isinstance(task, HasGroups) else {}
    return {**groups, LABEL: [task.show_target(examples.target[row].tolist())]}


def wrong_predictions(task: Task, examples: Examples, predictions: Predictions) -> Iterator[WrongPrediction]:
    """Yield the examples that are not right in every symbol, in order; arguments as for `evaluate`."""
    wrong = np.flatnonzero(~predictions.exact)
    targets = predictions.target[wrong], predictions.target_content[wrong]
    aligned = alignments(*targets, predictions.predicted[wrong], predictions.predicted_content[wrong])
    backwards = isinstance(task, MayWriteBackwards) and task.writes_backwards
    for row, written in zip(wrong.tolist(), aligned, strict=True):
        pairs = written[::-1] if backwards else written
        source = source_text(task, examples, row)
        symbols = symbols_to_write(task, source)
        yield WrongPrediction(
            example=examples.texts[row].line if examples.texts else row + 1,
            source=source,
            prediction=show_target(task, predictions.predicted[row].tolist(), source),
            target=target_text(task, examples, row),
            edits=int(predictions.edits[row]),
            alignment=[
                (None if target is None else symbols[target], None if predicted is None else symbols[predicted])
                for target, predicted in pairs
            ],
            row=row,
        )


def source_text(task: Task, examples: Examples, row: int) -> str:
    """Return the source of an example as text."""
    if examples.texts:
        return examples.texts[row].source
    return task.show_source(examples.source[row, : examples.source_lengths[row]].tolist())


def target_text(task: Task, examples: Examples, row: int) -> str:
    """Return the target of an example as text."""
    if examples.texts:
        return examples.texts[row].target
    return task.show_target(examples.target[row].tolist())
