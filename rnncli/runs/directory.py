"""A run directory: the product of training, and all that prediction, export and resuming need.

    RUN/config.yaml            the resolved config
        manifest.json          versions, device, kernels
        vocabulary.json        symbols of both sides
        code/                  the source files of a custom cell and of callbacks
        metrics.jsonl          one line an epoch
        checkpoints/           see `rnncli.runs.checkpoints`
        lock                   the process that trains, while one does

Loading rebuilds the model from the validated config and reads arrays; nothing is unpickled, and no link is followed.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rnncli.config import Config, UserClass, dump_config, name_of, parse_config
from rnncli.config.yaml_reader import MAX_BYTES
from rnncli.data.task import Task
from rnncli.data.tasks import build_task
from rnncli.data.vocabulary import Vocabularies, Vocabulary, format_vocabularies, read_vocabularies, vocabulary_digest
from rnncli.errors import InputError, RunDirError, UnreadableError, command_line, explain_os_errors
from rnncli.files import (
    is_temporary_of,
    paths_below,
    read_json,
    read_plain,
    remove_temporaries,
    sync,
    write_atomically,
)
from rnncli.runs.arrays import Arrays, weights_digest
from rnncli.runs.checkpoints import BEST, LAST, STATES, WEIGHTS, CheckpointRecord, Checkpoints
from rnncli.runs.folders import RUNS as RUNS
from rnncli.runs.lock import is_locked, locked, remove_unused
from rnncli.runs.missing import no_run_at
from rnncli.runs.naming import default_name
from rnncli.runs.size_limits import max_checkpoint_bytes
from rnncli.runs.train_state import TrainState
from rnncli.runtime.run_files import (
    CHECKPOINTS,
    CODE,
    CONFIG,
    CSV,
    EVENTS,
    LOCK,
    MANIFEST,
    METRICS,
    TENSORBOARD,
    VOCABULARY,
    WRITTEN_FILES,
)
from rnncli.runtime.user_code import NO_SEARCH_PATH, ModuleSearchPath, run_search_path, source_file
from rnncli.states.named_arrays import check_floats

MAX_LOG_LINE_BYTES = 2**16
"""Bytes of a line of a log; an epoch's has a few hundred."""

OTHER_PLACE = "choose another place with --run-dir, in Python with run_dir"
"""The hint where a run directory cannot be made."""

MAX_CLAIMS = 100
"""Tries to lock a directory that other processes keep removing."""


@dataclass(frozen=True)
class SavedRun:
    """A trained run as read from its directory.

    Attributes:
        path: The run directory.
        config: The config that it was trained with.
        task: Its task, which reads and shows text.
        weights: The model's parameters, by name.
        checkpoint: The record of the checkpoint: step, metrics, digest of the weights.
        carried: The states that training of a stateful model ended with, float32 [batch size, units] by name; empty
            for other models.
        search_path: Folders that the class of a custom cell is imported from.
        which: The checkpoint that was asked for: `best`, `last` or a number of steps.
        newest: The train state of the newest checkpoint; None if that cannot be read.
        exported: The exported file that has the weights and predicts; None for a run directory.
        is_training: True if a process trained the run when it was read.
    """

    path: Path
    config: Config
    task: Task
    weights: Arrays
    checkpoint: CheckpointRecord
    carried: Arrays
    search_path: ModuleSearchPath = NO_SEARCH_PATH
    which: str = BEST
    newest: TrainState | None = None
    exported: Path | None = None
    is_training: bool = False

    def on(self, device: Literal["auto", "cpu", "gpu"]) -> SavedRun:
        """Return the run for a device of this machine, in float32, with any kernel if training required cuDNN."""
        return replace(self, config=self.config.on_device(device))

    def describe_weights(self) -> str:
        """Return a message about the checkpoint that the weights are of, and whether training is finished."""
        record, training = self.checkpoint, self.config.training
        kind = {BEST: ", the best", LAST: ", the last"}.get(self.which, "")
        place = f"step {record.step} in epoch {record.epoch + 1}" if record.done else f"epoch {record.epoch}{kind}"
        newest = self.newest
        if record.averaged:
            return f"{self.path}: using the average of the weights of {len(record.averaged)} checkpoints"
        if newest is None:
            return f"{self.path}: using the weights of {place}"
        if newest.finished(training):
            return f"{self.path}: using the weights of {place} of {newest.epoch}"
        reached = f"{newest.epoch} of {training.epochs} epochs"
        if self.is_training:
            return f"{self.path}: using the weights of {place}; training goes on after {reached}"
        resume = f"rnncli train --resume {self.path} continues it"
        return f"{self.path}: using the weights of {place}; training stopped after {reached}: {resume}"

    def identity(self) -> dict[str, Any]:
        """Return cell and digests, which states must share with this run to be its initial states."""
        return {
            "cell": name_of(self.config.model.cell),
            "weights_digest": self.checkpoint.weights_digest if self.exported else weights_digest(self.weights),
            "vocabulary_digest": vocabulary_digest(self.task.source_vocabulary, self.task.target_vocabulary),
        }


class RunDir:
    """A run directory.

    Attributes:
        path: The directory.
        checkpoints: Its checkpoints.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = Checkpoints(path)

    @classmethod
    def create(cls, path: Path | None, config: Config) -> RunDir:
        """Make a directory for a new run and leave it unlocked; see `claim`."""
        with cls.claim(path, config) as run:
            return run

    @classmethod
    @contextlib.contextmanager
    def claim(
        cls, path: Path | None, config: Config, name: str | None = None, hint: str = OTHER_PLACE
    ) -> Iterator[RunDir]:
        """Make a directory for a new run, and hold its lock.

        Of several processes that claim the same path, one gets it. If the block fails before there is a checkpoint,
        what was written is removed, and the directory if it was made here.

        Args:
            path: A new or empty directory; None is a new dated name under `runs/`.
            config: The resolved config.
            name: The name of a directory without a path; None is that of `default_name`.
            hint: The hint where it cannot be made.

        Raises:
            RunDirError: Something is there already, or the directory cannot be made.
            RunFailedError: Another process trains there.
        """
        with contextlib.ExitStack() as unlocked, contextlib.ExitStack() as stack:
            with explain_os_errors(path or RUNS, "written", RunDirError, hint, inside=True):
                path, made = _locked_directory(stack, unlocked, path, name or default_name(config), hint)
            run = cls(path)
            try:
                with explain_os_errors(path, "written", RunDirError, hint, inside=True):
                    run._begin(config)
                yield run
            except BaseException:
                run.discard_if_untrained(everything=made)
                raise

    @contextlib.contextmanager
    def locked(self) -> Iterator[str | None]:
        """Hold the lock of a run that is there; yields the warning of `rnncli.runs.lock.locked`.

        Raises:
            RunDirError: It has just been removed, as after a failure before its first checkpoint.
            RunFailedError: Another process trains there.
        """
        with contextlib.ExitStack() as stack:
            try:
                warning = stack.enter_context(locked(self.path))
            except FileNotFoundError as error:
                raise no_run_at(self.path) from error
            yield warning

    def _begin(self, config: Config) -> None:
        sync(self.path.parent)
        self.checkpoints.path.mkdir()
        self.write_config(config)

    def load(self, which: str = BEST, trust_code: bool = False) -> SavedRun:
        """Read and check a trained run, without TensorFlow.

        Args:
            which: The checkpoint: `best`, `last` or a number of steps.
            trust_code: True to allow that the class of a custom cell is imported.

        Raises:
            RunDirError: There is no run, its cell is code that is not trusted, or something in it is missing
                or damaged, or does not fit together.
            ConfigError: Its config.yaml is refused.
        """
        self._refuse_part()
        config = self.read_config()
        search_path = self.search_path(config.prediction_code, trust_code)
        task = self.read_task(config)
        found = self.checkpoints.load(which, (WEIGHTS, STATES) if config.stateful else (WEIGHTS,))
        weights, carried = found.arrays[WEIGHTS], found.arrays.get(STATES, {})
        check_floats(weights, f"{self.checkpoints.path / which}: {WEIGHTS}", RunDirError)
        check_floats(carried, f"{self.checkpoints.path / which}: {STATES}", RunDirError)
        newest = None
        with contextlib.suppress(InputError):  # of a checkpoint that is not asked for
            newest = self.newest_state()
        return SavedRun(
            path=self.path,
            config=config,
            task=task,
            weights=weights,
            checkpoint=found.record,
            carried=carried,
            search_path=search_path,
            which=which,
            newest=newest,
            is_training=is_locked(self.path),
        )

    def _refuse_part(self) -> None:
        """Refuse a path inside a run directory."""
        run = next((parent for parent in self.path.parents if (parent / CONFIG).is_file()), None)
        if run is None or (self.path / CONFIG).exists():
            return
        hint, (folder, *names) = f"give the run directory itself: {run}", self.path.relative_to(run).parts
        if folder == CHECKPOINTS and names:
            which = str(int(names[0])) if names[0].isdecimal() else names[0]
            hint = f"write {run} --checkpoint {which}; in Python: checkpoint={which!r}"
        raise RunDirError(f"{self.path}: part of a run directory", hint)

    def read_config(self, overrides: Sequence[str] = ()) -> Config:
        """The config as trained, with overrides in place of what it says.

        Raises:
            RunDirError: There is no run, or its config cannot be read.
            ConfigError: The config or an override is refused.
        """
        with explain_os_errors(self.path / CONFIG, "read", RunDirError):
            if not self.path.is_dir():
                raise no_run_at(self.path)
            try:
                text = read_plain(self.path / CONFIG, MAX_BYTES, self.path)
            except FileNotFoundError as error:
                raise no_run_at(self.path) from error
        return parse_config(text, str(self.path / CONFIG), overrides, recorded=True)

    def trained_config(self) -> Config:
        """The config that the manifest says training began with, whatever became of config.yaml since.

        Raises:
            RunDirError: There is no run, or its manifest cannot be read.
            ConfigError: The config is refused.
        """
        config = self.read_config()
        if not self.trained:
            return config
        recorded = read_json(self.path / MANIFEST, self.path).get("config", "")
        if not isinstance(recorded, str):
            raise RunDirError(f"{self.path / MANIFEST}: config is not the text of a config")
        return parse_config(recorded, str(self.path / MANIFEST), recorded=True) if recorded else config

    def search_path(self, code: Sequence[UserClass], trust_code: bool) -> ModuleSearchPath:
        """Return the folders that classes of the user, a custom cell or callbacks, are imported from.

        Args:
            code: The classes that are executed: `Config.prediction_code` or `Config.training_code`.
            trust_code: True if the user trusts them.

        Raises:
            RunDirError: There are some, and they are not trusted.
        """
        if not code:
            return NO_SEARCH_PATH
        return run_search_path(self.path, f"{code[0].kind} {code[0].class_}", trust_code)

    def read_vocabulary(self) -> Vocabularies:
        """The symbols of both sides."""
        return read_vocabularies(self.path / VOCABULARY, self.path)

    def check_vocabulary(self, task: Task) -> None:
        """Refuse a task that has other symbols than the run: its config.yaml or vocabulary.json was changed."""
        recorded = self.read_vocabulary()
        trained = None
        with contextlib.suppress(InputError):  # one that cannot be read is no matter here
            trained = read_json(self.path / MANIFEST, self.path).get("vocabulary")
        if trained is not None and trained != vocabulary_digest(task.source_vocabulary, task.target_vocabulary):
            raise RunDirError(f"{self.path / VOCABULARY}: not the symbols of the training", "copy the run anew")
        for side, vocabulary in (("source", task.source_vocabulary), ("target", task.target_vocabulary)):
            if getattr(recorded, side) != vocabulary:
                raise RunDirError(f"{self.path / VOCABULARY}: {side} symbols are not those of config.yaml")

    def read_task(self, config: Config) -> Task:
        """Return the task with the recorded vocabulary, and limit what is read of checkpoints to what it needs.

        Raises:
            RunDirError: The vocabulary cannot be read, or is not that of the config or of the training.
        """
        task = build_task(config, self.read_vocabulary())
        self.check_vocabulary(task)
        self.set_size_limit(config, task)
        return task

    def set_size_limit(self, config: Config, task: Task) -> None:
        """Let no more be read of a checkpoint than a model of this config may have."""
        self.checkpoints.max_bytes = max_checkpoint_bytes(config, task)

    def newest_state(self) -> TrainState:
        """Return the train state of the newest checkpoint, as `last` points to it.

        Raises:
            RunDirError: There is no checkpoint, or it is damaged.
        """
        return self.checkpoints.read_record(LAST).state()

    def discard_if_untrained(self, everything: bool = False) -> None:
        """Remove what training wrote, but for the lock, if no checkpoint was ever written.

        Args:
            everything: True to remove all that is in the directory.
        """
        if self.may_be_trained:
            return
        names = {*WRITTEN_FILES, CHECKPOINTS, TENSORBOARD, CODE}
        if everything:
            with contextlib.suppress(OSError):
                names = {path.name for path in self.path.iterdir()} - {LOCK}
        for path in (self.path / name for name in names):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)

    def discard_unbegun(self) -> None:
        """Remove what `claim` writes before there is a config, and nothing else; a run that has one is kept."""
        if not self.path.is_dir() or (self.path / CONFIG).exists():
            return
        with explain_os_errors(self.path, "written", RunDirError, inside=True):
            for path in list(self.path.iterdir()):
                written = path.name in WRITTEN_FILES or is_temporary_of(path, self.path / CONFIG)
                if written and (path.is_symlink() or path.is_file()):
                    path.unlink()
        with contextlib.suppress(OSError):  # one that is not empty is not what `claim` made
            self.checkpoints.path.rmdir()

    @property
    def trained(self) -> bool:
        """Return True if there is a checkpoint."""
        return bool(self.checkpoints.names())

    @property
    def may_be_trained(self) -> bool:
        """Return False only if there is certainly no checkpoint; for where an error is handled already."""
        with contextlib.suppress(UnreadableError):
            return self.trained
        return True

    def _write(self, name: str, text: str) -> None:
        write_atomically(self.path / name, text.encode())

    def event_files(self) -> list[Path]:
        """Return TensorBoard's files, in order of their names; none behind a link."""
        return [path for path in paths_below(self.path / TENSORBOARD) if path.match(EVENTS)]

    def remove_leftovers(self) -> None:
        """Remove what a process that was killed was writing."""
        remove_temporaries(self.path)
        logs = self.path / TENSORBOARD
        for folder in (self.checkpoints.path, self.path / CODE, logs, *paths_below(logs)):
            if folder.is_dir() and not folder.is_symlink():
                remove_temporaries(folder)

    def write_config(self, config: Config) -> None:
        """Record the resolved config."""
        self._write(CONFIG, dump_config(config))

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Record how the run is made: versions, device, kernels."""
        self._write(MANIFEST, json.dumps(manifest, indent=2) + "\n")

    def write_vocabulary(self, source: Vocabulary, target: Vocabulary) -> None:
        """Record the symbols of both sides, in order of their ids."""
        write_atomically(self.path / VOCABULARY, format_vocabularies(source, target))

    def write_code(self, code: Sequence[UserClass], search_path: ModuleSearchPath) -> dict[str, str]:
        """Keep the source files of classes, those that are files of the user's; return their names and SHA-256."""
        digests = {}
        for each in code:
            if (file := source_file(each.module, search_path, each.key)) is not None:
                (self.path / CODE).mkdir(exist_ok=True)
                data = file.read_bytes()
                write_atomically(self.path / CODE / file.name, data)
                digests[file.name] = hashlib.sha256(data).hexdigest()
        return digests

    def append_metrics(self, values: Mapping[str, Any]) -> None:
        """Add a line to metrics.jsonl; the next checkpoint waits until it is on the disk.

        Raises:
            RunFailedError: It cannot be written.
        """
        hint = (
            f"when this is mended, {command_line('train', '--resume', self.path)} goes on"
            if self.may_be_trained
            else ""
        )
        with (
            explain_os_errors(self.path / METRICS, "written", hint=hint),
            (self.path / METRICS).open("a", encoding="utf-8") as file,
        ):
            file.write(json.dumps(values) + "\n")

    def save_checkpoint(self, state: TrainState, arrays: Mapping[str, Arrays], best: bool, keep: int = 2) -> None:
        """Write a checkpoint as `Checkpoints.save` does, when the logs up to there are on the disk."""
        logs = [self.path / METRICS, self.path / CSV, *self.event_files()]
        logs = [log for log in logs if log.is_file()]
        for path in (*logs, *{log.parent for log in logs}):
            sync(path)
        self.checkpoints.save(state, arrays, best, keep)


@contextlib.contextmanager
def reserved(path: Path | None, name: str) -> Iterator[Path]:
    """Make an empty directory for a run that another process trains; one that stays empty is removed again.

    Args:
        path: A new or empty directory; None is a new one under `runs/`.
        name: The name of a new directory without a path.

    Raises:
        RunDirError: Something is there already, or the directory cannot be made.
    """
    with (
        explain_os_errors(path or RUNS, "written", RunDirError, OTHER_PLACE, inside=True),
        contextlib.ExitStack() as stack,
    ):
        found, made = (_new_named(name, stack), True) if path is None else _new_or_empty(path, stack, OTHER_PLACE)
    try:
        yield found
    finally:
        if made:
            remove_unused(found)


def _locked_directory(
    stack: contextlib.ExitStack, unlocked: contextlib.ExitStack, path: Path | None, name: str, hint: str
) -> tuple[Path, bool]:
    """Return an empty directory, and True if it was made for this.

    Args:
        stack: Holds the lock until it is closed.
        unlocked: Is closed after that; after a failure it removes the directory if it was made for this.
        path: The path; None is a new one under `runs/`.
        name: The name of a new directory without a path.
        hint: The hint where it cannot be made.
    """
    for _ in range(MAX_CLAIMS):
        found, made = (_new_named(name, unlocked), True) if path is None else _new_or_empty(path, unlocked, hint)
        try:
            stack.enter_context(locked(found))
        except FileNotFoundError:
            continue  # its maker has failed and removed it
        _refuse_occupied(found, hint)  # again: another process may have trained there just now
        return found, made
    raise _never_there(path, hint)


def _never_there(path: Path | None, hint: str) -> RunDirError:
    return RunDirError(f"{path or RUNS}: other processes make and remove it all the time", hint)


def _new_or_empty(path: Path, unlocked: contextlib.ExitStack, hint: str) -> tuple[Path, bool]:
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(MAX_CLAIMS):
        if not path.exists():
            _remove_after_failure(unlocked, path)  # before it is made: Ctrl-C may come at any instant
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            _remove_after_failure(unlocked, path)  # too, as one that was there may have gone meanwhile
            return path, True
        with contextlib.suppress(FileNotFoundError):  # its maker has failed and removed it
            _refuse_occupied(path, hint)
            return path, False
    raise _never_there(path, hint)


def _remove_after_failure(unlocked: contextlib.ExitStack, path: Path) -> None:
    """Let a directory that is made for a claim be removed if the claim fails before anything is in it."""
    unlocked.push(lambda kind, *_: None if kind is None else remove_unused(path))


def _refuse_occupied(path: Path, hint: str) -> None:
    if path.is_dir() and {entry.name for entry in path.iterdir()} <= {LOCK}:
        return
    path.lstat()  # raises FileNotFoundError if it has just been removed
    what = "holds a run already" if (path / CONFIG).exists() else "exists and is not an empty directory"
    raise RunDirError(f"{path}: {what}; nothing was written", hint)


def _new_named(name: str, unlocked: contextlib.ExitStack) -> Path:
    base = RUNS / name
    base.parent.mkdir(exist_ok=True)
    for number in itertools.count(1):
        path = base if number == 1 else base.with_name(f"{base.name}-{number}")
        if not path.exists():
            _remove_after_failure(unlocked, path)
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            _remove_after_failure(unlocked, path)
            return path
    raise AssertionError("numbers do not end")
