"""A decoder that runs exported graphs by onnxruntime, and searches in NumPy. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.data.examples import Sizes
from rnncli.data.vocabulary import BOS_ID, EOS_ID
from rnncli.errors import InputError
from rnncli.inference import numpy_search
from rnncli.inference.batching import BATCH_ROWS, Batch, padded_lengths, run_in_batches
from rnncli.inference.decoding import GREEDY, MAX_ATTENTION_WEIGHTS, Decoded, SequenceSpec, States, no_rows
from rnncli.inference.decoding_options import DecodingOptions
from rnncli.inference.onnx_model import OnnxModel
from rnncli.runs.export_record import (
    ATTENTION,
    ENCODE,
    IDS,
    LENGTHS,
    LOGITS,
    MEMORY,
    NEXT,
    PREDICT,
    PROBABILITIES,
    SCORE,
    SOURCE,
    STEP,
)


class OnnxDecoder:
    """Runs exported graphs over arrays of ids; a `SequenceDecoder`.

    Args:
        model: The graphs.
        sizes: Sizes of vocabularies and lengths of sequences.
        autoregressive: True if the model predicts symbol by symbol, and has the graphs `encode` and `step`.
        workers: Batches that run at a time.
        batch_rows: Rows of full batches.

    Attributes:
        state_spec: Name and shape of the states that prediction can start from and ends with.
    """

    def __init__(
        self, model: OnnxModel, sizes: Sizes, autoregressive: bool, workers: int = 1, batch_rows: int = BATCH_ROWS
    ) -> None:
        self.model, self.sizes, self.autoregressive = model, sizes, autoregressive
        self.workers, self.batch_rows = workers, batch_rows
        self.padded_lengths = padded_lengths(sizes.source_steps, sizes.tags)
        outputs = model.graph(PREDICT).outputs
        self.state_spec: dict[str, tuple[int, ...]] = {
            name.removeprefix(NEXT): (int(shape[1]),) for name, shape in outputs.items() if name.startswith(NEXT)
        }

    def __call__(
        self,
        source: NDArray[Any],
        lengths: NDArray[np.integer],
        initial: States | None = None,
        options: DecodingOptions = GREEDY,
        lines: NDArray[np.integer] | None = None,
    ) -> Decoded:
        """See `SequenceDecoder`.

        Raises:
            InputError: The graphs take no initial states.
        """
        if not len(source):
            return no_rows(options, self.max_length(options), self.state_spec)
        more: Batch = {} if initial is None else {"initial": initial}
        if options.sample:
            more["lines"] = np.arange(1, len(source) + 1) if lines is None else lines
        if not self.autoregressive or (initial is None and options == GREEDY):
            found = self._run(self._predict, source, lengths, more)
        else:
            found = self._run(partial(self._search, options), source, lengths, more, self.batch_rows // options.width)
        return Decoded(found[IDS], found[SCORE], found.get(PROBABILITIES), found["state"])

    def encode(self, source: NDArray[Any], lengths: NDArray[np.integer]) -> States:
        """See `SequenceDecoder`."""

        def run(batch: Batch) -> Batch:
            if not self.autoregressive:
                return {"state": self._predict(batch)["state"]}
            found = self.model.graph(ENCODE)(batch)
            return {"state": {name: found[name] for name in self.state_spec}}

        states: States = self._run(run, source, lengths)["state"]
        return states

    def step(
        self, ids: NDArray[np.int32], states: States, source: NDArray[Any] | None, lengths: NDArray[np.integer] | None
    ) -> tuple[NDArray[np.float32], States]:
        """See `SequenceDecoder`."""
        if source is None or lengths is None:
            return self._step({}, ids, states)
        found = self._run(self._step_with_sources, source, lengths, {"last": ids, "initial": states})
        return found[LOGITS], found["state"]

    def attention(
        self, source: NDArray[Any], lengths: NDArray[np.integer], target: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """See `SequenceDecoder`."""
        source_steps, target_steps = self.sizes.source_steps, target.shape[1]
        if not len(source):
            return np.zeros((0, target_steps, source_steps), np.float32)
        rows = max(1, min(self.batch_rows, MAX_ATTENTION_WEIGHTS // self.workers // (target_steps * source_steps)))
        found = self._run(self._attend, source, lengths, {"target": target}, rows)
        weights: NDArray[np.float32] = found["weights"]
        return weights

    def max_length(self, options: DecodingOptions) -> int:
        """See `SequenceDecoder`."""
        steps = self.model.graph(PREDICT).outputs[IDS][1]
        return options.max_length or (steps if isinstance(steps, int) else self.sizes.target_steps)

    def _run(
        self,
        run: Callable[[Batch], Batch],
        source: NDArray[Any],
        lengths: NDArray[np.integer],
        more: Batch | None = None,
        rows: int | None = None,
    ) -> Batch:
        dtype = np.int32 if self.sizes.features is None else np.float32
        inputs = {SOURCE: source, LENGTHS: lengths.astype(np.int32), **(more or {})}
        padded = self.padded_lengths[np.searchsorted(self.padded_lengths, lengths)]

        def run_typed(batch: Batch) -> Batch:
            return run({**batch, SOURCE: batch[SOURCE].astype(dtype)})

        return run_in_batches(run_typed, inputs, padded, rows or self.batch_rows, self.workers, filled=False)

    def _predict(self, batch: Batch) -> Batch:
        """Predict greedily by the graph `predict`."""
        graph, initial = self.model.graph(PREDICT), batch.get("initial")
        takes_states = [name for name in self.state_spec if name in graph.inputs]
        if initial is not None and not takes_states:
            raise InputError("the exported model takes no initial states", "use --backend tensorflow with the run")
        if initial is None:
            rows = len(batch[SOURCE])
            initial = {name: np.zeros((rows, *self.state_spec[name]), np.float32) for name in takes_states}
        found = graph({**batch, **initial})
        missing = self.max_length(GREEDY) - found[IDS].shape[1]
        results = {
            IDS: np.pad(found[IDS], ((0, 0), (0, missing)))[:, None],
            SCORE: found[SCORE][:, None],
            "state": {name: found[NEXT + name] for name in self.state_spec},
        }
        return {**results, PROBABILITIES: found[PROBABILITIES]} if PROBABILITIES in found else results

    def _search(self, options: DecodingOptions, batch: Batch) -> Batch:
        """Predict by a search in NumPy over the graph `step`."""
        width, spec = options.width, SequenceSpec(BOS_ID, EOS_ID, self.max_length(options))
        initial, memory = batch.get("initial"), {}
        if initial is None or not {*MEMORY}.isdisjoint(self.model.graph(STEP).inputs):
            encoded = self.model.graph(ENCODE)(batch)
            memory = {name: _repeat(encoded[name], width) for name in MEMORY if name in encoded}
            initial = initial or {name: encoded[name] for name in self.state_spec}
        memory[LENGTHS] = _repeat(batch[LENGTHS], width)
        step = partial(self._step, memory)
        if options.sample:
            uniforms = options.sampling_uniforms(batch["lines"], spec.max_length).reshape(-1, spec.max_length)
            start = {name: _repeat(value, width) for name, value in initial.items()}
            top = options.top_k, options.top_p
            rows = numpy_search.sample(step, start, spec, uniforms, options.temperature, *top)
            shape = (-1, width, spec.max_length)
            return {IDS: rows.ids.reshape(shape), SCORE: rows.score.reshape(-1, width), "state": {}}
        if options.beam > 1:
            penalty, n_best = options.length_penalty, options.n_best
            ids, score = numpy_search.beam_search(step, initial, spec, width, length_penalty=penalty, n_best=n_best)
            return {IDS: ids, SCORE: score, "state": {}}
        rows = numpy_search.greedy(step, initial, spec)
        return {IDS: rows.ids[:, None], SCORE: rows.score[:, None], "state": rows.state}

    def _step(self, memory: Batch, ids: NDArray[np.int32], state: States) -> tuple[NDArray[np.float32], States]:
        found = self.model.graph(STEP)({IDS: ids, **state, **memory})
        return found[LOGITS], {name: found[NEXT + name] for name in self.state_spec}

    def _step_with_sources(self, batch: Batch) -> Batch:
        encoded = self.model.graph(ENCODE)(batch)
        memory = {name: encoded[name] for name in MEMORY if name in encoded}
        logits, state = self._step({**memory, LENGTHS: batch[LENGTHS]}, batch["last"], batch["initial"])
        if self.sizes.copies is not None:  # as many for sources of any length
            missing = self.sizes.target_symbols + self.sizes.source_steps - logits.shape[1]
            logits = np.pad(logits, ((0, 0), (0, missing)), constant_values=-np.inf)
        return {LOGITS: logits, "state": state}

    def _attend(self, batch: Batch) -> Batch:
        encoded, step = self.model.graph(ENCODE)(batch), self.model.graph(STEP)
        state, target = {name: encoded[name] for name in self.state_spec}, batch["target"]
        memory = {**{name: encoded[name] for name in MEMORY if name in encoded}, LENGTHS: batch[LENGTHS]}
        weights = np.zeros((*target.shape, self.sizes.source_steps), np.float32)
        last = np.full(len(target), BOS_ID, np.int32)
        for t in range(target.shape[1]):
            found = step({IDS: last, **state, **memory})
            weights[:, t, self.sizes.tags : batch[SOURCE].shape[1]] = found[ATTENTION]
            state, last = {name: found[NEXT + name] for name in self.state_spec}, target[:, t].astype(np.int32)
        return {"weights": weights}


def _repeat(values: NDArray[Any], times: int) -> NDArray[Any]:
    return np.repeat(values, times, axis=0)
