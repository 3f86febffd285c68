"""A model over arrays of ids, compiled, in batches of few shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rnncli.data.examples import Examples
from rnncli.data.length_bucketing import carried_order
from rnncli.inference import sampling as decoding
from rnncli.inference.batching import BATCH_ROWS, Batch, in_pieces, ladder
from rnncli.inference.beam_search import beam
from rnncli.inference.decoding_options import Search
from rnncli.layers import CustomRecurrent, State, xla_compiles
from rnncli.models import AutoregressiveModel, PredictionModel, SinglePassModel
from rnncli.runtime.tensorflow_setup import MAX_WORKERS, Runtime

States = dict[str, NDArray[np.float32]]
"""States by name, float32 [rows, units]."""

MOST_WEIGHTS = 2**24
"""Of attention that is computed at once: 64 MiB."""

FEWEST_ROWS = 16
"""Batches of stateful models have a multiple of so many rows."""

GREEDY = Search()


@dataclass(frozen=True)
class Decoded:
    """What a model says to some sources.

    Attributes:
        hypotheses: The best first, int32 [rows, hypotheses, target steps].
        log_probabilities: Of each hypothesis, float32 [rows, hypotheses]; minus infinity where there is none.
        probabilities: float32 [rows, symbols], of models with one step; else None.
        state: The states that each row ended with, float32 [rows, units] by the names of `Model.state_spec`; none
            after a beam, or samples.
    """

    hypotheses: NDArray[np.int32]
    log_probabilities: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None
    state: States

    @property
    def ids(self) -> NDArray[np.int32]:
        """Each row's best hypothesis, int32 [rows, target steps]."""
        return self.hypotheses[:, 0]


class Decoder:
    """Runs a model, or an ensemble of them, over id arrays, compiled, batches side by side.

    Args:
        model: Or an `Ensemble`.
        runtime: Where to run it.
        together: See `Config.fixed_batch_size`; batches are no larger than that needs.
    """

    def __init__(self, model: PredictionModel, runtime: Runtime, together: int | None = None) -> None:
        self.model, self.runtime = model, runtime
        # a user's cell may draw random numbers, whose order must be the same every time
        self.custom = any(isinstance(layer, CustomRecurrent) for layer in model.recurrent_layers)
        self.workers = 1 if self.custom else runtime.workers
        self._together = together
        self.lengths = ladder(model.source_steps)
        self._encode = self._compile(self._encoded)
        self._compiled: dict[Search, Callable[[Batch], Batch]] = {}
        self._attend = self._compile(self._attended)

    @property
    def most(self) -> int:
        """Rows of the largest batch: as few as hold those that are asked for together, in equal batches."""
        if self._together is None:
            return BATCH_ROWS
        rows = -(-self._together // -(-self._together // BATCH_ROWS))
        return min(BATCH_ROWS, rows + -rows % FEWEST_ROWS)

    def _compile(self, run: Callable[[Batch], Batch]) -> Callable[[Batch], Batch]:
        compiled = xla_compiles(layer.choice for layer in self.model.recurrent_layers)
        return tf.function(run, jit_compile=compiled, autograph=False)

    def _encoded(self, batch: Batch) -> Batch:
        source, lengths = batch["source"], batch["lengths"]
        if isinstance(self.model, AutoregressiveModel):
            state, memory = self.model.encode(source, lengths)
            return {"state": _float32(state), "memory": memory}
        return {"state": _float32(self.model.read_from(None, source, lengths)[1])}

    def _decode(self, batch: Batch, search: Search) -> Batch:
        """What `_searched` or `_read` give, compiled once for each way to search."""
        search = replace(search, seed=0)
        if search not in self._compiled:
            if isinstance(self.model, AutoregressiveModel):
                run = self._compile(partial(self._searched, self.model, search))
            else:
                run = self._compile(partial(self._read, self.model))
            self._compiled.setdefault(search, run)  # several threads come at once; one wins
        return self._compiled[search](batch)

    def _searched(self, model: AutoregressiveModel, search: Search, batch: Batch) -> Batch:
        width, steps, leave = search.width, self.steps(search), batch["leave"]
        begin, end = model.begin, model.end
        memory = {name: tf.repeat(value, width, axis=0) for name, value in batch.get("memory", {}).items()}
        initial: State = batch["initial"]
        state: State = {}
        rows = next(iter(initial.values())).shape[0]

        def step(ids: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
            logits, state = model.step(ids, state, memory)
            return logits, _float32(state)  # as they came in, whatever the precision of the layers

        if search.temperature is not None:
            initial = {name: tf.repeat(value, width, axis=0) for name, value in initial.items()}
            noise = tf.reshape(batch["noise"], [rows * width, steps])
            drawn = decoding.sample(step, initial, noise, begin, end, search.temperature, leave)
            ids, scores = tf.reshape(drawn.ids, [rows, width, steps]), tf.reshape(drawn.score, [rows, width])
            done = tf.reduce_all(tf.reshape(drawn.done, [rows, width]), axis=1)
        elif search.beam > 1:
            penalty, n_best = search.length_penalty, search.n_best
            ids, scores, done = beam(step, initial, rows, width, begin, end, steps, penalty, n_best, leave)
        else:
            ids, scores, state, done = decoding.greedy(step, initial, rows, begin, end, steps, leave)
            ids, scores = ids[:, None], scores[:, None]
        return {"ids": ids, "scores": scores, "state": _float32(state), "done": done}

    def _read(self, model: SinglePassModel, batch: Batch) -> Batch:
        """Of a model that answers at once."""
        logits, state = model.read_from(batch.get("initial"), batch["source"], batch["lengths"])
        ids, scores = decoding.best_each(logits, batch["lengths"] if model.per_step else None)
        ids = tf.pad(ids, [[0, 0], [0, model.steps - ids.shape[1]]])
        more = {"probabilities": tf.nn.softmax(logits[:, 0])} if model.steps == 1 else {}
        return {"ids": ids[:, None], "scores": scores[:, None], "state": _float32(state), **more}

    def _attended(self, batch: Batch) -> Batch:
        if not isinstance(self.model, AutoregressiveModel):
            raise TypeError("only autoregressive models have attention")
        weights = self.model.attention_weights(batch["source"], batch["lengths"], batch["target"])
        missing = int(self.lengths[-1]) - weights.shape[2]
        return {"weights": tf.pad(tf.cast(weights, tf.float32), [[0, 0], [0, 0], [0, missing]])}

    def steps(self, search: Search) -> int:
        """Most symbols of an answer."""
        return search.max_length or self.model.steps

    def __call__(
        self,
        source: NDArray[Any],
        lengths: NDArray[np.integer],
        initial: States | None = None,
        search: Search = GREEDY,
        lines: NDArray[np.integer] | None = None,
    ) -> Decoded:
        """Decode any number of rows.

        Args:
            source: As in `Examples.source`.
            lengths: int [rows].
            initial: States to start from, a row each, in place of what the encoder gives or of zeros.
            search: How; anything but greedily only models that write symbol by symbol.
            lines: Numbers that rows are known by where chance decides, int [rows]; None is 1, 2, ...
        """
        if not len(source):
            count, steps = search.n_best, self.steps(search)
            nothing = {name: np.zeros((0, *shape), np.float32) for name, shape in self.model.state_spec.items()}
            return Decoded(np.zeros((0, count, steps), np.int32), np.zeros((0, count), np.float32), None, nothing)
        more: Batch = {} if initial is None else {"initial": initial}
        if search.temperature is not None:
            more["lines"] = np.arange(1, len(source) + 1) if lines is None else lines
        joined = self._run(partial(self._answers, search), source, lengths, more, BATCH_ROWS // search.width)
        return Decoded(joined["ids"], joined["scores"], joined.get("probabilities"), joined["state"])

    def encode(self, source: NDArray[Any], lengths: NDArray[np.integer]) -> States:
        """The states after reading sources, as for `__call__`: those that a decoder starts from, if there is one."""

        def read(batch: Batch, _: int) -> Batch:
            return {"state": self._encode(batch)["state"]}

        states: States = self._run(read, source, lengths, {})["state"]
        return states

    def attention(
        self, source: NDArray[Any], lengths: NDArray[np.integer], target: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """What a model with attention looks at while it writes targets.

        Args:
            source: As for `__call__`.
            lengths: int [rows].
            target: What it writes, int32 [rows, target steps].

        Returns:
            float32 [rows, target steps, source steps]; weights of a step add up to 1. Steps behind a row's end mean
            nothing.
        """
        steps = target.shape[1]
        if not len(source):
            return np.zeros((0, steps, int(self.lengths[-1])), np.float32)
        rows = min(BATCH_ROWS, MOST_WEIGHTS // MAX_WORKERS // (steps * int(self.lengths[-1])))
        weights: NDArray[np.float32] = self._run(
            lambda batch, _: self._attend(batch), source, lengths, {"target": target}, rows
        )["weights"]
        return weights

    def _answers(self, search: Search, batch: Batch, leave: int) -> Batch:
        """What `_decode` gives; so many rows may be left unfinished.

        States are made by themselves before a decoder starts from them, so that those which `encode` gave lead to the
        same bits when they are given back.
        """
        if not isinstance(self.model, AutoregressiveModel):
            return self._decode(batch, search)
        decoded: Batch = {"leave": tf.constant(leave)}
        if search.temperature is not None:
            decoded["noise"] = tf.constant(search.noise(batch["lines"].numpy(), self.steps(search)))
        initial = batch.get("initial")
        if initial is not None and not self.model.has_attention:
            return self._decode({"initial": initial, **decoded}, search)
        encoded = self._encode({"source": batch["source"], "lengths": batch["lengths"]})
        state = encoded["state"] if initial is None else initial
        return self._decode({"initial": state, "memory": encoded["memory"], **decoded}, search)

    def _run(
        self,
        run: Callable[[Batch, int], Batch],
        source: NDArray[Any],
        lengths: NDArray[np.integer],
        more: Batch,
        rows: int = BATCH_ROWS,
    ) -> Batch:
        """Run over all rows; to how many steps a source is padded depends on its own length alone."""
        widest = ((0, 0), (0, int(self.lengths[-1]) - source.shape[1]), *((0, 0),) * (source.ndim - 2))
        source = np.pad(source.astype(self.model.source_dtype), widest)
        whole = {"source": source, "lengths": lengths.astype(np.int32), **more}
        padded = self.lengths[np.searchsorted(self.lengths, lengths)]

        def on_device(batch: Batch, leave: int) -> Batch:
            with tf.device(self.runtime.device):
                return run(tf.nest.map_structure(tf.constant, batch), leave)

        return in_pieces(on_device, whole, padded, rows, self.most, self.workers)


def _float32(state: State) -> State:
    return {name: tf.cast(value, tf.float32) for name, value in state.items()}


def predict_examples(
    decoder: Decoder, examples: Examples, carried: States, search: Search = GREEDY
) -> NDArray[np.int32]:
    """Ids that a model writes for examples, the best of each, int32 [examples, target steps].

    Args:
        decoder: Runs the model.
        examples: Their targets play no part.
        carried: Of a stateful model the states to start from, float32 [batch size, units] by name; they are carried
            on from batch to batch. Empty for other models.
        search: As for `Decoder`; greedily where states are carried.
    """
    if not carried:
        return decoder(examples.source, examples.source_lengths, search=search).ids
    size = len(next(iter(carried.values())))
    written = np.zeros((len(examples), decoder.model.steps), np.int32)
    for batch in carried_order(len(examples), size, examples.continuing):
        rows = np.maximum(batch, 0)  # a place without an example, which only the last rows have, repeats one
        decoded = decoder(examples.source[rows], examples.source_lengths[rows], carried)
        carried = decoded.state
        written[batch[batch >= 0]] = decoded.ids[batch >= 0]
    return written
