"""A model over arrays of ids, compiled, in batches of few shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rnncli import decoding
from rnncli.batching import carried_order
from rnncli.layers import State, xla_compiles
from rnncli.models import Model, Stepper
from rnncli.runtime import Runtime
from rnncli.tasks import Examples

States = dict[str, NDArray[np.float32]]
"""States by name, float32 [rows, units]."""

BATCH_ROWS = 512
"""Rows of every batch that is predicted, filled up where there are fewer: few shapes are compiled, each once, and
what a row gets never depends on which rows stand beside it."""

SHORTEST_STEPS = 8
"""Sources are padded to so many steps or twice, four times, ... as many, and at most to the longest there may be."""


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
        self.lengths = _ladder(model.network.inputs[0].shape[1])
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
            state, memory = model.encode(source, lengths)
            return {"state": state, "memory": memory}
        return {"state": model.read_from(None, source, lengths)[1]}

    def _decoded(self, batch: dict[str, Any]) -> dict[str, Any]:
        model: Any = self.model
        initial: Any = batch.get("initial")
        if isinstance(model, Stepper):
            memory = batch.get("memory", {})

            def step(ids: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
                return model.step(ids, state, memory)

            rows = tf.shape(next(iter(initial.values())))[0]
            ids, scores, state = decoding.greedy(step, initial, rows, model.begin, model.end, model.steps)
            return {"ids": ids, "scores": scores, "state": state}
        source, lengths = batch["source"], batch["lengths"]
        logits, state = model.read_from(initial, source, lengths)
        ids, scores = decoding.best_each(logits, lengths if model.per_step else None)
        ids = tf.pad(ids, [[0, 0], [0, model.steps - ids.shape[1]]])
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
        joined = self._run(self._answers, source, lengths, {} if initial is None else {"initial": initial})
        return Decoded(joined["ids"], joined["scores"], joined.get("probabilities"), joined["state"])

    def encode(self, source: NDArray[Any], lengths: NDArray[np.integer]) -> States:
        """The states after reading sources, as for `__call__`: those that a decoder starts from, if there is one."""

        def read(batch: dict[str, Any]) -> dict[str, Any]:
            return {"state": self._encode(batch)["state"]}

        states: States = self._run(read, source, lengths, {})["state"]
        return states

    def _answers(self, batch: dict[str, Any]) -> dict[str, Any]:
        """What `_decoded` gives.

        States are made by themselves before a decoder starts from them, so that those which `encode` gave lead to the
        same bits when they are given back.
        """
        if not isinstance(self.model, Stepper):
            return self._decode(batch)
        initial = batch.get("initial")
        if initial is not None and not self.model.remembers:
            return self._decode({"initial": initial})
        encoded = self._encode({"source": batch["source"], "lengths": batch["lengths"]})
        state = encoded["state"] if initial is None else initial
        return self._decode({"initial": state, "memory": encoded["memory"]})

    def _run(
        self,
        run: Callable[[dict[str, Any]], dict[str, Any]],
        source: NDArray[Any],
        lengths: NDArray[np.integer],
        more: dict[str, Any],
    ) -> dict[str, Any]:
        """Run over all rows, those of like length together, and put the results in the order of the rows.

        To how many steps a source is padded depends on its own length alone.
        """
        batch = {"source": source.astype(self.model.source_dtype), "lengths": lengths.astype(np.int32), **more}
        steps = self.lengths[np.searchsorted(self.lengths, lengths)]
        most = BATCH_ROWS + -BATCH_ROWS % self.runtime.parts
        joined: Any = None
        for padded in np.unique(steps):
            rows = np.flatnonzero(steps == padded)
            for piece in np.split(rows, range(most, len(rows), most)):
                results = self._piece(run, {**batch, "source": batch["source"][:, :padded]}, piece, most)
                if joined is None:
                    joined = tf.nest.map_structure(
                        lambda value: np.zeros((len(source), *value.shape[1:]), value.dtype), results
                    )
                for whole, part in zip(tf.nest.flatten(joined), tf.nest.flatten(results), strict=True):
                    whole[piece] = part
        return dict(joined)

    def _piece(
        self, run: Callable[..., dict[str, Any]], whole: dict[str, Any], rows: NDArray[np.integer], most: int
    ) -> dict[str, Any]:
        """One batch, filled up by its first row again, so that no row is empty."""
        filled = np.concatenate([rows, np.repeat(rows[:1], most - len(rows))])
        with tf.device(self.runtime.device):
            results = run(tf.nest.map_structure(lambda values: tf.constant(values[filled]), whole))
        return dict(tf.nest.map_structure(lambda value: value.numpy()[: len(rows)], results))


def _ladder(most: int) -> NDArray[np.int32]:
    """To how many steps sources may be padded: `SHORTEST_STEPS`, twice as many, ..., and the most there may be."""
    steps = [most]
    step = SHORTEST_STEPS
    while step < most:
        steps.insert(-1, step)
        step *= 2
    return np.array(steps, np.int32)


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
