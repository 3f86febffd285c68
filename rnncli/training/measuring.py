"""How good a model is on held-out examples, and what it says of some."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from threading import Thread

from rnncli import metrics
from rnncli.arrays import Arrays
from rnncli.decoder import Decoder, predict_examples
from rnncli.tasks import Examples, Task


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
        idle: Whether training leaves a core idle, on which `begin` may compile; for models that carry no states.
    """

    def __init__(self, decode: Decoder, task: Task, examples: Examples, idle: bool) -> None:
        self.decode, self.task, self.examples = decode, task, examples
        self._idle = idle
        self._beginning: Thread | None = None

    def __call__(self, carried: Arrays) -> dict[str, float]:
        """The metrics; `carried` as for `predict_examples`."""
        self.end()
        target, lengths = self.examples.target, self.examples.target_lengths
        predicted = predict_examples(self.decode, self.examples, carried)
        return {
            "symbol_accuracy": float(metrics.symbols_right(predicted, target, lengths).sum() / lengths.sum()),
            "exact_match": float(metrics.exact_match(predicted, target).mean()),
        }

    def begin(self) -> None:
        """Compile what predicts while training goes on, once, if there is a core for it: 0.3 to 0.8 s."""
        if self._idle:
            self._idle = False
            self._beginning = Thread(target=self._compile)
            self._beginning.start()

    def end(self) -> None:
        """Wait for what was begun."""
        if self._beginning is not None:
            self._beginning.join()
            self._beginning = None

    def _compile(self) -> None:
        with contextlib.suppress(Exception):  # measuring will fail in the same way
            self.decode.compile(self.examples.source, self.examples.source_lengths)

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
