"""From lines of text to predictions, in order, as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rnncli import decoding
from rnncli.errors import DataError, InputError, RunDirError
from rnncli.models import Model, Stepper, build_model
from rnncli.rundir import SavedRun
from rnncli.runtime import Runtime
from rnncli.streams import chunks_as_they_come

BATCH_ROWS = 512
"""Rows of every batch that is predicted, filled up where there are fewer: one shape is compiled once, and what a row
gets never depends on which rows stand beside it."""


@dataclass(frozen=True)
class Prediction:
    """The answer to one line.

    Attributes:
        source: The line.
        text: The predicted target; empty for a bad line.
        score: Sum of the natural-log probabilities of the symbols predicted, the end included; None for a bad line.
        probabilities: Of every symbol, for models that predict one.
        error: What is wrong with a bad line.
        hint: What to do about it.
    """

    source: str
    text: str = ""
    score: float | None = None
    probabilities: dict[str, float] | None = None
    error: str | None = None
    hint: str = ""


@dataclass(frozen=True)
class Decoded:
    """What a model says to some sources.

    Attributes:
        ids: int32 [rows, target steps].
        scores: float32 [rows].
        probabilities: float32 [rows, symbols], of models with one step; else None.
    """

    ids: NDArray[np.int32]
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None


class Decoder:
    """Runs a model over id arrays, compiled, the parts of a batch side by side."""

    def __init__(self, model: Model, runtime: Runtime) -> None:
        self.model, self.runtime = model, runtime
        compiled = all(layer.choice.kernel != "cudnn" for layer in model.recurrent_layers)
        part = tf.function(self._part, jit_compile=compiled)

        @tf.function
        def decode(source: tf.Tensor, lengths: tf.Tensor) -> tuple[tf.Tensor, ...]:
            parts = zip(tf.split(source, runtime.parts), tf.split(lengths, runtime.parts), strict=True)
            results = [part(*values) for values in parts]
            return tuple(tf.concat(values, axis=0) for values in zip(*results, strict=True))

        self._decode = decode

    def _part(self, source: tf.Tensor, lengths: tf.Tensor) -> tuple[tf.Tensor, ...]:
        model: Any = self.model
        if isinstance(model, Stepper):
            state = model.encode(source, lengths)
            return decoding.greedy(model.step, state, tf.shape(source)[0], model.begin, model.end, model.steps)
        logits = model.read(source, lengths)
        ids, scores = decoding.best_each(logits)
        return (ids, scores, tf.nn.softmax(logits[:, 0])) if model.steps == 1 else (ids, scores)

    def __call__(self, source: NDArray[np.integer], lengths: NDArray[np.integer]) -> Decoded:
        """Decode any number of rows, int [rows, source steps], with their lengths, int [rows]."""
        if not len(source):
            return Decoded(np.zeros((0, self.model.steps), np.int32), np.zeros(0, np.float32), None)
        rows = BATCH_ROWS + -BATCH_ROWS % self.runtime.parts
        pieces = []
        for begin in range(0, len(source), rows):
            piece, piece_lengths = source[begin : begin + rows], lengths[begin : begin + rows]
            real = len(piece)
            if real < rows:  # filled up by the first row again, so that none is empty
                piece = np.concatenate([piece, np.repeat(piece[:1], rows - real, axis=0)])
                piece_lengths = np.concatenate([piece_lengths, np.repeat(piece_lengths[:1], rows - real)])
            with tf.device("/GPU:0" if self.runtime.on_gpu else "/CPU:0"):
                results = self._decode(tf.constant(piece, tf.int32), tf.constant(piece_lengths, tf.int32))
            pieces.append([value.numpy()[:real] for value in results])
        ids, scores, *more = (np.concatenate(values) for values in zip(*pieces, strict=True))
        return Decoded(ids, scores, more[0] if more else None)


class TrainedRun:
    """A saved run as a model that predicts.

    Attributes:
        task: Reads and shows text.
        model: With the weights of the checkpoint.
        decoder: Runs the model over ids.
    """

    def __init__(self, saved: SavedRun, runtime: Runtime) -> None:
        """Rebuild the model from the config and give it its weights.

        Args:
            saved: The run.
            runtime: Where to run it; need not be like the one it was trained on.

        Raises:
            RunDirError: The weights are not those of the config.
        """
        self.task = saved.task
        with runtime.strategy.scope():
            self.model = build_model(saved.config, self.task.sizes, runtime.on_gpu)
        try:
            self.model.assign(saved.weights)
        except InputError as error:
            raise RunDirError(f"{saved.path}: {error.message}", error.hint) from error
        self.decoder = Decoder(self.model, runtime)

    def predict(self, lines: Sequence[str]) -> list[Prediction]:
        """One prediction a line, bad lines included."""
        rows: list[list[int]] = []
        found: list[int | DataError] = []  # each line's row, or what is wrong with the line
        for line in lines:
            try:
                ids = self.task.read_source(line)
            except DataError as error:
                found.append(error)
            else:
                found.append(len(rows))
                rows.append(ids)
        decoded = self._decode(rows)
        return [
            Prediction(line, error=row.message, hint=row.hint)
            if isinstance(row, DataError)
            else self._prediction(line, decoded, row)
            for line, row in zip(lines, found, strict=True)
        ]

    def _decode(self, rows: list[list[int]]) -> Decoded:
        source = np.zeros((len(rows), self.task.sizes.source_steps), np.int32)
        for number, ids in enumerate(rows):
            source[number, : len(ids)] = ids
        return self.decoder(source, np.array([len(ids) for ids in rows], np.int32))

    def _prediction(self, line: str, decoded: Decoded, row: int) -> Prediction:
        probabilities = None
        if decoded.probabilities is not None:
            symbols = self.task.target_vocabulary.symbols
            probabilities = dict(zip(symbols, decoded.probabilities[row].tolist(), strict=True))
        text = self.task.show_target(decoded.ids[row].tolist())
        return Prediction(line, text, float(decoded.scores[row]), probabilities)

    def predict_stream(self, lines: Iterable[str]) -> Iterator[list[Prediction]]:
        """One prediction a line, in order, in lists; answers come while lines still do, and memory does not grow."""
        for chunk in chunks_as_they_come(lines, BATCH_ROWS):
            yield self.predict(chunk)
