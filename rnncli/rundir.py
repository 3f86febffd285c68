"""The layout of a run directory: all that prediction, export and resuming need.

    RUN/config.yaml            the resolved config
        manifest.json          versions, device, kernels
        vocabulary.json        symbols of both sides
        code/                  the source file of a custom cell
        metrics.jsonl          one line an epoch
        checkpoints/00000176/  weights, optimizer, states (of stateful models) as .safetensors, checkpoint.json
        checkpoints/best       the name of the best checkpoint
        checkpoints/last       the name of the newest

A checkpoint is written under a temporary name, synced and renamed, so that it is there whole or not at all. Loading
rebuilds the model from the validated config and reads arrays; nothing is unpickled, and no link is followed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import safetensors
from safetensors.numpy import load as parse_arrays

from rnncli.arrays import Arrays, check_numbers, format_arrays, weights_digest
from rnncli.config import Config, CustomCell, dump_config, name_of, parse_config
from rnncli.config.loading import MAX_BYTES
from rnncli.errors import RunDirError
from rnncli.files import read_json, read_plain, sync_directory, temporary_beside, write_atomically, write_synced
from rnncli.tasks import VOCABULARY, Task, build_task, read_vocabularies
from rnncli.usercode import CODE, NOWHERE, Places, places_of_run, source_file
from rnncli.vocabulary import Vocabulary

BEST, LAST = "best", "last"
WEIGHTS, OPTIMIZER, STATES = "weights.safetensors", "optimizer.safetensors", "states.safetensors"
CHECKPOINT = "checkpoint.json"
MAX_POINTER, MAX_ARRAYS = 2**10, 16 * 2**30
"""Bytes of a file that are read at most."""


@dataclass(frozen=True)
class SavedRun:
    """A trained run as read from its directory.

    Attributes:
        path: Where it is.
        config: As trained.
        task: Reads and shows text.
        weights: Arrays of the checkpoint.
        checkpoint: What the checkpoint says of itself: step, metrics, digest of the weights.
        carried: States that training left, float32 [batch size, units] by name; none where they are not carried.
        places: Where the class of a custom cell is looked for.
    """

    path: Path
    config: Config
    task: Task
    weights: Arrays
    checkpoint: dict[str, Any]
    carried: Arrays
    places: Places = NOWHERE

    def on(self, device: Literal["auto", "cpu", "gpu"]) -> SavedRun:
        """The run for a device of this machine, in float32; a kernel that training required may be another here."""
        runtime = self.config.runtime
        kernel = "auto" if runtime.kernel == "cudnn" else runtime.kernel
        runtime = runtime.model_copy(update={"device": device, "kernel": kernel, "precision": "float32"})
        return replace(self, config=self.config.model_copy(update={"runtime": runtime}))

    def identity(self) -> dict[str, Any]:
        """What states of this run must have in common with states that it takes: cell and digests."""
        symbols = [self.task.source_vocabulary.symbols, self.task.target_vocabulary.symbols]
        return {
            "cell": name_of(self.config.model.cell),
            "weights_digest": weights_digest(self.weights),
            "vocabulary_digest": hashlib.sha256(json.dumps(symbols).encode()).hexdigest(),
        }


class RunDir:
    """A run directory.

    Attributes:
        path: Where it is.
        made: Whether the directory itself was made for this run.
    """

    def __init__(self, path: Path, made: bool = False) -> None:
        self.path, self.made = path, made
        self.checkpoints = path / "checkpoints"

    @classmethod
    def create(cls, path: Path | None, config: Config) -> RunDir:
        """Make a directory for a new run.

        Args:
            path: Where; None is a new dated name under `runs/`.
            config: The resolved config.

        Raises:
            RunDirError: Something is there already, or the directory cannot be made.
        """
        run: RunDir | None = None
        try:
            made = path is None or not path.exists()
            path = _new_dated(config) if path is None else _claimed(path)
            run = cls(path, made)
            run.checkpoints.mkdir()
            run._write("config.yaml", dump_config(config))
        except OSError as error:
            if run is not None:
                run.discard_if_untrained()
            raise RunDirError(
                f"{error.filename or path}: the run directory cannot be written: {error.strerror}",
                "choose another place with --run-dir",
            ) from error
        return run

    def load(self, which: str = BEST, trust_code: bool = False) -> SavedRun:
        """All that a trained run consists of, checked as far as that needs no TensorFlow.

        Args:
            which: The checkpoint, `best` or `last`.
            trust_code: Whether the class of a custom cell may be imported.

        Raises:
            RunDirError: There is no run, its cell is code that is not trusted, or something in it is missing
                or damaged, or does not fit together.
            ConfigError: Its config.yaml is refused.
        """
        try:
            if not self.path.exists():
                raise RunDirError(f"{self.path}: no such run directory", "`rnncli train CONFIG` makes one")
            text = read_plain(self.path / "config.yaml", MAX_BYTES, self.path)
        except FileNotFoundError as error:
            raise RunDirError(f"{self.path}: not a run directory (it has no config.yaml)") from error
        except OSError as error:
            raise RunDirError(f"{self.path / 'config.yaml'}: cannot be read: {error.strerror}") from error
        config = parse_config(text, str(self.path / "config.yaml"))
        cell = config.model.cell
        custom = isinstance(cell, CustomCell)
        places = places_of_run(self.path, name_of(cell), trust_code) if custom else NOWHERE
        recorded = read_vocabularies(self.path / VOCABULARY, self.path)
        task = build_task(config, recorded)
        for side, vocabulary in (("source", task.source_vocabulary), ("target", task.target_vocabulary)):
            if getattr(recorded, side) != vocabulary:
                raise RunDirError(f"{self.path / VOCABULARY}: {side} symbols are not those of config.yaml")
        weights, checkpoint = self.load_arrays(WEIGHTS, which)
        carried = self.load_arrays(STATES, which)[0] if config.stateful else {}
        check_numbers(weights, f"{self.checkpoints / which}: {WEIGHTS}")
        check_numbers(carried, f"{self.checkpoints / which}: {STATES}")
        return SavedRun(self.path, config, task, weights, checkpoint, carried, places)

    def discard_if_untrained(self) -> None:
        """If no checkpoint was ever written, remove what was, and the directory if it was made for the run."""
        if self.trained:
            return
        if self.made:
            shutil.rmtree(self.path, ignore_errors=True)
            return
        for name in ("config.yaml", "manifest.json", VOCABULARY, "metrics.jsonl", "metrics.csv"):
            (self.path / name).unlink(missing_ok=True)
        for name in ("checkpoints", "tensorboard", CODE):
            shutil.rmtree(self.path / name, ignore_errors=True)

    @property
    def trained(self) -> bool:
        """Whether there is a checkpoint."""
        return self._pointed(LAST) is not None

    def _write(self, name: str, text: str) -> None:
        write_atomically(self.path / name, text.encode())

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Record how the run is made: versions, device, kernels."""
        self._write("manifest.json", json.dumps(manifest, indent=2) + "\n")

    def write_vocabulary(self, source: Vocabulary, target: Vocabulary) -> None:
        """Record the symbols of both sides, in order of their ids."""
        symbols = {"source": source.symbols, "target": target.symbols}
        self._write(VOCABULARY, json.dumps(symbols, ensure_ascii=False, indent=1) + "\n")

    def write_code(self, cell: CustomCell, places: Places) -> None:
        """Keep the source file of a custom cell, if its module is a file of the user's."""
        if (file := source_file(cell.module, places)) is not None:
            (self.path / CODE).mkdir()
            write_atomically(self.path / CODE / file.name, file.read_bytes())

    def append_metrics(self, values: Mapping[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        write_synced(self.path / "metrics.jsonl", (json.dumps(values) + "\n").encode(), "ab")

    def save_checkpoint(self, step: int, arrays: Mapping[str, Arrays], values: Mapping[str, Any], best: bool) -> None:
        """Write a checkpoint and make it the last one, and the best if it is; drop those that are neither.

        Args:
            step: Training steps done; names the checkpoint.
            arrays: Of the files WEIGHTS, OPTIMIZER and, of stateful models, STATES: variables by name.
            values: What else training needs to go on, and `weights_digest`.
            best: Whether no earlier checkpoint is better.

        Raises:
            OSError: It cannot be written; what was there before stays as it was.
        """
        name = f"{step:08d}"
        self.checkpoints.mkdir(exist_ok=True)
        temporary = temporary_beside(self.checkpoints / name)
        try:
            temporary.mkdir()
            digests = {}
            for file, named in arrays.items():
                data = format_arrays(named)
                digests[file] = hashlib.sha256(data).hexdigest()
                write_synced(temporary / file, data)
            values = {"step": step, **values, "sha256": digests}
            write_synced(temporary / CHECKPOINT, (json.dumps(values, indent=2) + "\n").encode())
            sync_directory(temporary)
            shutil.rmtree(self.checkpoints / name, ignore_errors=True)
            temporary.rename(self.checkpoints / name)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_directory(self.checkpoints)
        for pointer in (LAST, BEST) if best else (LAST,):
            write_atomically(self.checkpoints / pointer, f"{name}\n".encode())
        kept = {self._pointed(LAST), self._pointed(BEST)}
        for old in self.checkpoints.iterdir():
            if re.fullmatch(r"[0-9]{8,}", old.name) and old.name not in kept:
                shutil.rmtree(old, ignore_errors=True)

    def _pointed(self, which: str) -> str | None:
        try:
            name = read_plain(self.checkpoints / which, MAX_POINTER, self.path).decode().strip()
        except (OSError, UnicodeDecodeError):
            return None
        return name if re.fullmatch(r"[0-9]{8,}", name) else None

    def load_arrays(self, file: str = WEIGHTS, which: str = BEST) -> tuple[Arrays, dict[str, Any]]:
        """Arrays of a checkpoint, and its values.

        Args:
            file: One that `save_checkpoint` was given.
            which: `best` or `last`.

        Raises:
            RunDirError: There is no such checkpoint, or it is damaged.
        """
        name = self._pointed(which)
        if name is None:
            raise RunDirError(
                f"{self.path}: no {which} checkpoint", "was training stopped before its first epoch ended?"
            )
        directory = self.checkpoints / name
        values = read_json(directory / CHECKPOINT, self.path)
        path = directory / file
        try:
            data = read_plain(path, MAX_ARRAYS, self.path)
        except OSError as error:
            raise RunDirError(f"{path}: cannot be read: {error.strerror}") from error
        except MemoryError as error:
            raise RunDirError(f"{path}: larger than the memory") from error
        digests = values.get("sha256")
        if not isinstance(digests, dict) or hashlib.sha256(data).hexdigest() != digests.get(file):
            raise RunDirError(f"{path}: damaged: its sha256 is not the one in {CHECKPOINT}")
        try:
            return parse_arrays(data), values
        except (safetensors.SafetensorError, KeyError) as error:  # a KeyError for types that NumPy has not
            raise RunDirError(f"{path}: not a safetensors file: {error}") from error


def _claimed(path: Path) -> Path:
    """Make the directory, or take it if it is there and empty."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        what = "holds a run already" if (path / "config.yaml").exists() else "exists and is not an empty directory"
        raise RunDirError(f"{path}: {what}; nothing was written", "choose another place with --run-dir")
    path.mkdir(parents=True, exist_ok=True)
    return path


def _new_dated(config: Config) -> Path:
    base = Path("runs") / f"{config.task.type}-{config.model.type}-{datetime.now():%Y%m%d-%H%M%S}"
    base.parent.mkdir(exist_ok=True)
    number = 1
    while True:
        path = base if number == 1 else base.with_name(f"{base.name}-{number}")
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path
        number += 1
