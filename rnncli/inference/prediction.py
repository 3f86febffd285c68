"""Predictions for lines of text, by a decoder of whatever runtime. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncli.data.examples import Steps
from rnncli.data.padding import pad_sources
from rnncli.data.parsing import check_text, read_sources
from rnncli.data.task import show_target, symbols_to_write
from rnncli.data.vocabulary import EOS_ID, UnknownSymbols
from rnncli.errors import DataError, RunDirError, RunFailedError
from rnncli.inference.batching import BATCH_ROWS
from rnncli.inference.decoding import GREEDY, MAX_ATTENTION_WEIGHTS, Decoded, SequenceDecoder, States
from rnncli.inference.decoding_options import DecodingOptions
from rnncli.inference.initial_states import advance, first_states, leading_rows, num_rows
from rnncli.inference.streaming import iter_available_chunks, iter_full_chunks
from rnncli.runs.directory import SavedRun
from rnncli.states.batch import ATTENTION, StateBatch
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
        unknown: Source symbols that training did not have, the last few.
    """

    source: str
    text: str = ""
    score: float | None = None
    probabilities: dict[str, float] | None = None
    error: str | None = None
    hint: str = ""
    hypotheses: tuple[Hypothesis, ...] = ()
    attention: AttentionWeights | None = None
    unknown: tuple[str, ...] = ()


class Predictor:
    """A saved run ready to predict.

    Attributes:
        task: Converts between text and ids.
        decoder: Runs the model, or all models of an ensemble, over ids.
        attends: True if all of them have attention.
        kernels: The kernel of each recurrent layer, by the prefix of its states.
        is_autoregressive: True if the model predicts symbol by symbol; initial states are those of its decoder then.
        carried: The states carried from training, float32 [batch size, units] by name; empty if not stateful.
        first_states: The states that prediction starts from, as an epoch of training does; empty if not stateful.
    """

    def __init__(self, saved: SavedRun, decoder: SequenceDecoder, kernels: dict[str, str], attends: bool) -> None:
        """Make a predictor of a decoder.

        Args:
            saved: The run.
            decoder: See the class.
            kernels: See the class.
            attends: See the class.

        Raises:
            RunDirError: The carried states do not fit the config.
        """
        self.task, self.decoder, self.attends, self.kernels = saved.task, decoder, attends, kernels
        self.is_autoregressive = saved.config.is_autoregressive
        if saved.config.stateful:
            _check_carried_states(saved, decoder.state_spec)
        self.carried = saved.carried
        self.first_states = first_states(saved.config, saved.carried)

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
        unknown: list[tuple[str, ...]] = []  # of each row
        for line in lines:
            try:
                check_text(line)
                ids = self.task.read_source(line)
            except DataError as error:
                found.append(error)
                self._take_unknown()  # those before the error
            else:
                found.append(len(rows))
                rows.append(ids)
                unknown.append(self._take_unknown())
        source, lengths = pad_sources(self.task.sizes, rows)
        numbers = first + np.flatnonzero([isinstance(row, int) for row in found])
        decoded = self.decoder(source, lengths, options=options, lines=numbers)
        read = [line for line, row in zip(lines, found, strict=True) if isinstance(row, int)]
        attended = self._attention(read, source, lengths, decoded.ids) if attention else None
        return [
            Prediction(line, error=row.message, hint=row.hint)
            if isinstance(row, DataError)
            else self._prediction(line, decoded, row, None if attended is None else attended[row], unknown[row])
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
        unknown: list[tuple[str, ...]] = []
        sources = read_sources(self.task, lines, name, first, lambda: unknown.append(self._take_unknown()))
        decoded = self.decoder(*sources, initial)
        predictions = [self._prediction(line, decoded, row, None, unknown[row]) for row, line in enumerate(lines)]
        return predictions, decoded.state

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

    def _take_unknown(self) -> tuple[str, ...]:
        """Return the unknown symbols of the source that was read last."""
        unknown: UnknownSymbols | None = getattr(self.task, "unknown", None)  # of a `CountsUnknown`
        return () if unknown is None else unknown.take_latest()

    def _prediction(
        self,
        line: str,
        decoded: Decoded,
        row: int,
        attention: AttentionWeights | None = None,
        unknown: tuple[str, ...] = (),
    ) -> Prediction:
        probabilities = None
        if decoded.probabilities is not None:
            symbols = self.task.target_vocabulary.symbols
            probabilities = dict(zip(symbols, decoded.probabilities[row].tolist(), strict=True))
        pairs = zip(decoded.hypotheses[row].tolist(), decoded.log_probabilities[row].tolist(), strict=True)
        hypotheses = tuple(Hypothesis(show_target(self.task, ids, line), s) for ids, s in pairs if s != -np.inf)
        if not hypotheses or any(np.isnan(hypothesis.score) for hypothesis in hypotheses):
            raise RunFailedError(
                f"{quote(line)}: prediction is NaN; the model has probably diverged",
                "train again with a smaller training.learning_rate, or with training.clip_norm: 1.0",
            )
        return Prediction(
            line, *hypotheses[0], probabilities, hypotheses=hypotheses, attention=attention, unknown=unknown
        )

    def _attention(
        self, lines: Sequence[str], source: NDArray[Any], lengths: NDArray[np.integer], target: NDArray[np.int32]
    ) -> list[AttentionWeights]:
        """Return the attention weights of predicted targets, cut to their lengths."""
        features = self.task.sizes.tags  # to which no step attends
        weights = self.decoder.attention(source, lengths, target)
        ends = (target == EOS_ID) | (np.arange(target.shape[1]) == target.shape[1] - 1)
        target_lengths = ends.argmax(axis=1) + 1
        rows = zip(lines, weights, source, lengths.tolist(), target, target_lengths.tolist(), strict=True)
        return [
            AttentionWeights(
                row_weights[:target_length, features:source_length],
                self.task.source_vocabulary.decode(source_ids[features:source_length].tolist()),
                _decode(symbols_to_write(self.task, line), target_ids[:target_length].tolist()),
            )
            for line, row_weights, source_ids, source_length, target_ids, target_length in rows
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


def _decode(symbols: Sequence[str], ids: Sequence[int]) -> list[str]:
    return [symbols[index] for index in ids]


def _check_carried_states(saved: SavedRun, spec: dict[str, tuple[int, ...]]) -> None:
    rows = max([1, *(len(value) for value in saved.carried.values() if value.ndim)])
    specs = {name: ArraySpec((rows, *shape)) for name, shape in spec.items()}
    check_arrays(saved.carried, specs, f"{saved.path}: the carried states", RunDirError)


def attention_batch(predictions: Sequence[Prediction], shape: tuple[int, int]) -> StateBatch:
    """Return the attention weights of predictions, a row each; those of invalid lines are empty.

    Args:
        predictions: Predictions with attention.
        shape: Maximum target steps and maximum source steps.
    """
    weights = np.zeros((len(predictions), *shape), np.float32)
    empty = AttentionWeights(np.zeros((0, 0), np.float32), [], [])
    found = [prediction.attention or empty for prediction in predictions]
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
