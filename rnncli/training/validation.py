"""How good a model is on held-out examples, and what it says of some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rnncli.data.examples import Examples
from rnncli.data.task import Task
from rnncli.inference.decoder import Decoder, predict_examples
from rnncli.inference.evaluation import compare
from rnncli.metrics.base import Metric
from rnncli.runs.arrays import Arrays


@dataclass(frozen=True)
class Sample:
    """A held-out example as people read it."""

    source: str
    prediction: str
    target: str


class Measurer:
    """Predicts held-out examples with the weights that the model has.

    Args:
        decode: Runs the model.
        task: Whose symbols they are.
        examples: To predict.
        metrics: To compute, by name.
    """

    def __init__(self, decode: Decoder, task: Task, examples: Examples, metrics: Mapping[str, Metric]) -> None:
        self.decode, self.task, self.examples, self.metrics = decode, task, examples, metrics

    def __call__(self, carried: Arrays) -> dict[str, float]:
        """The metrics; `carried` as for `predict_examples`."""
        predicted = predict_examples(self.decode, self.examples, carried)
        predictions = compare(self.task, self.examples, predicted)
        return {name: metric.total(metric.count(predictions)) for name, metric in self.metrics.items()}

    def samples(self, carried: Arrays, most: int = 8) -> list[Sample]:
        """What the model says to the first examples."""
        sources, lengths = self.examples.source[:most], self.examples.source_lengths[:most]
        if carried:
            predicted = predict_examples(self.decode, self.examples, carried)[:most]
        else:
            predicted = self.decode(sources, lengths).ids
        written = [self.task.show_target(ids.tolist()) for ids in predicted]
        if texts := self.examples.texts[:most]:
            return [Sample(text.source, shown, text.target) for text, shown in zip(texts, written, strict=True)]
        targets = [self.task.show_target(target.tolist()) for target in self.examples.target[:most]]
        shown = [self.task.show_source(row[:length].tolist()) for row, length in zip(sources, lengths, strict=True)]
        return [Sample(*texts) for texts in zip(shown, written, targets, strict=True)]
