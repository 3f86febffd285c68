"""Checks of a run directory that need no TensorFlow."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

from rnncli.config import Config, refuse_differences
from rnncli.data.task import Task
from rnncli.errors import RnncliError, RunDirError, reason_of
from rnncli.files import open_plain, read_json
from rnncli.runs.arrays import weights_digest
from rnncli.runs.checkpoints import BEST, LAST, WEIGHTS, Checkpoint
from rnncli.runs.directory import MAX_LOG_LINE_BYTES, RunDir
from rnncli.runs.size_limits import check_size
from rnncli.runtime.run_files import CHECKPOINTS, CONFIG, MANIFEST, METRICS, VOCABULARY
from rnncli.states.named_arrays import check_finite


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: A file or directory of the run.
        problem: The problem; None if there is none.
    """

    name: str
    problem: str | None = None


class Verification:
    """Checks a run directory; what depends on something that is wrong is not checked.

    Attributes:
        checks: So far.
        config: As trained, if it can be read.
        task: The run's task, if its vocabulary fits.
        checkpoints: Those that are valid in themselves, the newest first.
    """

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.checks: list[Check] = []
        self.config: Config | None = self.check(CONFIG, run.read_config)
        self.task: Task | None = None
        self.checkpoints: list[Checkpoint] = []
        if (config := self.config) is None:
            return
        self.task = self.check(VOCABULARY, partial(run.read_task, config))
        try:
            names = run.checkpoints.names()
        except RnncliError as error:
            self.checks.append(Check(CHECKPOINTS, error.message))
            return
        self.check(MANIFEST, partial(self._manifest, config))
        for name in names:
            found = self.check(f"{CHECKPOINTS}/{name}", partial(self._checkpoint, name, config))
            self.checkpoints += [] if found is None else [found]
        for which in (BEST, LAST):
            self.check(f"{CHECKPOINTS}/{which}", partial(self._pointer, which))
        self.check(METRICS, self._metrics)

    @property
    def valid(self) -> bool:
        """Return True if no check found a problem."""
        return all(check.problem is None for check in self.checks)

    def check(self, name: str, read: Callable[[], Any]) -> Any:
        """Return what `read` returns, or None if it fails; record the result of the check."""
        try:
            value = read()
        except RnncliError as error:
            self.checks.append(Check(name, error.message))
            return None
        except OSError as error:
            self.checks.append(Check(name, f"cannot be read: {reason_of(error)}"))
            return None
        self.checks.append(Check(name))
        return value

    def _manifest(self, config: Config) -> None:
        read_json(self.run.path / MANIFEST, self.run.path)
        refuse_differences(self.run.trained_config(), config, str(self.run.path))

    def _checkpoint(self, name: str, config: Config) -> Checkpoint:
        found = self.run.checkpoints.read(name)
        if WEIGHTS not in found.arrays:
            raise RunDirError(f"{WEIGHTS} is missing")
        if self.task is not None:
            check_size(config, self.task, found.arrays[WEIGHTS], WEIGHTS)
        for file, arrays in found.arrays.items():
            check_finite(arrays, file, RunDirError)
        if weights_digest(found.arrays[WEIGHTS]) != found.record.weights_digest:
            raise RunDirError(f"{WEIGHTS}: does not match weights_digest")
        found.train_state(config.training)
        return found

    def _pointer(self, which: str) -> None:
        pointed, names = self.run.checkpoints.pointed(which), self.run.checkpoints.names()
        if pointed is None and which == BEST and not any(found.record.best for found in self.checkpoints):
            return  # the first epoch has not ended
        if pointed not in names:
            raise RunDirError("points to no checkpoint" if names else "there is no checkpoint yet")
        newest = self.checkpoints[0] if self.checkpoints else None
        if newest is None or newest.step != int(names[0]):
            return  # the newest is damaged, which is reported already
        expected = names[0] if which == LAST else newest.record.best_checkpoint
        if pointed != expected:
            raise RunDirError(
                f"points to {pointed}, expected {expected} (interrupted write); `train --resume` repairs it"
            )

    def _metrics(self) -> None:
        """Check that there is a line for each epoch, in order, up to that of the newest checkpoint."""
        epochs = self.checkpoints[0].record.epoch if self.checkpoints else 0
        try:
            file: BinaryIO = open_plain(self.run.path / METRICS, self.run.path)
        except FileNotFoundError:
            file = io.BytesIO()
        number = 0
        with file:
            while line := file.readline(MAX_LOG_LINE_BYTES):
                number += 1
                try:
                    epoch = json.loads(line)["epoch"]
                except (ValueError, TypeError, KeyError, RecursionError):
                    epoch = None
                if epoch != number:
                    raise RunDirError(f"line {number} is not the record of epoch {number}")
        if number < epochs:
            raise RunDirError(f"has {number} epochs, but the newest checkpoint is of epoch {epochs}")
