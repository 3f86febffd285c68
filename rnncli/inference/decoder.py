"""A model over arrays of ids: compiled functions, batches of few shapes, several batches at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rnncli.inference.batching import BATCH_ROWS, Batch, map_arrays, padded_lengths, run_in_batches
from rnncli.inference.beam_search import beam_search
from rnncli.inference.decoding import GREEDY, MAX_ATTENTION_WEIGHTS, Decoded, SequenceSpec, States, no_rows
from rnncli.inference.decoding_options import DecodingOptions
from rnncli.inference.sampling import argmax_per_step, greedy, sample
from rnncli.layers import CustomRecurrent, State, xla_compiles
from rnncli.models import AutoregressiveModel, PredictionModel, SinglePassModel
from rnncli.runtime import xla
from rnncli.runtime.compiled import CompiledFunction
from rnncli.runtime.tensorflow_setup import MAX_WORKERS, Runtime

ROW_MULTIPLE = 16
"""Batches of stateful models have a multiple of this number of rows."""

UNROLLED_STEPS = 8
"""Sequences up to this many steps are unrolled: fewer than in training, as longer ones gain no time here, and compile
slowly. See benchmarks/RESULTS.md."""

MAX_COMPILED = 32
"""Functions for different options of decoding that are kept, so that a server's memory stays bounded."""

MAX_LOGITS = 2**24
"""Logits computed at a time (float32, 64 MiB), those of all pairs of steps with monotonic attention."""


class Decoder:
    """Runs a model, or an ensemble, over arrays of ids by TensorFlow; a `SequenceDecoder`.

    Args:
        model: The model or ensemble.
        runtime: The device and threads to run on.
        fixed_batch_size: Batch size of a stateful model, whose rows must be decoded together; else None.
        batch_rows: Rows of full batches.

    Attributes:
        workers: Batches that run at a time.
        padded_lengths: Lengths that sources are padded to, int32, ascending.
        state_spec: Name and shape of the states that prediction can start from and ends with.
        padded_target_lengths: Lengths that targets to score are padded to, int32, ascending.
    """

    def __init__(
        self,
        model: PredictionModel,
        runtime: Runtime,
        fixed_batch_size: int | None = None,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        self.model, self.runtime, self.batch_rows = model, runtime, batch_rows
        # a custom cell may draw random numbers, which must come in the same order every time
        custom = any(isinstance(layer, CustomRecurrent) for layer in model.recurrent_layers)
        self.workers = 1 if custom else runtime.workers
        self.max_rows = _max_rows(fixed_batch_size, batch_rows)
        self.padded_lengths = padded_lengths(model.source_steps, model.features)
        self.state_spec = model.state_spec
        self.padded_target_lengths = padded_lengths(model.steps)
        self._encode_batch = self._compile(self._encode, "encode")
        self._attend_batch = self._compile(self._attend, "attend")
        self._force_batch = self._compile(self._force, "force")
        self._step_batch = self._compile(self._advance, "advance")
        self._compiled: dict[DecodingOptions, Callable[[Batch], Batch]] = {}

    def __call__(
        self,
        source: NDArray[Any],
        lengths: NDArray[np.integer],
        initial: States | None = None,
        options: DecodingOptions = GREEDY,
        lines: NDArray[np.integer] | None = None,
        target: NDArray[np.integer] | None = None,
    ) -> Decoded:
        """Predict the targets of any number of sources.

        Args:
            source: As in `Examples.source`.
            lengths: int [rows].
            initial: Initial states of each row, instead of those of the encoder or zeros.
            options: Options of decoding; models that predict all symbols at once support greedy decoding only.
            lines: Line number of each row, which determines its samples, int [rows]; None is 1, 2, ...
            target: Targets to score meanwhile, as for `score`; for models that predict all symbols at once.
        """
        if not len(source):
            return no_rows(options, self.max_length(options), self.state_spec)
        more: Batch = {} if initial is None else {"initial": initial}
        if options.sample:
            more["lines"] = np.arange(1, len(source) + 1) if lines is None else lines
        if target is not None:
            more["target"] = target.astype(np.int32)
        rows = max(1, self._rows_for(1) // options.width)
        results = self._run(partial(self._predict, options), source, lengths, more, rows)
        scored = results.get("target")
        return Decoded(results["ids"], results["scores"], results.get("probabilities"), results["state"], scored)

    def score(
        self,
        source: NDArray[Any],
        lengths: NDArray[np.integer],
        target: NDArray[np.integer],
        initial: States | None = None,
    ) -> tuple[NDArray[np.float32], States]:
        """Return the log probability of each symbol of given targets, given the symbols before it (forced decoding).

        Args:
            source: As in `Examples.source`.
            lengths: int [rows].
            target: int [rows, target steps], padded with 0.
            initial: As for `__call__`.

        Returns:
            Natural logarithms, float32 [rows, target steps], of no meaning at padding; and the states after the
            sources, which only models that predict all symbols at once have.
        """
        if isinstance(self.model, SinglePassModel):
            decoded = self(source, lengths, initial, target=target)
            found = decoded.target_log_probabilities
            return np.zeros(target.shape, np.float32) if found is None else found, decoded.state
        steps = target.shape[1]
        longest = self.padded_target_lengths
        width = int(longest[np.searchsorted(longest, steps)]) if steps <= longest[-1] else steps
        more: Batch = {"target": np.pad(target.astype(np.int32), ((0, 0), (0, width - steps)))}
        if initial is not None:
            more["initial"] = initial
        if not len(source):
            return np.zeros(target.shape, np.float32), {}
        rows = self._rows_for(width)
        scored: NDArray[np.float32] = self._run(self._score, source, lengths, more, rows)["target"]
        return scored[:, :steps], {}

    def encode(self, source: NDArray[Any], lengths: NDArray[np.integer]) -> States:
        """See `SequenceDecoder`."""
        states: States = self._run(lambda batch: {"state": self._encode_batch(batch)["state"]}, source, lengths)[
            "state"
        ]
        return states

    def step(
        self, ids: NDArray[np.int32], states: States, source: NDArray[Any] | None, lengths: NDArray[np.integer] | None
    ) -> tuple[NDArray[np.float32], States]:
        """See `SequenceDecoder`; of models that predict symbol by symbol, as a `Stepper` reads with the others."""
        if source is None or lengths is None:
            source, lengths = np.zeros((len(ids), 1), np.int32), np.ones(len(ids), np.int32)
        found = self._run(self._step, source, lengths, {"ids": ids, "initial": states})
        return found["logits"], found["state"]

    def attention(
        self, source: NDArray[Any], lengths: NDArray[np.integer], target: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """See `SequenceDecoder`."""
        source_steps, target_steps = int(self.padded_lengths[-1]), target.shape[1]
        if not len(source):
            return np.zeros((0, target_steps, source_steps), np.float32)
        rows = MAX_ATTENTION_WEIGHTS // MAX_WORKERS // (target_steps * source_steps)
        rows = min(rows, self._rows_for(target_steps))  # a monotonic alignment depends on the logits
        weights: NDArray[np.float32] = self._run(self._attend_batch, source, lengths, {"target": target}, rows)[
            "weights"
        ]
        return weights

    def max_length(self, options: DecodingOptions) -> int:
        """Return the maximum number of symbols of a prediction."""
        return int(options.max_length or self.model.steps)

    def _rows_for(self, steps: int) -> int:
        """Return the rows of a batch for which the logits of so many target steps are computed at once."""
        if not isinstance(self.model, AutoregressiveModel):
            return self.batch_rows
        return max(1, min(self.batch_rows, MAX_LOGITS // (steps * self.model.step_size)))

    def _compile(self, run: Callable[[Batch], Batch], name: str) -> Callable[[Batch], Batch]:
        def traced(batch: Batch) -> Batch:
            with xla.unrolling(min(UNROLLED_STEPS, xla.UNROLL_STEPS)):
                return run(batch)

        compiled = xla_compiles(layer.choice for layer in self.model.recurrent_layers)
        return CompiledFunction(traced, compiled, name)

    def _run(
        self,
        run: Callable[[Batch], Batch],
        source: NDArray[Any],
        lengths: NDArray[np.integer],
        more: Batch | None = None,
        rows: int | None = None,
    ) -> Batch:
        """Run over all rows; a source's own length alone decides how far it is padded."""
        inputs = {"source": source, "lengths": lengths.astype(np.int32), **(more or {})}
        padded = self.padded_lengths[np.searchsorted(self.padded_lengths, lengths)]

        def on_device(batch: Batch) -> Batch:
            batch["source"] = batch["source"].astype(self.model.source_dtype)
            with tf.device(self.runtime.device):
                results = run(map_arrays(tf.constant, batch))
            return map_arrays(lambda value: value.numpy(), results)

        return run_in_batches(on_device, inputs, padded, rows or self.batch_rows, self.workers, self.max_rows)

    def _predict(self, options: DecodingOptions, batch: Batch) -> Batch:
        """Predict a batch, by a function that is compiled once for each set of options.

        The encoder is a function of its own, so that states that `encode` returned give the same bits when they are
        given back as initial states.
        """
        if isinstance(self.model, SinglePassModel):
            return self._predict_batch(options)(batch)
        inputs: Batch = {"initial": batch.get("initial")}
        inputs["temperature"] = tf.constant(options.temperature, tf.float32)
        inputs["length_penalty"] = tf.constant(options.length_penalty, tf.float32)
        if options.sample:
            uniforms = options.sampling_uniforms(batch["lines"].numpy(), self.max_length(options))
            inputs["uniforms"] = tf.constant(uniforms)
        if options.filters:
            symbols = self.model.target_symbols
            inputs["top_k"] = tf.constant(min(options.top_k or symbols, symbols))
            inputs["top_p"] = tf.constant(options.top_p or 1.0, tf.float32)
        if inputs["initial"] is None or self.model.has_memory:
            encoded = self._encode_batch({"source": batch["source"], "lengths": batch["lengths"]})
            inputs["memory"] = encoded["memory"]
            if inputs["initial"] is None:
                inputs["initial"] = encoded["state"]
        return self._predict_batch(options)(inputs)

    def _predict_batch(self, options: DecodingOptions) -> Callable[[Batch], Batch]:
        top_k = 1 if options.filters else None  # any number: like the others an input of what is compiled
        options = replace(options, seed=0, temperature=1.0, length_penalty=0.0, top_k=top_k, top_p=None)
        if (found := self._compiled.get(options)) is None:
            if isinstance(self.model, SinglePassModel):
                run = self._compile(partial(predict_steps, self.model), "predict")
            else:
                run = self._compile(partial(self._decode, self.model, options), f"decode by {options}")
            found = self._compiled.setdefault(options, run)  # of several threads one wins
            while len(self._compiled) > MAX_COMPILED:
                self._compiled.pop(next(iter(self._compiled)), None)
        return found

    def _encode(self, batch: Batch) -> Batch:
        source, lengths = batch["source"], batch["lengths"]
        if isinstance(self.model, SinglePassModel):
            return {"state": _float32(self.model.read_from(None, source, lengths)[1])}
        state, memory = self.model.encode(source, lengths)
        return {"state": _float32(state), "memory": memory}

    def _decode(self, model: AutoregressiveModel, options: DecodingOptions, batch: Batch) -> Batch:
        """Predict symbol by symbol."""
        width = options.width
        spec = SequenceSpec(model.begin, model.end, self.max_length(options))
        initial: State = batch["initial"]
        memory = _repeat_rows(batch.get("memory", {}), width)

        def step(ids: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
            logits, state = model.step(ids, state, memory)
            return logits, _float32(state)  # whatever the precision of the layers

        if options.sample:
            uniforms = tf.reshape(batch["uniforms"], [-1, spec.max_length])
            top = batch.get("top_k"), batch.get("top_p", 1.0)
            rows = sample(step, _repeat_rows(initial, width), spec, uniforms, batch["temperature"], *top)
            ids, scores = tf.reshape(rows.ids, [-1, width, spec.max_length]), tf.reshape(rows.score, [-1, width])
        elif options.beam > 1:
            penalty, n_best = batch["length_penalty"], options.n_best
            ids, scores = beam_search(step, initial, spec, width, length_penalty=penalty, n_best=n_best)
        else:
            rows = greedy(step, initial, spec)
            return {"ids": rows.ids[:, None], "scores": rows.score[:, None], "state": _float32(rows.state)}
        return {"ids": ids, "scores": scores, "state": {}}

    def _step(self, batch: Batch) -> Batch:
        memory: State = {}
        if self.model.has_memory:
            memory = self._encode_batch({"source": batch["source"], "lengths": batch["lengths"]})["memory"]
        return self._step_batch({"ids": batch["ids"], "initial": batch["initial"], "memory": memory})

    def _advance(self, batch: Batch) -> Batch:
        """Read a symbol in every row."""
        assert isinstance(self.model, AutoregressiveModel)  # the others read by a `Stepper`
        logits, state = self.model.step(batch["ids"], batch["initial"], batch["memory"])
        logits = tf.cast(logits, tf.float32)
        if (by_place := logits.shape[1] - self.model.target_symbols) > 0:  # as many for sources of any length
            missing = int(self.padded_lengths[-1]) - by_place
            logits = tf.pad(logits, [[0, 0], [0, missing]], constant_values=float("-inf"))
        return {"logits": logits, "state": _float32(state)}

    def _score(self, batch: Batch) -> Batch:
        """Score the targets of a batch; the encoder is the function that `_predict` calls too."""
        inputs: Batch = {"target": batch["target"], "initial": batch.get("initial"), "memory": {}}
        if inputs["initial"] is None or self.model.has_memory:
            encoded = self._encode_batch({"source": batch["source"], "lengths": batch["lengths"]})
            inputs |= {"memory": encoded["memory"], "initial": inputs["initial"] or encoded["state"]}
        return self._force_batch(inputs)

    def _force(self, batch: Batch) -> Batch:
        assert isinstance(self.model, AutoregressiveModel)  # the others read targets with their sources
        logits = self.model.target_logits(batch["target"], batch["initial"], batch["memory"])
        return {"target": _log_probabilities(logits, batch["target"])}

    def _attend(self, batch: Batch) -> Batch:
        assert isinstance(self.model, AutoregressiveModel)  # only these have attention
        weights = self.model.attention_weights(batch["source"], batch["lengths"], batch["target"])
        missing = int(self.padded_lengths[-1]) - weights.shape[2]
        return {"weights": tf.pad(tf.cast(weights, tf.float32), [[0, 0], [0, 0], [0, missing]])}


def predict_steps(model: SinglePassModel, batch: Batch) -> Batch:
    """Predict all symbols at once."""
    logits, state = model.read_from(batch.get("initial"), batch["source"], batch["lengths"])
    ids, scores = argmax_per_step(logits, batch["lengths"] if model.per_step else None)
    ids = tf.pad(ids, [[0, 0], [0, model.steps - ids.shape[1]]])
    more = {"probabilities": tf.nn.softmax(logits[:, 0])} if model.steps == 1 else {}
    if "target" in batch:
        more["target"] = _log_probabilities(logits, batch["target"])
    return {"ids": ids[:, None], "scores": scores[:, None], "state": _float32(state), **more}


def _log_probabilities(logits: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Return the log probability of each target symbol, float32 [rows, target steps]; 0 behind the logits' steps.

    Args:
        logits: float [rows, steps, symbols].
        target: int32 [rows, target steps].
    """
    missing = logits.shape[1] - target.shape[1]
    asked = tf.pad(target, [[0, 0], [0, missing]]) if missing > 0 else target[:, : logits.shape[1]]
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(asked, tf.cast(logits, tf.float32))
    return tf.pad(-losses, [[0, 0], [0, max(0, -missing)]])[:, : target.shape[1]]


def _max_rows(fixed_batch_size: int | None, batch_rows: int) -> int:
    """Return the rows of the largest batch: equal batches, as few rows each as hold the fixed batch size."""
    if fixed_batch_size is None:
        return batch_rows
    batches = -(-fixed_batch_size // batch_rows)
    rows = -(-fixed_batch_size // batches)
    return min(batch_rows, rows + -rows % ROW_MULTIPLE)


def _float32(state: State) -> State:
    return {name: tf.cast(value, tf.float32) for name, value in state.items()}


def _repeat_rows(values: State, times: int) -> State:
    return {name: tf.repeat(value, times, axis=0) for name, value in values.items()}
