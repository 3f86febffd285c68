"""When a checkpoint is written, and what is in it."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

import numpy as np

from rnncli.config import Config
from rnncli.errors import RunFailedError, UnreadableError, reason_of
from rnncli.runs.arrays import Arrays
from rnncli.runs.checkpoints import LOSSES, WEIGHTS
from rnncli.runs.directory import RunDir
from rnncli.runs.train_state import TrainState
from rnncli.training.state_dict import TrainingVariables

MOST_TIME = 0.02
"""Share of the time of the steps that writing may take where the config does not say when to write."""


@dataclass(frozen=True)
class _Taken:
    """A checkpoint that is not yet written."""

    state: TrainState
    arrays: dict[str, Arrays]
    best: bool


class Saver:
    """Writes the checkpoints of a run.

    A best epoch that is not written at once is held, and written before anything that comes after it: the checkpoints
    on the disk are always such that going on from the newest ends where training without an end would have ended.

    Args:
        directory: The run directory.
        config: Of the run.
        variables: What is written.
        written: The step of the newest checkpoint that is there already.

    Attributes:
        training_seconds: That steps took so far, without compiling them.
    """

    def __init__(
        self, directory: RunDir, config: Config, variables: TrainingVariables, written: int | None = None
    ) -> None:
        self.directory, self.training, self.config = directory, config.training, config.checkpoint
        self.variables, self.written = variables, written
        self.held: _Taken | None = None
        self.last = time.perf_counter()
        self.training_seconds = self.writing_seconds = self.longest_write = 0.0

    def most_steps(self, step: int) -> int | None:
        """Steps from here to where a checkpoint is due."""
        return None if self.config.steps is None else self.config.steps - step % self.config.steps

    def due(self, step: int) -> bool:
        """Whether the config wants a checkpoint after this step, be it the end of an epoch or not."""
        steps, seconds = self.config.steps, self.config.seconds
        if steps is not None:
            return step % steps == 0
        return seconds is not None and time.perf_counter() - self.last >= seconds

    def epoch_ended(self, at: TrainState, better: bool) -> None:
        """Write a checkpoint if it is time for one.

        Args:
            at: Where training is.
            better: Whether no epoch before was better.

        Raises:
            RunFailedError: A weight is not finite, or it cannot be written.
        """
        taken = self._taken(at, better)
        if better:
            self.held = taken
        affordable = self.writing_seconds + self.longest_write <= MOST_TIME * self.training_seconds
        if affordable or self.config.every == "epoch" or self.due(at.step) or at.finished(self.training):
            self._write_all(taken)

    def save(self, at: TrainState) -> None:
        """Write a checkpoint now, if the newest is not of this step.

        Raises:
            RunFailedError: A weight is not finite, or it cannot be written.
        """
        if self.written != at.step:
            self._write_all(self._taken(at, best=False))

    def diverged(self, what: str, at: TrainState) -> RunFailedError:
        """The error for numbers that are none; the best epoch is written if that is still to be done."""
        if self.held is not None:
            with contextlib.suppress(RunFailedError):
                self._write(self.held)
        kept = f"; the checkpoint of epoch {at.best['epoch']}, the best so far, stays" if at.best else ""
        return RunFailedError(
            f"{what}{kept}",
            "likely causes: training.learning_rate is too high, training.clip_norm is not set (try 1.0), "
            "or there is no warm-up (training.schedule: warmup_cosine)",
        )

    def _taken(self, at: TrainState, best: bool) -> _Taken:
        arrays = self.variables.arrays()
        if not all(np.isfinite(value).all() for value in arrays[WEIGHTS].values()):
            raise self.diverged(f"a weight is not finite after step {at.step}", at)
        if at.done:
            arrays[LOSSES] = {"loss": np.concatenate(at.losses)}
        return _Taken(at.model_copy(), arrays, best)

    def _write_all(self, newest: _Taken) -> None:
        held, self.held = self.held, None
        if held is not None:
            self._write(held)
        if held is None or held.state.step != newest.state.step:
            self._write(newest)

    def _write(self, taken: _Taken) -> None:
        began = time.perf_counter()
        try:
            self.directory.save_checkpoint(taken.state, taken.arrays, taken.best, self.config.keep)
        except (OSError, UnreadableError) as error:
            name, goes_on = self.directory.checkpoints.path, f"rnncli train --resume {self.directory.path} goes on"
            raise RunFailedError(
                f"{name}: the checkpoint of step {taken.state.step} cannot be written: {reason_of(error)}",
                "" if self.written is None else f"that of step {self.written} stays; when this is mended, {goes_on}",
            ) from error
        self.written, self.last = taken.state.step, time.perf_counter()
        self.writing_seconds += self.last - began
        self.longest_write = max(self.longest_write, self.last - began)
