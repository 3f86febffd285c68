"""Checks of a run directory that need no TensorFlow."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rnncli.config import Config, refuse_differences
from rnncli.data.task import Task
from rnncli.errors import RnncliError, RunDirError, reason_of
from rnncli.files import read_json, read_plain
from rnncli.runs.arrays import weights_digest
from rnncli.runs.checkpoints import BEST, LAST, MAX_LOOKS, WEIGHTS, Checkpoint
from rnncli.runs.directory import RunDir
from rnncli.runs.lock import is_locked
from rnncli.runs.log_checks import (
    Epochs,
    check_against_checkpoints,
    check_csv,
    check_events,
    check_metrics,
)
from rnncli.runs.size_limits import check_size
from rnncli.runtime.run_files import (
    CHECKPOINTS,
    CODE,
    CONFIG,
    CSV,
    MANIFEST,
    METRICS,
    TENSORBOARD,
    VOCABULARY,
)
from rnncli.states.named_arrays import check_finite

MAX_CODE_BYTES = 2**24
"""Bytes of a source file of a custom cell."""


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        name: A file or directory of the run.
        problem: The problem; None if there is none.
    """

    name: str
    problem: str | None = None


class _UnsettledError(Exception):
    """A process that trains writes or replaces this at the moment."""


class Verification:
    """Checks a run directory; what depends on something that is wrong is not checked.

    While a process trains there, what it has not yet written, or replaces meanwhile, is not checked either.

    Attributes:
        checks: So far.
        config: As trained, if it can be read.
        task: The run's task, if its vocabulary fits.
        checkpoints: Those that are valid in themselves, the newest first.
    """

    def __init__(self, run: RunDir) -> None:
        self.run = run
        self.checks: list[Check] = []
        self._locked_before = is_locked(run.path)
        self.config: Config | None = self.check(CONFIG, run.read_config)
        self.task: Task | None = None
        self.checkpoints: list[Checkpoint] = []
        if (config := self.config) is None:
            return
        self.task = self.check(VOCABULARY, partial(self._once_written, VOCABULARY, partial(run.read_task, config)))
        try:
            names = run.checkpoints.names()
        except RnncliError as error:
            self.checks.append(Check(CHECKPOINTS, error.message))
            return
        self.check(MANIFEST, partial(self._once_written, MANIFEST, partial(self._manifest, config)))
        for name in names:
            found = self.check(f"{CHECKPOINTS}/{name}", partial(self._checkpoint, name, config))
            self.checkpoints += [] if found is None else [found]
        for which in (BEST, LAST):
            self.check(f"{CHECKPOINTS}/{which}", partial(self._pointer, which))
        self._check_logs()
        self._check_code()

    @property
    def valid(self) -> bool:
        """Return True if no check found a problem."""
        return all(check.problem is None for check in self.checks)

    @property
    def is_training(self) -> bool:
        """Return True if a process trains, or did when the verification began."""
        return self._locked_before or is_locked(self.run.path)

    def check(self, name: str, read: Callable[[], Any]) -> Any:
        """Return what `read` returns, or None if it fails; record the result of the check."""
        try:
            value = read()
        except _UnsettledError:
            return None
        except RnncliError as error:
            self.checks.append(Check(name, error.message))
            return None
        except OSError as error:
            self.checks.append(Check(name, f"cannot be read: {reason_of(error)}"))
            return None
        self.checks.append(Check(name))
        return value

    def _once_written(self, name: str, read: Callable[[], Any]) -> Any:
        """Return what `read` returns, unless training begins and has not yet written the file."""
        if not (self.run.path / name).exists() and self.is_training and not self.run.trained:
            raise _UnsettledError
        return read()

    def _manifest(self, config: Config) -> None:
        read_json(self.run.path / MANIFEST, self.run.path)
        refuse_differences(self.run.trained_config(), config, str(self.run.path))

    def _checkpoint(self, name: str, config: Config) -> Checkpoint:
        before = self.run.checkpoints.identity(name)
        try:
            found = self.run.checkpoints.read(name)
        except RnncliError:
            now = self.run.checkpoints.identity(name)
            if now != before or now == (name, None):  # it was removed, perhaps before it was looked at
                raise _UnsettledError from None
            raise
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
        pointed, names = self._pointed(which)
        if pointed is None and which == BEST and not self._has_best:
            return  # the first epoch has not ended
        if pointed is None and self.is_training:
            raise _UnsettledError
        if pointed not in names:
            raise RunDirError("points to no checkpoint" if names else "there is no checkpoint yet")
        newest = self.checkpoints[0] if self.checkpoints else None
        if newest is None or newest.step != int(names[0]):
            return  # the newest is damaged, which is reported already, or was written just now
        expected = names[0] if which == LAST else newest.record.best_checkpoint
        if pointed != expected and not self.is_training:
            raise RunDirError(
                f"points to {pointed}, expected {expected} (interrupted write); `train --resume` repairs it"
            )

    @property
    def _has_best(self) -> bool:
        """True if an epoch has ended, or the run is an average, which is its own best checkpoint."""
        return any(found.record.best or found.record.averaged for found in self.checkpoints)

    def _pointed(self, which: str) -> tuple[str | None, list[str]]:
        """Return the name that a pointer has, and the names of the checkpoints at that time."""
        pointed = self.run.checkpoints.pointed(which)
        for _ in range(MAX_LOOKS):
            before, names = pointed, self.run.checkpoints.names()
            pointed = self.run.checkpoints.pointed(which)
            if pointed == before:
                break
        return pointed, names

    def _check_logs(self) -> None:
        path = self.run.path
        epochs: Epochs | None = self.check(METRICS, partial(self._log, self._metrics))
        if epochs is not None and (path / CSV).exists():
            self.check(CSV, partial(self._log, partial(check_csv, path / CSV, path, epochs)))
        if (path / TENSORBOARD).is_symlink():
            self.checks.append(Check(TENSORBOARD, "a link; nothing behind it is read"))
        for file in self.run.event_files():
            self.check(str(file.relative_to(path)), partial(self._log, partial(check_events, file, path)))

    def _log(self, read: Callable[[], Any]) -> Any:
        """Return what `read` returns, unless training writes: to one log after the other, and lines in pieces."""
        try:
            return read()
        except RunDirError:
            if self.is_training:
                raise _UnsettledError from None
            raise

    def _metrics(self) -> Epochs:
        """Check that there is a line for each epoch, in order, up to that of the newest checkpoint."""
        epochs = check_metrics(self.run.path / METRICS, self.run.path)
        newest = self.checkpoints[0].record if self.checkpoints else None
        expected = 0 if newest is None or newest.averaged else newest.epoch
        if len(epochs) < expected:
            raise RunDirError(f"has {len(epochs)} epochs, but the newest checkpoint is of epoch {expected}")
        check_against_checkpoints(epochs, [found.record for found in self.checkpoints])
        return epochs

    def _check_code(self) -> None:
        """Check that the source files in the run are those of the training; runs up to 0.2.0 do not record them."""
        try:
            recorded = read_json(self.run.path / MANIFEST, self.run.path).get(CODE)
        except RnncliError:
            return  # which is reported already
        if recorded is None:
            return
        files = recorded.items() if isinstance(recorded, dict) else []
        for name, digest in files:
            self.check(f"{CODE}/{name}", partial(self._code, name, digest))

    def _code(self, name: str, digest: str) -> None:
        if not re.fullmatch(r"\w+\.py", name):
            raise RunDirError("not the name of a module's file")
        path = self.run.path / CODE / name
        if hashlib.sha256(read_plain(path, MAX_CODE_BYTES, self.run.path)).hexdigest() != digest:
            raise RunDirError("not the code of the training")
