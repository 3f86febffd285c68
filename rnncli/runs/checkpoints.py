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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
from safetensors.numpy import load as parse_arrays

from rnncli.errors import InputError, RunDirError, UnreadableError, explain_os_errors, reason_of
from rnncli.files import (
    read_json,
    read_plain,
    remove_temporaries,
    sync,
    temporary_path,
    write_atomically,
    write_synced,
)
from rnncli.runs.arrays import Arrays, format_arrays
from rnncli.runtime.run_files import CHECKPOINTS

BEST, LAST = "best", "last"
WEIGHTS, OPTIMIZER, STATES = "weights.safetensors", "optimizer.safetensors", "states.safetensors"
SEEDS, LOSSES = "seeds.safetensors", "losses.safetensors"
FILES = (WEIGHTS, OPTIMIZER, STATES, SEEDS, LOSSES)
CHECKPOINT = "checkpoint.json"
MAX_POINTER, MAX_ARRAYS = 2**10, 16 * 2**30
"""Bytes of a file that are read at most; see also `rnncli.bounds`."""

READABLE = "make it readable; where that cannot be, move it away, and what is older is taken"

_NAME = re.compile(r"[0-9]{8,}")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as read.

    Attributes:
        step: Training steps done.
        values: What its checkpoint.json says.
        arrays: Of each of its files, by name.
    """

    step: int
    values: dict[str, Any]
    arrays: dict[str, Arrays]


class Checkpoints:
    """The checkpoints of a run directory.

    Attributes:
        path: Where they are.
        run: The run directory.
        max_bytes: The largest file of arrays that is read; `RunDir.read_task` sets it.
    """

    def __init__(self, run: Path) -> None:
        self.run, self.path, self.max_bytes = run, run / CHECKPOINTS, MAX_ARRAYS

    def save(
        self, step: int, arrays: Mapping[str, Arrays], values: Mapping[str, Any], best: bool, keep: int = 2
    ) -> None:
        """Write a checkpoint and make it the last one, and the best if it is; drop those that nobody needs.

        Args:
            step: Training steps done; names the checkpoint.
            arrays: Of the files WEIGHTS, OPTIMIZER and others: variables by name.
            values: What else training needs to go on, and `weights_digest`.
            best: Whether no earlier checkpoint is better.
            keep: How many of the newest stay, each with the one that was the best when it was written.

        Raises:
            OSError: It cannot be written; what was there before stays as it was.
            UnreadableError: What is there cannot be read, so that nobody knows what must stay.
        """
        name = f"{step:08d}"
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
            values = {**values, "step": step, "best_checkpoint": best_name}
            values |= {"sha256": digests | {CHECKPOINT: _digest(values)}}
            write_synced(temporary / CHECKPOINT, (json.dumps(values, indent=2) + "\n").encode())
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
        """Of all checkpoints, the newest first.

        Raises:
            UnreadableError: They are there, it seems, and cannot be listed; to take them for none would lose them.
        """
        with explain_os_errors(self.path, "read", UnreadableError):
            try:
                found = [path.name for path in self.path.iterdir() if _NAME.fullmatch(path.name)]
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted(found, key=int, reverse=True)

    def pointed(self, which: str) -> str | None:
        """The name of the `best` or the `last` checkpoint, if there is one.

        Raises:
            UnreadableError: It cannot be read.
        """
        with explain_os_errors(self.path / which, "read", UnreadableError):
            try:
                name = read_plain(self.path / which, MAX_POINTER, self.run).decode().strip()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError, UnicodeDecodeError):
                return None
        return name if _NAME.fullmatch(name) else None

    def _point(self, pointer: str, name: str) -> None:
        write_atomically(self.path / pointer, f"{name}\n".encode())

    def _drop(self, name: str) -> None:
        """Under a hidden name first: what is half gone must not look like a checkpoint."""
        hidden = temporary_path(self.path / name)
        with contextlib.suppress(FileNotFoundError):
            (self.path / name).rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)

    def _drop_unneeded(self, keep: int) -> None:
        """Keep the newest, and what each of them calls the best, lest falling back on it finds no best."""
        newest = self.names()[:keep]
        needed: set[Any] = {*newest, self.pointed(LAST), self.pointed(BEST)}
        for name in newest:
            with contextlib.suppress(InputError):
                needed.add(read_json(self.path / name / CHECKPOINT, self.run).get("best_checkpoint"))
        for name in self.names():
            if name not in needed:
                self._drop(name)

    def read(self, name: str) -> Checkpoint:
        """A whole checkpoint.

        Raises:
            RunDirError: Something in it is missing or damaged.
            UnreadableError: It is there, and cannot be read.
        """
        values = self._values(name)
        digests = values.get("sha256")
        rest = {key: value for key, value in values.items() if key != "sha256"}
        if not isinstance(digests, dict) or digests.get(CHECKPOINT) != _digest(rest) or rest.get("step") != int(name):
            raise RunDirError(f"{self.path / name / CHECKPOINT}: damaged: its sha256 is not the one it says")
        files = [file for file in FILES if file in digests]
        return Checkpoint(int(name), values, {file: self._arrays(name, file, values) for file in files})

    def load_arrays(self, file: str = WEIGHTS, which: str = BEST) -> tuple[Arrays, dict[str, Any]]:
        """Arrays of a checkpoint, and its values.

        Args:
            file: One that `save` was given.
            which: `best` or `last`.

        Raises:
            RunDirError: There is no such checkpoint, or it is damaged.
        """
        name = self.pointed(which)
        if name is None:
            raise RunDirError(
                f"{self.run}: no {which} checkpoint",
                f"was training stopped before its first epoch ended? rnncli train --resume {self.run} goes on",
            )
        values = self._values(name)
        return self._arrays(name, file, values), values

    def _values(self, name: str) -> dict[str, Any]:
        try:
            return read_json(self.path / name / CHECKPOINT, self.run)
        except InputError as error:
            if _is_there(error.__cause__):
                raise UnreadableError(error.message, READABLE) from error
            raise

    def _arrays(self, name: str, file: str, values: Mapping[str, Any]) -> Arrays:
        path = self.path / name / file
        try:
            data = read_plain(path, self.max_bytes, self.run)
        except OSError as error:
            if _is_there(error):
                raise UnreadableError(f"{path}: cannot be read: {reason_of(error)}", READABLE) from error
            hint = f"rnncli verify {self.run} says what else is wrong with the run"
            raise RunDirError(f"{path}: cannot be read: {reason_of(error)}", hint) from error
        except MemoryError as error:
            raise UnreadableError(f"{path}: larger than the memory") from error
        digests = values.get("sha256")
        if not isinstance(digests, dict) or hashlib.sha256(data).hexdigest() != digests.get(file):
            hint = f"rnncli verify {self.run} says what else is; train --resume goes back to a sound checkpoint"
            raise RunDirError(f"{path}: damaged: its sha256 is not the one in {CHECKPOINT}", hint)
        try:
            arrays: Arrays = parse_arrays(data)
        except (safetensors.SafetensorError, KeyError) as error:  # a KeyError for types that NumPy has not
            raise RunDirError(f"{path}: not a safetensors file: {error}") from error
        return arrays

    def newest_sound(self) -> tuple[Checkpoint | None, list[RunDirError]]:
        """The newest checkpoint that is whole, if there is one, and what is wrong with each newer one.

        Raises:
            UnreadableError: Whether one is whole cannot be known.
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
        """Make a checkpoint the last one and another the best, and remove all newer ones and what writing left.

        Args:
            step: Of the last one.
            best: The name of the best.

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


def _is_there(error: BaseException | None) -> bool:
    """Whether reading failed for another reason than that there is no such file."""
    none = FileNotFoundError, NotADirectoryError, IsADirectoryError
    return isinstance(error, OSError) and not isinstance(error, none)


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
