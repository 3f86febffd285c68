"""A model over arrays of ids: compiled functions, batches of few shapes, several batches at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rnncli.data.examples import Examples
from rnncli.data.length_bucketing import stateful_order
from rnncli.inference.batching import BATCH_ROWS, Batch, map_arrays, padded_lengths, run_in_batches
from rnncli.inference.beam_search import beam_search
from rnncli.inference.decoding import GREEDY, MAX_ATTENTION_WEIGHTS, Decoded, SequenceSpec, States
from rnncli.inference.decoding_options import DecodingOptions
from rnncli.inference.sampling import argmax_per_step, greedy, sample
from rnncli.layers import CustomRecurrent, State, xla_compiles
from rnncli.models import AutoregressiveModel, PredictionModel, SinglePassModel
from rnncli.runtime.compiled import CompiledFunction
from rnncli.runtime.tensorflow_setup import MAX_WORKERS, Runtime

ROW_MULTIPLE = 16
"""Batches of stateful models have a multiple of this number of rows."""


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
        self.padded_lengths = padded_lengths(model.source_steps)
        self.state_spec = model.state_spec
        self._encode_batch = self._compile(self._encode)
        self._attend_batch = self._compile(self._attend)
        self._compiled: dict[DecodingOptions, Callable[[Batch], Batch]] = {}

    def __call__(
        self,
        source: NDArray[Any],
        lengths: NDArray[np.integer],
        initial: States | None = None,
        options: DecodingOptions = GREEDY,
        lines: NDArray[np.integer] | None = None,
    ) -> Decoded:
        """Predict the targets of any number of sources.

        Args:
            source: As in `Examples.source`.
            lengths: int [rows].
            initial: Initial states of each row, instead of those of the encoder or zeros.
            options: Options of decoding; models that predict all symbols at once support greedy decoding only.
            lines: Line number of each row, which determines its samples, int [rows]; None is 1, 2, ...
        """
        if not len(source):
            return self._no_rows(options)
        more: Batch = {} if initial is None else {"initial": initial}
        if options.sample:
            more["lines"] = np.arange(1, len(source) + 1) if lines is None else lines
        rows = self.batch_rows // options.width
        results = self._run(partial(self._predict, options), source, lengths, more, rows)
        return Decoded(results["ids"], results["scores"], results.get("probabilities"), results["state"])

    def encode(self, source: NDArray[Any], lengths: NDArray[np.integer]) -> States:
        """Return the states after reading sources: the initial states of the decoder, if the model has one.

        Args:
            source: As in `Examples.source`.
            lengths: int [rows].
        """
        states: States = self._run(lambda batch: {"state": self._encode_batch(batch)["state"]}, source, lengths)[
            "state"
        ]
        return states

    def attention(
        self, source: NDArray[Any], lengths: NDArray[np.integer], target: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Return the attention weights of predicted targets.

        Args:
            source: As in `Examples.source`.
            lengths: int [rows].
            target: Predicted ids, int32 [rows, target steps].

        Returns:
            float32 [rows, target steps, source steps]. The weights of a target step sum to 1; those of steps behind
            end-of-sequence have no meaning.
        """
        source_steps, target_steps = int(self.padded_lengths[-1]), target.shape[1]
        if not len(source):
            return np.zeros((0, target_steps, source_steps), np.float32)
        rows = min(self.batch_rows, MAX_ATTENTION_WEIGHTS // MAX_WORKERS // (target_steps * source_steps))
        weights: NDArray[np.float32] = self._run(self._attend_batch, source, lengths, {"target": target}, rows)[
            "weights"
        ]
        return weights

    def max_length(self, options: DecodingOptions) -> int:
        """Return the maximum number of symbols of a prediction."""
        return int(options.max_length or self.model.steps)

    def _no_rows(self, options: DecodingOptions) -> Decoded:
        ids = np.zeros((0, options.n_best, self.max_length(options)), np.int32)
        state = {name: np.zeros((0, *shape), np.float32) for name, shape in self.model.state_spec.items()}
        return Decoded(ids, np.zeros(ids.shape[:2], np.float32), None, state)

    def _compile(self, run: Callable[[Batch], Batch]) -> Callable[[Batch], Batch]:
        compiled = xla_compiles(layer.choice for layer in self.model.recurrent_layers)
        return CompiledFunction(run, compiled)

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
        if inputs["initial"] is None or self.model.has_attention:
            encoded = self._encode_batch({"source": batch["source"], "lengths": batch["lengths"]})
            inputs["memory"] = encoded["memory"]
            if inputs["initial"] is None:
                inputs["initial"] = encoded["state"]
        return self._predict_batch(options)(inputs)

    def _predict_batch(self, options: DecodingOptions) -> Callable[[Batch], Batch]:
        options = replace(options, seed=0, temperature=1.0, length_penalty=0.0)  # inputs of what is compiled
        if options not in self._compiled:
            if isinstance(self.model, SinglePassModel):
                run = self._compile(partial(predict_steps, self.model))
            else:
                run = self._compile(partial(self._decode, self.model, options))
            self._compiled.setdefault(options, run)  # of several threads one wins
        return self._compiled[options]

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
            rows = sample(step, _repeat_rows(initial, width), spec, uniforms, batch["temperature"])
            ids, scores = tf.reshape(rows.ids, [-1, width, spec.max_length]), tf.reshape(rows.score, [-1, width])
        elif options.beam > 1:
            penalty, n_best = batch["length_penalty"], options.n_best
            ids, scores = beam_search(step, initial, spec, width, length_penalty=penalty, n_best=n_best)
        else:
            rows = greedy(step, initial, spec)
            return {"ids": rows.ids[:, None], "scores": rows.score[:, None], "state": _float32(rows.state)}
        return {"ids": ids, "scores": scores, "state": {}}

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
    return {"ids": ids[:, None], "scores": scores[:, None], "state": _float32(state), **more}


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


def predict_examples(
    decoder: Decoder, examples: Examples, initial: States, options: DecodingOptions = GREEDY
) -> NDArray[np.int32]:
    """Predict the targets of examples; returns the best hypothesis of each, int32 [examples, target steps].

    Args:
        decoder: Runs the model.
        examples: Their sources are read, not their targets.
        initial: Initial states of a stateful model, float32 [batch size, units] by name, which are carried on from
            batch to batch; empty for other models.
        options: Options of decoding; stateful models decode greedily.
    """
    if not initial:
        return decoder(examples.source, examples.source_lengths, options=options).ids
    size, states = len(next(iter(initial.values()))), initial
    predicted = np.zeros((len(examples), decoder.model.steps), np.int32)
    for batch in stateful_order(len(examples), size, examples.continuing):
        rows = np.maximum(batch, 0)  # a place without an example, which no example follows in its row, repeats one
        decoded = decoder(examples.source[rows], examples.source_lengths[rows], states)
        states = decoded.state
        predicted[batch[batch >= 0]] = decoded.ids[batch >= 0]
    return predicted
