"""Checkpoints of a training run: when they are written, and their contents."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

import numpy as np

from rnncli.config import Config
from rnncli.errors import RunFailedError, UnreadableError, command_line, explain_os_errors
from rnncli.runs.arrays import Arrays
from rnncli.runs.checkpoints import LOSSES, WEIGHTS
from rnncli.runs.directory import RunDir
from rnncli.runs.train_state import TrainState
from rnncli.training.state_dict import TrainingVariables

MAX_WRITING_SHARE = 0.02
"""The maximum share of the training time for writing checkpoints, where the config does not say when to write."""

DIVERGENCE_HINT = (
    "likely causes: training.learning_rate is too high, training.clip_norm is not set (try 1.0), "
    "or there is no warm-up (training.schedule: warmup_cosine)"
)
"""Remedies for a loss that is not finite, or far above that of guessing."""


@dataclass(frozen=True)
class _Snapshot:
    """The contents of a checkpoint that is not yet written."""

    state: TrainState
    arrays: dict[str, Arrays]
    best: bool


class Checkpointer:
    """Writes the checkpoints of a run.

    The best epoch, if it is not written at once, is kept in memory and written before anything later. So resuming
    from the newest checkpoint on the disk ends with the same best epoch as training without interruption.

    Args:
        directory: The run directory; None writes nothing, as of several workers only the first one writes.
        config: The config of the run.
        variables: The variables to save.

    Attributes:
        written_step: The step of the newest checkpoint on the disk; None if there is none.
        training_seconds: The duration of all training steps so far, without compiling.
    """

    def __init__(self, directory: RunDir | None, config: Config, variables: TrainingVariables) -> None:
        self.directory, self.training, self.config = directory, config.training, config.checkpoint
        self.variables = variables
        self.written_step: int | None = None
        self.pending_best: _Snapshot | None = None
        self.last_write = time.perf_counter()
        self.training_seconds = self.writing_seconds = self.longest_write = 0.0

    def steps_left(self, step: int) -> int | None:
        """Return the number of steps until a checkpoint is due; None if that does not depend on steps."""
        return None if self.config.steps is None else self.config.steps - step % self.config.steps

    def is_due(self, step: int) -> bool:
        """Return True if the config wants a checkpoint after this step, within an epoch or at its end."""
        steps, seconds = self.config.steps, self.config.seconds
        if steps is not None:
            return step % steps == 0
        return seconds is not None and time.perf_counter() - self.last_write >= seconds

    def end_epoch(self, state: TrainState, is_best: bool) -> None:
        """Write a checkpoint at the end of an epoch, if it is time for one.

        Args:
            state: The training state.
            is_best: Whether this epoch is the best so far.

        Raises:
            RunFailedError: A weight is not finite, or the checkpoint cannot be written.
        """
        snapshot = self._take_snapshot(state, is_best)
        if self.directory is None:
            return
        if is_best:
            self.pending_best = snapshot
        cheap = self.writing_seconds + self.longest_write <= MAX_WRITING_SHARE * self.training_seconds
        if cheap or self.config.every == "epoch" or self.is_due(state.step) or state.finished(self.training):
            self._write_with_best(snapshot)

    def save(self, state: TrainState) -> None:
        """Write a checkpoint now, unless there is one of this step.

        Raises:
            RunFailedError: A weight is not finite, or the checkpoint cannot be written.
        """
        snapshot = self._take_snapshot(state, is_best=False)  # by all workers together
        if self.written_step != state.step and self.directory is not None:
            self._write_with_best(snapshot)

    def divergence_error(self, problem: str, state: TrainState) -> RunFailedError:
        """Write the best epoch if that is pending, and return the error for a loss or a weight that is not finite."""
        if self.pending_best is not None and self.directory is not None:
            with contextlib.suppress(RunFailedError):
                self._write(self.pending_best, self.directory)
        kept = f"; the checkpoint of the best epoch, {state.best['epoch']}, is kept" if state.best else ""
        return RunFailedError(f"{problem}{kept}", DIVERGENCE_HINT)

    def _take_snapshot(self, state: TrainState, is_best: bool) -> _Snapshot:
        arrays = self.variables.arrays()
        if not all(np.isfinite(value).all() for value in arrays[WEIGHTS].values()):
            raise self.divergence_error(f"a weight is not finite after step {state.step}", state)
        if state.done:
            norms = np.concatenate(state.gradient_norms)
            arrays[LOSSES] = {"loss": np.concatenate(state.losses), "gradient_norm": norms}
        return _Snapshot(state.model_copy(), arrays, is_best)

    def _write_with_best(self, newest: _Snapshot) -> None:
        assert self.directory is not None, "the callers have seen to it"
        best, self.pending_best = self.pending_best, None
        if best is not None:
            self._write(best, self.directory)
        if best is None or best.state.step != newest.state.step:
            self._write(newest, self.directory)

    def _write(self, snapshot: _Snapshot, directory: RunDir) -> None:
        began, place, hint = time.perf_counter(), directory.checkpoints.path / f"{snapshot.state.step:08d}", ""
        if self.written_step is not None:
            resume = command_line("train", "--resume", directory.path)
            hint = f"the checkpoint of step {self.written_step} is kept; then resume with: {resume}"
        with explain_os_errors(place, "written", hint=hint, also=(UnreadableError,)):
            directory.save_checkpoint(snapshot.state, snapshot.arrays, snapshot.best, self.config.keep)
        self.written_step, self.last_write = snapshot.state.step, time.perf_counter()
        self.writing_seconds += self.last_write - began
        self.longest_write = max(self.longest_write, self.last_write - began)
