"""From lines of text to predictions, in order, as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rnncli import decoding
from rnncli.batching import carried_order
from rnncli.errors import DataError, InputError, RunDirError
from rnncli.layers import xla_compiles
from rnncli.models import Model, Stepper, build_model
from rnncli.rundir import SavedRun
from rnncli.runtime import Runtime
from rnncli.streams import chunks_as_they_come
from rnncli.tasks import Examples, Steps, padded_sources, read_sources

States = dict[str, NDArray[np.float32]]
"""States by name, float32 [rows, units]."""

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
        state: The states that each row ended with, float32 [rows, units] by the names of `Model.state_spec`.
    """

    ids: NDArray[np.int32]
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None
    state: States


class Decoder:
    """Runs a model over id arrays, compiled, the parts of a batch side by side."""

    def __init__(self, model: Model, runtime: Runtime) -> None:
        self.model, self.runtime = model, runtime
        self._encode, self._decode = self._in_parts(self._encoded), self._in_parts(self._decoded)

    def _in_parts(self, run: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        """The function compiled, and called on the parts of a batch side by side; its states are float32."""

        def one(batch: dict[str, Any]) -> dict[str, Any]:
            result = run(batch)
            return {**result, "state": {name: tf.cast(value, tf.float32) for name, value in result["state"].items()}}

        compiled = xla_compiles(layer.choice for layer in self.model.recurrent_layers)
        part = tf.function(one, jit_compile=compiled, autograph=False)

        @tf.function(autograph=False)
        def whole(batch: dict[str, Any]) -> dict[str, Any]:
            split = zip(*(tf.split(value, self.runtime.parts) for value in tf.nest.flatten(batch)), strict=True)
            results = [part(tf.nest.pack_sequence_as(batch, list(values))) for values in split]
            return tf.nest.map_structure(lambda *values: tf.concat(values, axis=0), *results)

        return whole

    def _encoded(self, batch: dict[str, Any]) -> dict[str, Any]:
        model: Any = self.model
        source, lengths = batch["source"], batch["lengths"]
        if isinstance(model, Stepper):
            return {"state": model.encode(source, lengths)}
        return {"state": model.read_from(None, source, lengths)[1]}

    def _decoded(self, batch: dict[str, Any]) -> dict[str, Any]:
        model: Any = self.model
        source, lengths = batch["source"], batch["lengths"]
        initial: Any = batch.get("initial")
        if isinstance(model, Stepper):
            rows = tf.shape(source)[0]
            ids, scores, state = decoding.greedy(model.step, initial, rows, model.begin, model.end, model.steps)
            return {"ids": ids, "scores": scores, "state": state}
        logits, state = model.read_from(initial, source, lengths)
        ids, scores = decoding.best_each(logits, lengths if model.per_step else None)
        more = {"probabilities": tf.nn.softmax(logits[:, 0])} if model.steps == 1 else {}
        return {"ids": ids, "scores": scores, "state": state, **more}

    def __call__(self, source: NDArray[Any], lengths: NDArray[np.integer], initial: States | None = None) -> Decoded:
        """Decode any number of rows.

        Args:
            source: As in `Examples.source`.
            lengths: int [rows].
            initial: States to start from, a row each, in place of what the encoder gives or of zeros.
        """
        if not len(source):
            nothing = {name: np.zeros((0, *shape), np.float32) for name, shape in self.model.state_spec.items()}
            return Decoded(np.zeros((0, self.model.steps), np.int32), np.zeros(0, np.float32), None, nothing)
        if initial is None and isinstance(self.model, Stepper):
            initial = self.encode(source, lengths)  # by itself, so that given back it gives the same bits
        joined = self._run(self._decode, source, lengths, {} if initial is None else {"initial": initial})
        return Decoded(joined["ids"], joined["scores"], joined.get("probabilities"), joined["state"])

    def encode(self, source: NDArray[Any], lengths: NDArray[np.integer]) -> States:
        """The states after reading sources, as for `__call__`: those that a decoder starts from, if there is one."""
        states: States = self._run(self._encode, source, lengths, {})["state"]
        return states

    def _run(
        self,
        run: Callable[..., dict[str, Any]],
        source: NDArray[Any],
        lengths: NDArray[np.integer],
        more: dict[str, Any],
    ) -> dict[str, Any]:
        batch = {"source": source.astype(self.model.source_dtype), "lengths": lengths.astype(np.int32), **more}
        rows = BATCH_ROWS + -BATCH_ROWS % self.runtime.parts
        pieces = [self._piece(run, batch, begin, rows) for begin in range(0, len(source), rows)]
        return dict(tf.nest.map_structure(lambda *values: np.concatenate(values), *pieces))

    def _piece(
        self, run: Callable[..., dict[str, Any]], whole: dict[str, Any], begin: int, rows: int
    ) -> dict[str, Any]:
        """One batch, filled up by its first row again, so that no row is empty."""
        real = min(rows, len(whole["source"]) - begin)

        def filled(values: NDArray[Any]) -> tf.Tensor:
            piece = values[begin : begin + real]
            return tf.constant(np.concatenate([piece, np.repeat(piece[:1], rows - real, axis=0)]))

        with tf.device(self.runtime.device):
            results = run(tf.nest.map_structure(filled, whole))
        return dict(tf.nest.map_structure(lambda value: value.numpy()[:real], results))


def predict_examples(decoder: Decoder, examples: Examples, carried: States) -> NDArray[np.int32]:
    """Ids that a model writes for examples, int32 [examples, target steps].

    Args:
        decoder: Runs the model.
        examples: Their targets play no part.
        carried: Of a stateful model the states to start from, float32 [batch size, units] by name; they are carried
            on from batch to batch. Empty for other models.
    """
    if not carried:
        return decoder(examples.source, examples.source_lengths).ids
    size = len(next(iter(carried.values())))
    written = np.zeros((len(examples), decoder.model.steps), np.int32)
    for batch in carried_order(len(examples), size, examples.continuing):
        rows = np.maximum(batch, 0)  # a place without an example, which only the last rows have, repeats one
        decoded = decoder(examples.source[rows], examples.source_lengths[rows], carried)
        carried = decoded.state
        written[batch[batch >= 0]] = decoded.ids[batch >= 0]
    return written


def _check_carried(saved: SavedRun, spec: dict[str, tuple[int, ...]]) -> None:
    rows = {value.shape[:1] for value in saved.carried.values()}
    if (
        {name: value.shape[1:] for name, value in saved.carried.items()} != spec
        or len(rows) != 1
        or rows <= {(), (0,)}
    ):
        raise RunDirError(f"{saved.path}: the states that training left are not those of this config")


class TrainedRun:
    """A saved run as a model that predicts.

    Attributes:
        task: Reads and shows text.
        model: With the weights of the checkpoint.
        decoder: Runs the model over ids.
        carried: Of a stateful model the states that training left, float32 [batch size, units] by name.
    """

    def __init__(self, saved: SavedRun, runtime: Runtime) -> None:
        """Rebuild the model from the config and give it its weights.

        Args:
            saved: The run.
            runtime: Where to run it; need not be like the one it was trained on.

        Raises:
            RunDirError: The weights, or the states that training left, are not those of the config.
        """
        self.task = saved.task
        count, least = sum(array.size for array in saved.weights.values()), saved.config.model.least_weights
        if count < least:  # before as much memory is taken as the config asks for
            raise RunDirError(
                f"{saved.path}: the weights are not those of this config: {count:,} numbers, not {least:,} or more"
            )
        with runtime.strategy.scope():
            self.model = build_model(saved.config, self.task.sizes, runtime.on_gpu, saved.places)
        try:
            self.model.assign(saved.weights)
        except InputError as error:
            raise RunDirError(f"{saved.path}: {error.message}", error.hint) from error
        if saved.config.stateful:
            _check_carried(saved, self.model.state_spec)
        self.decoder = Decoder(self.model, runtime)
        self.carried = saved.carried

    @property
    def reads_before_it_writes(self) -> bool:
        """Whether states to start from are those of a decoder, in place of reading sources."""
        return isinstance(self.model, Stepper)

    def predict(self, lines: Sequence[str]) -> list[Prediction]:
        """One prediction a line, bad lines included."""
        rows: list[Steps] = []
        found: list[int | DataError] = []  # each line's row, or what is wrong with the line
        for line in lines:
            try:
                ids = self.task.read_source(line)
            except DataError as error:
                found.append(error)
            else:
                found.append(len(rows))
                rows.append(ids)
        decoded = self.decoder(*padded_sources(self.task.sizes, rows))
        return [
            Prediction(line, error=row.message, hint=row.hint)
            if isinstance(row, DataError)
            else self._prediction(line, decoded, row)
            for line, row in zip(lines, found, strict=True)
        ]

    def predict_from(
        self, lines: Sequence[str], name: str, first: int, initial: States | None
    ) -> tuple[list[Prediction], States]:
        """One prediction a line, starting from states and giving those it ends with.

        Args:
            lines: Every line must be good, since each has its row of the states.
            name: What they come from, for messages.
            first: The number of the first line.
            initial: float32 [lines, units] by the names of `Model.state_spec`; None is as without states.

        Raises:
            DataError: A line is bad.
        """
        decoded = self.decoder(*read_sources(self.task, lines, name, first), initial)
        return [self._prediction(line, decoded, row) for row, line in enumerate(lines)], decoded.state

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
