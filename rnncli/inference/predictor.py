"""From lines of text to predictions, in order, as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncli.data.examples import Steps
from rnncli.data.parsing import check_text, padded_sources, read_sources
from rnncli.data.vocabulary import EOS_ID
from rnncli.errors import DataError, InputError, RunDirError, RunFailedError
from rnncli.inference.batching import BATCH_ROWS
from rnncli.inference.decoder import GREEDY, MOST_WEIGHTS, Decoded, Decoder, States
from rnncli.inference.decoding_options import Search
from rnncli.inference.streaming import chunks_as_they_come
from rnncli.models import AutoregressiveModel, NetworkModel, PredictionModel, build_model
from rnncli.models.ensemble import Ensemble
from rnncli.runs.directory import SavedRun
from rnncli.runs.size_limits import check_size
from rnncli.runtime.tensorflow_setup import Runtime

CHUNK_LINES = 16 * BATCH_ROWS
"""Lines that are answered together where so many are there: enough to fill batches with sources of like length."""


class Hypothesis(NamedTuple):
    """One answer to a source.

    Attributes:
        text: The predicted target.
        score: Sum of the natural-log probabilities of the symbols predicted, the end included.
    """

    text: str
    score: float


class Attention(NamedTuple):
    """What a model looked at while it wrote an answer.

    Attributes:
        weights: float32 [symbols written, symbols read].
        source: The symbols read, in reading order.
        target: The symbols written, the end included.
    """

    weights: NDArray[np.float32]
    source: list[str]
    target: list[str]


@dataclass(frozen=True)
class Prediction:
    """The answer to one line.

    Attributes:
        source: The line.
        text: The predicted target, the best if there are several; empty for a bad line.
        score: Sum of the natural-log probabilities of the symbols predicted, the end included; None for a bad line.
        probabilities: Of every symbol, for models that predict one.
        error: What is wrong with a bad line.
        hint: What to do about it.
        hypotheses: All answers, the best first, or samples as they were drawn; none for a bad line.
        attention: Of the first answer, where it was asked for.
    """

    source: str
    text: str = ""
    score: float | None = None
    probabilities: dict[str, float] | None = None
    error: str | None = None
    hint: str = ""
    hypotheses: tuple[Hypothesis, ...] = ()
    attention: Attention | None = None


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
        decoder: Runs the model over ids, or all models of an ensemble.
        attends: Whether all of them have attention.
        carried: Of a stateful model the states that training left, float32 [batch size, units] by name.
    """

    def __init__(self, saved: SavedRun, runtime: Runtime, others: Sequence[SavedRun] = ()) -> None:
        """Rebuild the model from the config and give it its weights.

        Args:
            saved: The run.
            runtime: Where to run it; need not be like the one it was trained on.
            others: Runs that answer together with it, as `check_members` allows.

        Raises:
            RunDirError: The weights, or the states that training left, are not those of the config.
        """
        self.task = saved.task
        self.model = _rebuilt(saved, runtime)
        members = [self.model, *(_rebuilt(other, runtime) for other in others)]
        model: PredictionModel = self.model
        if others:  # `check_members` allows autoregressive models only
            model = Ensemble([member for member in members if isinstance(member, AutoregressiveModel)])
        self.decoder = Decoder(model, runtime, saved.config.fixed_batch_size)
        self.attends = all(member.has_attention for member in members)
        if saved.config.stateful:
            _check_carried(saved, self.model.state_spec)
        self.carried = saved.carried

    @property
    def reads_before_it_writes(self) -> bool:
        """Whether states to start from are those of a decoder, in place of reading sources."""
        return isinstance(self.model, AutoregressiveModel)

    def predict(
        self, lines: Sequence[str], search: Search = GREEDY, first: int = 1, attention: bool = False
    ) -> list[Prediction]:
        """One prediction a line, bad lines included.

        Args:
            lines: The sources.
            search: How answers are looked for.
            first: The number of the first line, by which chance knows it.
            attention: Whether predictions have it; of models that have it.
        """
        rows: list[Steps] = []
        found: list[int | DataError] = []  # each line's row, or what is wrong with the line
        for line in lines:
            try:
                check_text(line)
                ids = self.task.read_source(line)
            except DataError as error:
                found.append(error)
            else:
                found.append(len(rows))
                rows.append(ids)
        source, lengths = padded_sources(self.task.sizes, rows)
        numbers = first + np.flatnonzero([isinstance(row, int) for row in found])
        decoded = self.decoder(source, lengths, search=search, lines=numbers)
        attended = self._attended(source, lengths, decoded.ids) if attention else None
        return [
            Prediction(line, error=row.message, hint=row.hint)
            if isinstance(row, DataError)
            else self._prediction(line, decoded, row, None if attended is None else attended[row])
            for line, row in zip(lines, found, strict=True)
        ]

    def predict_from(
        self, lines: Sequence[str], name: str, first: int, initial: States | None
    ) -> tuple[list[Prediction], States]:
        """One prediction a line, found greedily, starting from states and giving those it ends with.

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

    def _prediction(self, line: str, decoded: Decoded, row: int, attention: Attention | None = None) -> Prediction:
        probabilities = None
        if decoded.probabilities is not None:
            symbols = self.task.target_vocabulary.symbols
            probabilities = dict(zip(symbols, decoded.probabilities[row].tolist(), strict=True))
        pairs = zip(decoded.hypotheses[row].tolist(), decoded.log_probabilities[row].tolist(), strict=True)
        hypotheses = tuple(Hypothesis(self.task.show_target(ids), s) for ids, s in pairs if s != -np.inf)
        if not hypotheses or any(np.isnan(hypothesis.score) for hypothesis in hypotheses):
            raise RunFailedError(f"{line[:40]!r}: the model's answer is no number", "its weights are far too large")
        return Prediction(line, *hypotheses[0], probabilities, hypotheses=hypotheses, attention=attention)

    def _attended(
        self, source: NDArray[Any], lengths: NDArray[np.integer], target: NDArray[np.int32]
    ) -> list[Attention]:
        """What the model looks at while it writes targets, without what is behind the ends of rows."""
        weights = self.decoder.attention(source, lengths, target)
        ends = (target == EOS_ID) | (np.arange(target.shape[1]) == target.shape[1] - 1)
        written = ends.argmax(axis=1) + 1
        cut = zip(weights, source, lengths.tolist(), target, written.tolist(), strict=True)
        return [
            Attention(
                each[:symbols, :length],
                self.task.source_vocabulary.decode(read[:length].tolist()),
                self.task.target_vocabulary.decode(wrote[:symbols].tolist()),
            )
            for each, read, length, wrote, symbols in cut
        ]

    def predict_stream(
        self, lines: Iterable[str], search: Search = GREEDY, attention: bool = False
    ) -> Iterator[list[Prediction]]:
        """One prediction a line, in order, in lists; answers come while lines still do, and memory does not grow."""
        most = CHUNK_LINES
        if attention:
            weights = self.decoder.steps(search) * self.task.sizes.source_steps
            most = max(1, min(most, MOST_WEIGHTS // weights))
        first = 1
        for chunk in chunks_as_they_come(lines, most):
            yield self.predict(chunk, search, first, attention)
            first += len(chunk)


def _rebuilt(saved: SavedRun, runtime: Runtime) -> NetworkModel:
    check_size(saved.config, saved.task, saved.weights, str(saved.path))
    with runtime.strategy.scope():
        model = build_model(saved.config, saved.task.sizes, runtime.on_gpu, saved.search_path)
    try:
        model.assign(saved.weights)
    except InputError as error:
        raise RunDirError(f"{saved.path}: {error.message}", error.hint) from error
    return model
