"""The states of a trained run over given examples, by name, for the formats of `rnncli.states`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rnncli.data.examples import Examples
from rnncli.data.parsing import read_examples, read_sources, source_and_target
from rnncli.data.vocabulary import EOS, EOS_ID
from rnncli.errors import InputError
from rnncli.inference.predictor import Attention, Prediction, TrainedRun
from rnncli.inference.streaming import chunks_as_they_come
from rnncli.layers import xla_compiles
from rnncli.states.batch import ATTENTION, StateBatch

BATCH_ROWS = 256


@dataclass(frozen=True)
class Selection:
    """Which arrays are wanted.

    Attributes:
        layers: Prefixes such as `encoder/0`; empty means all.
        which: States of each step by their names, `output` for what layers hand on, `final` for the final states;
            empty means all but `output`.
    """

    layers: tuple[str, ...] = ()
    which: tuple[str, ...] = ()

    def takes(self, name: str) -> bool:
        """Whether an array of this name is wanted."""
        kind = "final" if "/final/" in name else name.rpartition("/")[2]
        layer = "/".join(name.split("/")[:2])
        wanted = kind in self.which if self.which else kind != "output"
        return wanted and (not self.layers or layer in self.layers)


class Exporter:
    """Runs a trained model over lines and gives its states.

    Args:
        run: The trained run.
        selection: Which arrays are wanted.
        teacher_forced: Whether the decoder reads the given targets; otherwise it reads what it writes.

    Raises:
        InputError: A layer or a state is chosen that the model does not have.
    """

    def __init__(self, run: TrainedRun, selection: Selection, teacher_forced: bool) -> None:
        self.run, self.selection, self.teacher_forced = run, selection, teacher_forced
        layers = [layer.prefix for layer in run.model.recurrent_layers]
        if unknown := [name for name in selection.layers if name not in layers]:
            raise InputError(f"--layers {unknown[0]}: no such layer", f"the model has {', '.join(layers)}")
        kinds = dict.fromkeys(state for layer in run.model.recurrent_layers for state in layer.states)
        known = [*kinds, "output", "final"]
        if unknown := [name for name in selection.which if name not in known]:
            raise InputError(f"--which {unknown[0]}: the model has no such state", f"it has {', '.join(known)}")
        compiled = xla_compiles(layer.choice for layer in run.model.recurrent_layers)
        self._trace = tf.function(self._selected, jit_compile=compiled, autograph=False)
        sizes = run.task.sizes
        source = run.model.network.inputs[0]
        specs = tf.function(self._selected, autograph=False).get_concrete_function(
            tf.TensorSpec(source.shape, run.model.source_dtype),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None, sizes.target_steps], tf.int32),
            tf.TensorSpec([None], tf.int32),
        )
        self.spec = {name: tuple(value.shape[1:]) for name, value in specs.structured_outputs.items()}

    def _selected(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, target_lengths: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        arrays = self.run.model.trace(source, lengths, target, target_lengths)
        return {name: value for name, value in arrays.items() if self.selection.takes(name)}

    def batches(self, lines: Iterable[str], name: str) -> Iterator[StateBatch]:
        """States of the examples that lines hold; memory does not grow with their number.

        Args:
            lines: A source each; with teacher forcing a source, a tab and the target.
            name: What the lines come from, for messages.

        Raises:
            DataError: A line is no example.
        """
        done = 0
        for chunk in chunks_as_they_come(lines, BATCH_ROWS):
            yield self._batch(chunk, self._examples(chunk, name, done))
            done += len(chunk)

    def _examples(self, lines: Sequence[str], name: str, done: int) -> Examples:
        if self.teacher_forced:
            return read_examples(self.run.task, lines, name, first=done + 1)
        source, lengths = read_sources(self.run.task, lines, name, first=done + 1)
        ids = self.run.decoder(source, lengths).ids
        return Examples(source, lengths, ids, self._written(ids, lengths))

    def _written(self, ids: NDArray[Any], lengths: NDArray[Any]) -> NDArray[Any]:
        """How many symbols of each row the model wrote, the end included, on sources of these lengths."""
        if self.run.model.per_step:
            return lengths
        if EOS not in self.run.task.target_vocabulary.ids:
            return np.full(len(ids), ids.shape[1], np.int32)
        ends = ids == EOS_ID
        written: NDArray[np.int32] = np.where(ends.any(axis=1), np.argmax(ends, axis=1) + 1, ids.shape[1])
        return written.astype(np.int32)

    def _batch(self, lines: Sequence[str], examples: Examples) -> StateBatch:
        task, rows = self.run.task, len(examples)
        values = (examples.source, examples.source_lengths, examples.target, examples.target_lengths)
        kinds = (self.run.model.source_dtype, "int32", "int32", "int32")
        padded = [
            np.concatenate([value, np.repeat(value[:1], BATCH_ROWS - rows, axis=0)]).astype(kind)
            for value, kind in zip(values, kinds, strict=True)
        ]
        with tf.device(self.run.decoder.runtime.device):
            traced = self._trace(*map(tf.constant, padded))
        arrays = {name: value.numpy()[:rows] for name, value in traced.items()}
        predicted = self.run.decoder(examples.source, examples.source_lengths).ids
        return StateBatch(
            sources=[source_and_target(task.columns, line)[0] if self.teacher_forced else line for line in lines],
            predictions=[task.show_target(ids) for ids in predicted.tolist()],
            source_tokens=self._source_tokens(examples),
            target_tokens=_tokens(task.target_vocabulary.decode, examples.target, examples.target_lengths),
            source_lengths=examples.source_lengths.astype(np.int32),
            target_lengths=examples.target_lengths.astype(np.int32),
            arrays=arrays,
        )

    def _source_tokens(self, examples: Examples) -> list[list[str]]:
        if self.run.task.sizes.features is not None:  # steps that are numbers are called by their places
            return [[str(step) for step in range(length)] for length in examples.source_lengths.tolist()]
        return _tokens(self.run.task.source_vocabulary.decode, examples.source, examples.source_lengths)


def _tokens(decode: Any, ids: NDArray[Any], lengths: NDArray[Any]) -> list[list[str]]:
    return [decode(row[:length]) for row, length in zip(ids.tolist(), lengths.tolist(), strict=True)]


def attention_batch(predictions: Sequence[Prediction], shape: tuple[int, int]) -> StateBatch:
    """The attention of predictions, a row each, as writers of `rnncli.states` take it; of bad lines a row of nothing.

    Args:
        predictions: With attention.
        shape: Steps of the longest target and of the longest source.
    """
    weights = np.zeros((len(predictions), *shape), np.float32)
    nothing = Attention(weights[0, :0, :0], [], []) if predictions else None
    attended = [prediction.attention or nothing for prediction in predictions]
    found = [each for each in attended if each is not None]
    for row, each in zip(weights, found, strict=True):
        row[: len(each.target), : len(each.source)] = each.weights
    return StateBatch(
        sources=[prediction.source for prediction in predictions],
        predictions=[prediction.text for prediction in predictions],
        source_tokens=[each.source for each in found],
        target_tokens=[each.target for each in found],
        source_lengths=np.array([len(each.source) for each in found], np.int32),
        target_lengths=np.array([len(each.target) for each in found], np.int32),
        arrays={ATTENTION: weights},
    )
