"""Checkpoints: written so that each is there whole or not at all, and read with a digest of every file.

    checkpoints/00000176/  arrays as .safetensors, the rest in checkpoint.json, named by the steps done
    checkpoints/best       the name of the best checkpoint
    checkpoints/last       the name of the newest

A checkpoint is written under a hidden name, synced and renamed; one that is dropped gets a hidden name first. So a
process may end at any instant: what has a checkpoint's name is whole, and hidden names are leftovers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import safetensors
from pydantic import Field, ValidationError
from safetensors.numpy import load as parse_arrays

from rnncli.config import Training
from rnncli.errors import (
    InputError,
    RunDirError,
    UnreadableError,
    command_line,
    explain_os_errors,
    option_words,
    reason_of,
)
from rnncli.files import (
    MAX_JSON,
    open_plain,
    parse_json,
    read_opened,
    read_plain,
    remove_temporaries,
    sync,
    temporary_path,
    write_atomically,
    write_synced,
)
from rnncli.metrics import MONITORED
from rnncli.runs.arrays import Arrays, format_arrays, weights_digest
from rnncli.runs.train_state import TrainState
from rnncli.runtime.run_files import CHECKPOINTS
from rnncli.text import quote, shorten

BEST, LAST = "best", "last"
WEIGHTS, OPTIMIZER, STATES = "weights.safetensors", "optimizer.safetensors", "states.safetensors"
SEEDS, LOSSES = "seeds.safetensors", "losses.safetensors"
FILES = (WEIGHTS, OPTIMIZER, STATES, SEEDS, LOSSES)
CHECKPOINT = "checkpoint.json"
MAX_POINTER, MAX_ARRAYS = 2**10, 16 * 2**30
"""Bytes of a file that are read at most; see also `max_checkpoint_bytes`."""

READABLE = "make it readable, or move it away to resume from the checkpoint before"

MAX_LOOKS = 100
"""Times that a reader looks for a checkpoint that training replaces again and again."""

_NAME = re.compile(r"[0-9]{8}|[1-9][0-9]{8,9}")
_STEP = re.compile(r"[0-9]{1,12}")


class CheckpointRecord(TrainState):
    """The contents of checkpoint.json: the train state, and what names and checks the rest.

    Attributes:
        weights_digest: SHA-256 of the weights; see `arrays.weights_digest`.
        best_checkpoint: The name of the checkpoint that was the best when this one was written.
        sha256: SHA-256 of each file.
    """

    weights_digest: str = ""
    best_checkpoint: str | None = None
    sha256: dict[str, str] = Field(default_factory=dict)

    def state(self) -> TrainState:
        """Return the train state alone."""
        return TrainState(**{name: getattr(self, name) for name in TrainState.model_fields})


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as read.

    Attributes:
        record: The contents of its checkpoint.json.
        arrays: The arrays of each of its files, by name.
    """

    record: CheckpointRecord
    arrays: dict[str, Arrays]

    @property
    def step(self) -> int:
        """Training steps done."""
        return self.record.step

    def train_state(self, training: Training) -> TrainState:
        """Return the train state with its losses.

        Args:
            training: The `training` section of the config.

        Raises:
            RunDirError: It is not complete for this config.
        """
        state, name = self.record.state(), f"checkpoint {self.step}"
        of_steps = self.arrays.get(LOSSES, {})
        losses = of_steps.get("loss", np.zeros(0, np.float32))
        norms = of_steps.get("gradient_norm", np.full_like(losses, np.nan))  # which 0.1.0 did not write
        if any(each.dtype != np.float32 or each.shape != (state.done,) for each in (losses, norms)):
            raise RunDirError(f"{name}: {LOSSES}: not the losses and gradient norms of {state.done} steps")
        state.best_metric = state.monitored(training)
        if state.best_metric not in MONITORED:
            raise RunDirError(f"{name}: best_metric {state.best_metric!r} is not known")
        needed = {"epoch", "loss", state.best_metric}
        for metrics in (state.metrics, state.best):
            if metrics and (missing := sorted(needed - metrics.keys())):
                raise RunDirError(f"{name}: its metrics have no {', '.join(missing)}")
        if state.done:
            state.losses, state.gradient_norms = [losses], [norms]
        return state


class Checkpoints:
    """The checkpoints of a run directory.

    Attributes:
        path: Where they are.
        run: The run directory.
        max_bytes: The largest file of arrays that is read; `RunDir.read_task` sets it.
    """

    def __init__(self, run: Path) -> None:
        self.run, self.path, self.max_bytes = run, run / CHECKPOINTS, MAX_ARRAYS

    def save(self, state: TrainState, arrays: Mapping[str, Arrays], best: bool, keep: int = 2) -> None:
        """Write a checkpoint and point `last` to it, and `best` if it is; remove those that are not needed any more.

        Args:
            state: The train state; its step names the checkpoint.
            arrays: The arrays of the files WEIGHTS, OPTIMIZER and others, by name.
            best: True if no earlier checkpoint is better.
            keep: The number of newest checkpoints that stay, each with the one that was the best at its time.

        Raises:
            OSError: It cannot be written; the checkpoints before stay as they were.
            UnreadableError: The checkpoints before cannot be read, so that nobody knows which must stay.
        """
        name = f"{state.step:08d}"
        self.path.mkdir(exist_ok=True)
        temporary = temporary_path(self.path / name)
        try:
            temporary.mkdir()
            digests = {}
            for file, named in arrays.items():
                data = format_arrays(named)
                digests[file] = hashlib.sha256(data).hexdigest()
                write_synced(temporary / file, data)
            best_name = name if best else self.pointed(BEST)
            values = {**state.model_dump(), "weights_digest": weights_digest(arrays.get(WEIGHTS, {}))}
            values["best_checkpoint"] = best_name
            write_synced(temporary / CHECKPOINT, format_record({**values, "sha256": digests}))
            sync(temporary)
            self._drop(name)
            temporary.rename(self.path / name)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync(self.path)
        for pointer in (LAST, BEST) if best else (LAST,):
            self._point(pointer, name)
        self._drop_unneeded(keep)

    def names(self) -> list[str]:
        """Return the names of all checkpoints, the newest first.

        Raises:
            UnreadableError: The directory cannot be listed; to take it for empty would lose them.
        """
        with explain_os_errors(self.path, "read", UnreadableError):
            try:
                found = [path.name for path in self.path.iterdir() if _NAME.fullmatch(path.name)]
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted(found, key=int, reverse=True)

    def pointed(self, which: str) -> str | None:
        """Return the name that `best` or `last` points to; None if there is no such pointer.

        Raises:
            UnreadableError: It cannot be read.
        """
        with explain_os_errors(self.path / which, "read", UnreadableError):
            try:
                line = read_plain(self.path / which, MAX_POINTER, self.run).decode()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError, UnicodeDecodeError):
                return None
        name = line.removesuffix("\n")
        return name if _NAME.fullmatch(name) else None

    def _point(self, pointer: str, name: str) -> None:
        write_atomically(self.path / pointer, f"{name}\n".encode())

    def _drop(self, name: str) -> None:
        """Remove a checkpoint, under a hidden name first: a half-removed one must not look like a checkpoint."""
        hidden = temporary_path(self.path / name)
        with contextlib.suppress(FileNotFoundError):
            (self.path / name).rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)

    def _drop_unneeded(self, keep: int) -> None:
        """Keep the newest checkpoints, and the best one of each, which resuming from it needs."""
        newest = self.names()[:keep]
        needed = {*newest, self.pointed(LAST), self.pointed(BEST)}
        for name in newest:
            try:
                needed.add(self._read(name, ()).record.best_checkpoint)
            except UnreadableError:
                raise
            except InputError:
                pass  # it is damaged, so that nothing resumes from it
        for name in self.names():
            if name not in needed:
                self._drop(name)

    def read(self, name: str) -> Checkpoint:
        """Read a checkpoint and check all digests, and that it has the files that it should have.

        Raises:
            RunDirError: Something in it is missing or damaged.
            UnreadableError: It exists but cannot be read.
        """
        return self._read(name, FILES, complete=True)

    def find(self, which: str) -> str:
        """Return the name of a checkpoint.

        Args:
            which: `best`, `last`, or the number of steps done.

        Raises:
            RunDirError: There is no such checkpoint.
            InputError: It is none of these.
        """
        if which in (BEST, LAST):
            name = self.pointed(which)
            if name is None:
                last = option_words("checkpoint", LAST)
                others = f", and {last} takes what there is" if which == BEST and self.names() else ""
                resume = command_line("train", "--resume", self.run)
                raise RunDirError(
                    f"{self.run}: no {which} checkpoint",
                    f"was training stopped before its first epoch ended? {resume} goes on{others}",
                )
            return name
        if not _STEP.fullmatch(which):
            raise InputError(f"checkpoint {quote(which)}", f"give {BEST}, {LAST} or a number of steps")
        name, names = f"{int(which):08d}", self.names()
        if name not in names:
            raise RunDirError(f"{self.run}: no checkpoint of step {int(which)}", describe_steps(names))
        return name

    def read_record(self, which: str = BEST) -> CheckpointRecord:
        """Return the record of a checkpoint; see `find`.

        Raises:
            RunDirError: There is no such checkpoint, or its record is damaged.
        """
        return self.load(which, ()).record

    def load_arrays(self, file: str = WEIGHTS, which: str = BEST) -> tuple[Arrays, CheckpointRecord]:
        """Return the arrays of one file of a checkpoint, and its record; see `load`."""
        found = self.load(which, (file,))
        return found.arrays[file], found.record

    def load(self, which: str, files: Sequence[str]) -> Checkpoint:
        """Read some files of one checkpoint, while training may write others and remove this one.

        Args:
            which: The checkpoint; see `find`.
            files: Files that `save` was given arrays for.

        Raises:
            RunDirError: There is no such checkpoint, or it is damaged.
        """
        name = self.find(which)
        found = self.identity(name)
        for _ in range(MAX_LOOKS):
            try:
                return self._read(name, files)
            except InputError:
                before, name = found, self.find(which)
                found = self.identity(name)
                if found == before:
                    raise
        raise RunDirError(f"{self.path / which}: training replaces it all the time", "try again")

    def identity(self, name: str) -> tuple[str, int | None]:
        """Return what tells a checkpoint from another one that has, or had, or will have its name."""
        try:
            return name, (self.path / name).lstat().st_ino
        except OSError:
            return name, None

    def _read(self, name: str, files: Sequence[str], complete: bool = False) -> Checkpoint:
        """Read some files of a checkpoint; with `complete`, refuse it if it has others than it should have.

        All of them are opened before any is read: then they can be read to the end although training removes them.
        """
        folder = self.path / name
        with contextlib.ExitStack() as stack:
            opened = {file: self._open(folder / file, stack) for file in (CHECKPOINT, *files)}
            record = self._record(name, self._bytes(folder / CHECKPOINT, opened[CHECKPOINT], MAX_JSON))
            named = record.sha256.keys() - {CHECKPOINT}
            for file in sorted({*files} - named) if complete else ():
                if not isinstance(opened[file], FileNotFoundError):
                    raise RunDirError(f"{folder / file}: not a file of this checkpoint")
            if complete and (unknown := sorted(named - {*files})):
                raise RunDirError(f"{folder / CHECKPOINT}: damaged: no such file: {shorten(unknown[0])}")
            wanted = [file for file in files if file in named or not complete]
            return Checkpoint(record, {file: self._arrays(folder / file, opened[file], record) for file in wanted})

    def _open(self, path: Path, stack: contextlib.ExitStack) -> BinaryIO | OSError:
        """Open a file until the stack is closed; return the error if there is none."""
        try:
            return stack.enter_context(open_plain(path, self.run))
        except OSError as error:
            if _is_there(error):
                raise UnreadableError(f"{path}: cannot be read: {reason_of(error)}", READABLE) from error
            return error

    def _bytes(self, path: Path, file: BinaryIO | OSError, limit: int) -> bytes:
        if isinstance(file, OSError):
            problem = "missing" if isinstance(file, FileNotFoundError) else f"cannot be read: {reason_of(file)}"
            hint = f"{command_line('verify', self.run)} says what else is wrong with the run"
            raise RunDirError(f"{path}: {problem}", hint) from file
        try:
            return read_opened(file, path, limit)
        except OSError as error:
            raise UnreadableError(f"{path}: cannot be read: {reason_of(error)}", READABLE) from error
        except MemoryError as error:
            raise UnreadableError(f"{path}: larger than the memory") from error

    def _record(self, name: str, data: bytes) -> CheckpointRecord:
        path = self.path / name / CHECKPOINT
        values = parse_json(data, path)
        try:
            record = CheckpointRecord.model_validate(values)
        except ValidationError as error:
            wrong = error.errors()[0]
            place = ".".join(map(str, wrong["loc"]))
            raise RunDirError(f"{path}: damaged: {place}: {wrong['msg']}") from error
        if record.step != int(name) or not _is_intact(data, values, record.sha256):
            raise RunDirError(f"{path}: damaged: its sha256 is not the recorded one")
        return record

    def _arrays(self, path: Path, file: BinaryIO | OSError, record: CheckpointRecord) -> Arrays:
        data = self._bytes(path, file, self.max_bytes)
        if hashlib.sha256(data).hexdigest() != record.sha256.get(path.name):
            hint = f"{command_line('verify', self.run)} says more; train --resume goes back to a valid checkpoint"
            raise RunDirError(f"{path}: damaged: its sha256 is not the one in {CHECKPOINT}", hint)
        try:
            arrays: Arrays = parse_arrays(data)
        except (safetensors.SafetensorError, KeyError, ValueError) as error:  # for types and shapes NumPy has not
            raise RunDirError(f"{path}: not a safetensors file: {error}") from error
        return arrays

    def newest_sound(self) -> tuple[Checkpoint | None, list[RunDirError]]:
        """Return the newest checkpoint that is valid, or None, and the problem of each newer one.

        Raises:
            UnreadableError: A checkpoint exists but cannot be read, so that it may be valid.
        """
        wrong: list[RunDirError] = []
        for name in self.names():
            try:
                return self.read(name), wrong
            except UnreadableError:
                raise
            except InputError as error:
                wrong.append(RunDirError(error.message, error.hint))
        return None, wrong

    def rollback_to(self, step: int, best: str | None) -> None:
        """Point `last` and `best` to checkpoints, and remove all newer ones and temporary files.

        Args:
            step: The step of the last checkpoint.
            best: The name of the best checkpoint, if there is one.

        Raises:
            OSError: Something cannot be written.
        """
        self._point(LAST, f"{step:08d}")
        if best is None:
            (self.path / BEST).unlink(missing_ok=True)
        else:
            self._point(BEST, best)
        for newer in self.names():
            if int(newer) > step:
                self._drop(newer)
        remove_temporaries(self.path)


def describe_steps(names: Sequence[str]) -> str:
    """Return a message about the checkpoints that a run has.

    Args:
        names: Their names, the newest first.
    """
    steps = ", ".join(str(int(name)) for name in reversed(names))
    return f"it has {'those of steps' if len(names) > 1 else 'that of step'} {steps}" if steps else "it has none"


def _is_there(error: BaseException | None) -> bool:
    """Return True if reading failed for another reason than a missing file."""
    none = FileNotFoundError, NotADirectoryError, IsADirectoryError
    return isinstance(error, OSError) and not isinstance(error, none)


def format_record(values: Mapping[str, Any]) -> bytes:
    """Return a checkpoint.json; its table `sha256` has a digest of all values and of the rest of the table."""
    others = {file: digest for file, digest in values["sha256"].items() if file != CHECKPOINT}
    digest = _digest({**values, "sha256": others})
    return _format({**values, "sha256": others | {CHECKPOINT: digest}})


def _format(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, indent=2) + "\n").encode()


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _is_intact(data: bytes, values: Mapping[str, Any], digests: Mapping[str, str]) -> bool:
    """Return True if checkpoint.json is as it was written, to the byte: 1e-05 and 1E-05 are one number.

    Its digest is of all values, with the table of the other files' digests; up to version 0.2.0 without the table.
    """
    rest = {key: value for key, value in values.items() if key != "sha256"}
    others = {file: digest for file, digest in digests.items() if file != CHECKPOINT}
    recorded = digests.get(CHECKPOINT)
    try:
        return data == _format(values) and recorded in (_digest({**rest, "sha256": others}), _digest(rest))
    except RecursionError:  # nested as deeply as can just be read
        return False
