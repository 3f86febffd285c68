"""Metrics and sample predictions on held-out examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rnncli.data.examples import Examples
from rnncli.data.task import HasGroups, Task, WritesText, show_target
from rnncli.inference.decoder import Decoder
from rnncli.inference.evaluation import Scores, compare, group_scores
from rnncli.inference.examples import predict_and_score, predict_examples
from rnncli.inference.generation import TextGenerator, TextStream
from rnncli.inference.generation_options import GenerationOptions
from rnncli.metrics.base import LANGUAGE_MODEL, Metric
from rnncli.runs.arrays import Arrays
from rnncli.text import escape_line

PRIME_SYMBOLS, SAMPLE_TEMPERATURE = 24, 0.7
"""Symbols of held-out text that a model of texts goes on from at the end of training, and the temperature."""


@dataclass(frozen=True)
class Sample:
    """A held-out example with its prediction, as text."""

    source: str
    prediction: str
    target: str


@dataclass(frozen=True)
class WrittenText:
    """A prime, and what the model wrote after it."""

    prime: str
    text: str


def leading_examples(examples: Examples, count: int, batch_size: int | None) -> Examples:
    """Return the first examples, at most so many.

    Args:
        examples: The examples.
        count: Their number.
        batch_size: Batch size of a stateful model, which needs whole batches; None for other models.
    """
    count = min(count, len(examples))
    return examples.rows(slice(count if batch_size is None else -(-count // batch_size) * batch_size)).in_memory()


class Validator:
    """Predicts held-out examples with the model's current weights.

    Several workers predict a part of them each, and each one measures what all have predicted.

    Args:
        decoder: The decoder of the model.
        task: The task of the examples.
        examples: The held-out examples.
        metrics: The metrics to compute, by name.
        kind: The kind of the model; see `Config.kind`.
    """

    def __init__(
        self, decoder: Decoder, task: Task, examples: Examples, metrics: Mapping[str, Metric], kind: str
    ) -> None:
        self.decoder, self.task, self.examples, self.metrics, self.kind = decoder, task, examples, metrics, kind

    def measure(self, initial: Arrays) -> dict[str, float]:
        """Return the metrics.

        Args:
            initial: The states that a stateful model starts from; empty for other models.
        """
        predicted, scored = self._predict(initial)
        predictions = compare(self.task, self.examples, predicted, scored)
        return {name: metric.total(metric.count(predictions)) for name, metric in self.metrics.items()}

    def _predict(self, initial: Arrays) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return predictions, int32 [examples, steps], and log probabilities of the targets, of the same shape."""
        workers, examples = self.decoder.runtime.group, self.examples
        if workers.count == 1 or initial:  # initial states are carried from batch to batch: nothing can be divided
            return predict_and_score(self.decoder, examples, initial)
        own = slice(workers.index, None, workers.count)
        predicted = np.zeros((len(examples), self.decoder.model.steps), np.int32)
        scored = np.zeros(examples.target.shape, np.float32)
        if len(part := examples.rows(own)):
            predicted[own], scored[own] = predict_and_score(self.decoder, part, initial)
        return workers.total(predicted), workers.total(scored)

    def groups(self) -> dict[str, dict[int | str, Scores]]:
        """Return the scores by the first kind of group that the task shows, such as digits of sums; empty without."""
        kinds = self.task.shown_groups[:1] if isinstance(self.task, HasGroups) else ()
        if not kinds:
            return {}
        predicted = predict_examples(self.decoder, self.examples, {})
        return group_scores(self.task, self.examples, compare(self.task, self.examples, predicted), kinds, self.kind)

    def written(self, length: int = 200) -> WrittenText | None:
        """Return what a model of texts writes after the beginning of the held-out text; None for other models."""
        if self.kind != LANGUAGE_MODEL or not isinstance(self.task, WritesText):
            return None
        prime = self.task.show_source(self.examples.source[0, :PRIME_SYMBOLS].tolist())
        stream = TextStream(self._generator, [prime], GenerationOptions(length, SAMPLE_TEMPERATURE))
        return WrittenText(prime, "".join(new for (new,) in stream))

    @cached_property
    def _generator(self) -> TextGenerator:
        return TextGenerator(self.decoder.model, self.task, self.decoder.runtime)

    def as_text(self) -> str:
        """Return samples, or what a model of texts writes, as Markdown."""
        if (written := self.written()) is not None:
            return _fenced(f"{written.prime}|{written.text}")
        return _fenced("\n".join(_shown(each) for each in self.samples({})))

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
        if texts := self.examples.texts[:count]:
            shown = [show_target(self.task, ids.tolist(), x.source) for ids, x in zip(predicted, texts, strict=True)]
            return [Sample(text.source, each, text.target) for text, each in zip(texts, shown, strict=True)]
        predictions = [self.task.show_target(ids.tolist()) for ids in predicted]
        targets = [self.task.show_target(target.tolist()) for target in self.examples.target[:count]]
        shown = [self.task.show_source(row[:length].tolist()) for row, length in zip(sources, lengths, strict=True)]
        return [Sample(*texts) for texts in zip(shown, predictions, targets, strict=True)]


def _shown(sample: Sample) -> str:
    """Return a sample on a line, a wrong one with its target."""
    wrong = "" if sample.prediction == sample.target else f"   (not {escape_line(sample.target)})"
    return f"{escape_line(sample.source)}  ->  {escape_line(sample.prediction)}{wrong}"


def _fenced(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return "\n".join(f"    {line}" for line in text.split("\n"))
