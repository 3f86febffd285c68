"""Predictions of a trained run for lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncli.data.examples import Steps
from rnncli.data.padding import pad_sources
from rnncli.data.parsing import check_text, read_sources
from rnncli.data.vocabulary import EOS_ID
from rnncli.errors import DataError, InputError, RunDirError, RunFailedError
from rnncli.inference.batching import BATCH_ROWS
from rnncli.inference.decoder import GREEDY, MAX_ATTENTION_WEIGHTS, Decoded, Decoder, States
from rnncli.inference.decoding_options import DecodingOptions
from rnncli.inference.initial_states import advance, first_states, leading_rows, num_rows
from rnncli.inference.streaming import iter_available_chunks, iter_full_chunks
from rnncli.models import AutoregressiveModel, NetworkModel, PredictionModel, build_model
from rnncli.models.ensemble import Ensemble
from rnncli.runs.directory import SavedRun
from rnncli.runs.size_limits import check_size
from rnncli.runtime.tensorflow_setup import Runtime
from rnncli.states.named_arrays import ArraySpec, check_arrays
from rnncli.text import quote

CHUNK_LINES = 16 * BATCH_ROWS
"""Maximum lines predicted together: enough to fill batches with sources of similar length."""


class Hypothesis(NamedTuple):
    """A prediction of beam search or sampling.

    Attributes:
        text: The predicted target.
        score: Sum of the natural-log probabilities of its symbols, end-of-sequence included.
    """

    text: str
    score: float


class AttentionWeights(NamedTuple):
    """The attention weights of a prediction.

    Attributes:
        weights: float32 [target symbols, source symbols]; each row sums to 1.
        source: The source symbols in the order in which the model reads them.
        target: The predicted symbols, end-of-sequence included.
    """

    weights: NDArray[np.float32]
    source: list[str]
    target: list[str]


@dataclass(frozen=True)
class Prediction:
    """The prediction for one line.

    Attributes:
        source: The line.
        text: The predicted target, the best of several; empty for an invalid line.
        score: Sum of the natural-log probabilities of its symbols, end-of-sequence included; None for invalid lines.
        probabilities: Probability of every target symbol, for models that predict a single one.
        error: The error of an invalid line.
        hint: A remedy for the error.
        hypotheses: All predictions, best first, or samples in the order they were drawn; none for an invalid line.
        attention: Attention weights of the best prediction, if requested.
    """

    source: str
    text: str = ""
    score: float | None = None
    probabilities: dict[str, float] | None = None
    error: str | None = None
    hint: str = ""
    hypotheses: tuple[Hypothesis, ...] = ()
    attention: AttentionWeights | None = None


def _check_carried_states(saved: SavedRun, spec: dict[str, tuple[int, ...]]) -> None:
    rows = max([1, *(len(value) for value in saved.carried.values() if value.ndim)])
    specs = {name: ArraySpec((rows, *shape)) for name, shape in spec.items()}
    check_arrays(saved.carried, specs, f"{saved.path}: the carried states", RunDirError)


class TrainedRun:
    """A saved run with its model rebuilt, ready to predict.

    Attributes:
        task: Converts between text and ids.
        model: The model with the parameters of the checkpoint.
        decoder: Runs the model, or all models of an ensemble, over ids.
        attends: True if all of them have attention.
        carried: The states carried from training, float32 [batch size, units] by name; empty if not stateful.
        first_states: The states that prediction starts from, as an epoch of training does; empty if not stateful.
    """

    def __init__(self, saved: SavedRun, runtime: Runtime, others: Sequence[SavedRun] = ()) -> None:
        """Rebuild the model from the config and load its parameters.

        Args:
            saved: The run.
            runtime: The device and threads to run on; they may differ from those of training.
            others: The other runs of an ensemble, as `check_ensemble_compatible` allows.

        Raises:
            RunDirError: The parameters or the carried states do not fit the config.
        """
        self.task = saved.task
        self.model = _rebuild_model(saved, runtime)
        members = [self.model, *(_rebuild_model(other, runtime) for other in others)]
        model: PredictionModel = self.model
        if others:  # `check_ensemble_compatible` allows autoregressive models only
            model = Ensemble([member for member in members if isinstance(member, AutoregressiveModel)])
        self.decoder = Decoder(model, runtime, saved.config.fixed_batch_size)
        self.attends = all(member.has_attention for member in members)
        if saved.config.stateful:
            _check_carried_states(saved, self.model.state_spec)
        self.carried = saved.carried
        self.first_states = first_states(saved.config, saved.carried)

    @property
    def is_autoregressive(self) -> bool:
        """True if the model predicts symbol by symbol, so that initial states are those of its decoder."""
        return isinstance(self.model, AutoregressiveModel)

    def predict(
        self, lines: Sequence[str], options: DecodingOptions = GREEDY, first: int = 1, attention: bool = False
    ) -> list[Prediction]:
        """Return a prediction for each line, invalid lines included.

        Args:
            lines: The sources.
            options: Options of decoding.
            first: Number of the first line; samples depend on line numbers.
            attention: True adds attention weights; for models with attention.
        """
        rows: list[Steps] = []
        found: list[int | DataError] = []  # each line's row, or its error
        for line in lines:
            try:
                check_text(line)
                ids = self.task.read_source(line)
            except DataError as error:
                found.append(error)
            else:
                found.append(len(rows))
                rows.append(ids)
        source, lengths = pad_sources(self.task.sizes, rows)
        numbers = first + np.flatnonzero([isinstance(row, int) for row in found])
        decoded = self.decoder(source, lengths, options=options, lines=numbers)
        attended = self._attention(source, lengths, decoded.ids) if attention else None
        return [
            Prediction(line, error=row.message, hint=row.hint)
            if isinstance(row, DataError)
            else self._prediction(line, decoded, row, None if attended is None else attended[row])
            for line, row in zip(lines, found, strict=True)
        ]

    def predict_from(
        self, lines: Sequence[str], name: str, first: int, initial: States | None
    ) -> tuple[list[Prediction], States]:
        """Return a greedy prediction for each line from initial states, and the final states.

        Args:
            lines: The sources; each has a row of the states, so that all must be valid.
            name: Name of the input, for messages.
            first: Number of the first line.
            initial: float32 [lines, units] by the names of `Model.state_spec`; None for the model's own.

        Raises:
            DataError: A line is invalid.
        """
        decoded = self.decoder(*read_sources(self.task, lines, name, first), initial)
        return [self._prediction(line, decoded, row) for row, line in enumerate(lines)], decoded.state

    def predict_carrying(
        self, lines: Iterable[str], name: str, initial: States
    ) -> Iterator[tuple[list[Prediction], States]]:
        """Yield greedy predictions of a stateful model, a batch at a time, and the states that the batch ends with.

        Line n is in row n modulo the batch size, and continues from the line of that row in the batch before. A row
        without a line keeps its state.

        Args:
            lines: The sources, any number; all must be valid.
            name: Name of the input, for messages.
            initial: float32 [batch size, units] by name.

        Raises:
            DataError: A line is invalid.
        """
        states, first = initial, 1
        for batch in iter_full_chunks(lines, num_rows(initial)):
            predictions, final = self.predict_from(batch, name, first, leading_rows(states, len(batch)))
            states, first = advance(states, final), first + len(batch)
            yield predictions, states

    def final_states(self, lines: Sequence[str], name: str) -> States:
        """Return the states after reading sources: the initial states of the decoder, if the model has one.

        Args:
            lines: The sources; a stateful model reads them as `predict_carrying` does.
            name: Name of the input, for messages.

        Returns:
            float32 [lines, units] by name.

        Raises:
            DataError: A line is invalid.
        """
        if not self.first_states:
            return self.decoder.encode(*read_sources(self.task, lines, name))
        rows = num_rows(self.first_states)
        ends = [states for _, states in self.predict_carrying(lines, name, self.first_states)]
        ends[-1] = leading_rows(ends[-1], len(lines) - rows * (len(ends) - 1))
        return {key: np.concatenate([states[key] for states in ends]) for key in self.first_states}

    def _prediction(
        self, line: str, decoded: Decoded, row: int, attention: AttentionWeights | None = None
    ) -> Prediction:
        probabilities = None
        if decoded.probabilities is not None:
            symbols = self.task.target_vocabulary.symbols
            probabilities = dict(zip(symbols, decoded.probabilities[row].tolist(), strict=True))
        pairs = zip(decoded.hypotheses[row].tolist(), decoded.log_probabilities[row].tolist(), strict=True)
        hypotheses = tuple(Hypothesis(self.task.show_target(ids), s) for ids, s in pairs if s != -np.inf)
        if not hypotheses or any(np.isnan(hypothesis.score) for hypothesis in hypotheses):
            raise RunFailedError(
                f"{quote(line)}: prediction is NaN; the model has probably diverged",
                "train again with a smaller training.learning_rate, or with training.clip_norm: 1.0",
            )
        return Prediction(line, *hypotheses[0], probabilities, hypotheses=hypotheses, attention=attention)

    def _attention(
        self, source: NDArray[Any], lengths: NDArray[np.integer], target: NDArray[np.int32]
    ) -> list[AttentionWeights]:
        """Return the attention weights of predicted targets, cut to their lengths."""
        weights = self.decoder.attention(source, lengths, target)
        ends = (target == EOS_ID) | (np.arange(target.shape[1]) == target.shape[1] - 1)
        target_lengths = ends.argmax(axis=1) + 1
        rows = zip(weights, source, lengths.tolist(), target, target_lengths.tolist(), strict=True)
        return [
            AttentionWeights(
                row_weights[:target_length, :source_length],
                self.task.source_vocabulary.decode(source_ids[:source_length].tolist()),
                self.task.target_vocabulary.decode(target_ids[:target_length].tolist()),
            )
            for row_weights, source_ids, source_length, target_ids, target_length in rows
        ]

    def predict_stream(
        self, lines: Iterable[str], options: DecodingOptions = GREEDY, attention: bool = False
    ) -> Iterator[list[Prediction]]:
        """Yield a prediction for each line, in lists, in order, while lines still arrive; memory is bounded.

        Args:
            lines: The sources; may block until a line arrives.
            options: Options of decoding.
            attention: As for `predict`.
        """
        max_lines = CHUNK_LINES
        if attention:
            weights = self.decoder.max_length(options) * self.task.sizes.source_steps
            max_lines = max(1, min(max_lines, MAX_ATTENTION_WEIGHTS // weights))
        first = 1
        for chunk in iter_available_chunks(lines, max_lines):
            yield self.predict(chunk, options, first, attention)
            first += len(chunk)


def _rebuild_model(saved: SavedRun, runtime: Runtime) -> NetworkModel:
    check_size(saved.config, saved.task, saved.weights, str(saved.path))
    with runtime.strategy.scope():
        model = build_model(saved.config, saved.task.sizes, runtime.on_gpu, saved.search_path)
    try:
        model.assign(saved.weights)
    except InputError as error:
        raise RunDirError(f"{saved.path}: {error.message}", error.hint) from error
    return model
