"""From lines of text to predictions, in order, as they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rnncli.decoder import BATCH_ROWS, Decoded, Decoder, States
from rnncli.errors import DataError, InputError, RunDirError
from rnncli.models import Stepper, build_model
from rnncli.rundir import SavedRun
from rnncli.runtime import Runtime
from rnncli.streams import chunks_as_they_come
from rnncli.tasks import Steps, padded_sources, read_sources

CHUNK_LINES = 8 * BATCH_ROWS
"""Lines that are answered together where so many are there: enough to fill batches with sources of like length."""


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
        for chunk in chunks_as_they_come(lines, CHUNK_LINES):
            yield self.predict(chunk)
