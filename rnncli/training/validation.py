"""Metrics and sample predictions on held-out examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rnncli.data.examples import Examples
from rnncli.data.task import HasGroups, Task
from rnncli.inference.decoder import Decoder, predict_examples
from rnncli.inference.evaluation import Scores, compare, group_scores
from rnncli.metrics.base import Metric
from rnncli.runs.arrays import Arrays


@dataclass(frozen=True)
class Sample:
    """A held-out example with its prediction, as text."""

    source: str
    prediction: str
    target: str


class Validator:
    """Predicts held-out examples with the model's current weights.

    Args:
        decoder: The decoder of the model.
        task: The task of the examples.
        examples: The held-out examples.
        metrics: The metrics to compute, by name.
        model: The type of the model.
    """

    def __init__(
        self, decoder: Decoder, task: Task, examples: Examples, metrics: Mapping[str, Metric], model: str
    ) -> None:
        self.decoder, self.task, self.examples, self.metrics, self.model = decoder, task, examples, metrics, model

    def measure(self, initial: Arrays) -> dict[str, float]:
        """Return the metrics.

        Args:
            initial: The states that a stateful model starts from; empty for other models.
        """
        predicted = predict_examples(self.decoder, self.examples, initial)
        predictions = compare(self.task, self.examples, predicted)
        return {name: metric.total(metric.count(predictions)) for name, metric in self.metrics.items()}

    def groups(self) -> dict[str, dict[int | str, Scores]]:
        """Return the scores by the first kind of group that the task shows, such as digits of sums; empty without."""
        kinds = self.task.shown_groups[:1] if isinstance(self.task, HasGroups) else ()
        if not kinds:
            return {}
        predicted = predict_examples(self.decoder, self.examples, {})
        return group_scores(self.task, self.examples, compare(self.task, self.examples, predicted), kinds, self.model)

    def samples(self, initial: Arrays, count: int = 8) -> list[Sample]:
        """Return the first examples with their predictions.

        Args:
            initial: As for `measure`.
            count: The maximum number of samples.
        """
        sources, lengths = self.examples.source[:count], self.examples.source_lengths[:count]
        if initial:
            predicted = predict_examples(self.decoder, self.examples, initial)[:count]
        else:
            predicted = self.decoder(sources, lengths).ids
        predictions = [self.task.show_target(ids.tolist()) for ids in predicted]
        if texts := self.examples.texts[:count]:
            return [Sample(text.source, shown, text.target) for text, shown in zip(texts, predictions, strict=True)]
        targets = [self.task.show_target(target.tolist()) for target in self.examples.target[:count]]
        shown = [self.task.show_source(row[:length].tolist()) for row, length in zip(sources, lengths, strict=True)]
        return [Sample(*texts) for texts in zip(shown, predictions, targets, strict=True)]
