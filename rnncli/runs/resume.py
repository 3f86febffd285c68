"""The point that an interrupted run resumes from, found and restored without TensorFlow."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice, takewhile

from rnncli.config import Config
from rnncli.data.task import Task
from rnncli.errors import InputError, RunDirError, UnreadableError, command_line, explain_os_errors
from rnncli.files import open_plain, sync
from rnncli.runs.checkpoints import BEST, LAST, Checkpoint
from rnncli.runs.directory import MAX_LOG_LINE_BYTES, RunDir
from rnncli.runs.event_files import whole_records
from rnncli.runs.train_state import TrainState
from rnncli.runtime.run_files import CONFIG, CSV, MANIFEST, METRICS, RUN_MARKERS, TENSORBOARD


@dataclass(frozen=True)
class ResumePoint:
    """The point that a run resumes from.

    Attributes:
        checkpoint: The newest valid checkpoint.
        state: Its train state, with the losses of the current epoch.
        best: The name of the best checkpoint at that time; None if no epoch had ended.
        notes: Warnings for the user, such as newer checkpoints that are damaged.
    """

    checkpoint: Checkpoint
    state: TrainState
    best: str | None
    notes: tuple[str, ...] = ()


def find_resume_point(run: RunDir, config: Config, task: Task) -> ResumePoint | None:
    """Return the point that a run resumes from; None if it has no checkpoint yet, so that it starts again.

    Args:
        run: The run directory.
        config: The config to resume with.
        task: Its task, whose sizes limit what is read of a checkpoint.

    Raises:
        RunDirError: there are checkpoints, and none is valid.
    """
    run.set_size_limit(config, task)
    found, wrong = run.checkpoints.newest_sound()
    if found is None:
        if wrong:
            raise RunDirError(
                f"{run.path}: no checkpoint is valid: {wrong[0].message}",
                f"restore one from a copy, or start a new run: {command_line('train', run.path / CONFIG)}",
            )
        return None
    notes = [f"{error.message}; resuming from checkpoint {found.step} instead" for error in wrong]
    try:
        state = found.train_state(config.training)
    except RunDirError as error:
        raise RunDirError(f"{run.path}: {error.message}") from error
    best = found.record.best_checkpoint
    if state.best and (problem := _best_problem(run, best)):
        notes.append(f"{problem}; the best epoch so far is lost, and later epochs are compared among themselves")
        state.best = {}
    return ResumePoint(found, state, best if state.best else None, tuple(notes))


def _best_problem(run: RunDir, name: str | None) -> str | None:
    """Return the problem of the best checkpoint, or None."""
    if name not in run.checkpoints.names():
        return f"{run.checkpoints.path}: the best checkpoint, {name}, is missing"
    try:
        run.checkpoints.read(name)
    except UnreadableError:
        raise
    except InputError as error:
        return error.message
    return None


def refuse_folder(run: RunDir) -> None:
    """Refuse to write into a directory that is no run although it has a config.yaml, or that holds links.

    Raises:
        RunDirError: The directory is refused.
    """
    if not any((run.path / sign).exists() for sign in RUN_MARKERS):
        raise RunDirError(
            f"{run.path}: not a run directory: it has none of {', '.join(RUN_MARKERS)}",
            f"start a new run with: {command_line('train', run.path / CONFIG)}",
        )
    for path in run.path.rglob("*"):
        if path.is_symlink():
            raise RunDirError(
                f"{path}: a link; nothing is written into a run with links",
                f"copy it without links: {shlex.join(['cp', '-rL', str(run.path), 'COPY'])}",
            )
        if not (path.is_file() or path.is_dir()):
            raise RunDirError(f"{path}: neither a file nor a directory; nothing is written there", "remove it")


def repair_pointers(run: RunDir, resumed: ResumePoint) -> bool:
    """Point `last` and `best` to where they belong if a kill kept that from being done; return True if it had.

    Raises:
        RunDirError: The pointers cannot be written.
    """
    expected = [f"{resumed.checkpoint.step:08d}", resumed.best]
    try:
        if [run.checkpoints.pointed(LAST), run.checkpoints.pointed(BEST)] == expected:
            return False
    except UnreadableError:
        pass  # it can be replaced all the same
    with explain_os_errors(run.path, "written", RunDirError, inside=True):
        run.checkpoints.rollback_to(resumed.checkpoint.step, resumed.best)
    return True


def rollback_to_resume_point(run: RunDir, resumed: ResumePoint, config: Config) -> list[str]:
    """Remove the checkpoints and log lines after a resume point, and record the config to resume with.

    Returns:
        Warnings for the user: epochs that a log has lost.

    Raises:
        RunDirError: The directory cannot be written.
    """
    epochs = resumed.state.epoch
    with explain_os_errors(run.path, "written", RunDirError, inside=True):
        run.checkpoints.rollback_to(resumed.checkpoint.step, resumed.best)
        run.remove_leftovers()
        there = _cut(run, METRICS, lambda lines: islice(lines, epochs))
        _cut(run, CSV, partial(_rows_of, epochs))
        _cut_events(run)
        if config != run.read_config():
            run.write_config(config)
    return [] if there == epochs else [f"{run.path / METRICS}: has only {there} of the {epochs} epochs before"]


def start_over(run: RunDir, config: Config) -> None:
    """Remove the files of a training that ended before its first checkpoint, and record the config to start with."""
    with explain_os_errors(run.path, "written", RunDirError, inside=True):
        for name in (MANIFEST, METRICS, CSV):
            (run.path / name).unlink(missing_ok=True)
        shutil.rmtree(run.path / TENSORBOARD, ignore_errors=True)
        run.remove_leftovers()
        run.write_config(config)


def _cut(run: RunDir, name: str, choose: Callable[[Iterator[bytes]], Iterable[bytes]]) -> int:
    """Cut a file to its first lines, which `choose` yields of all complete ones; return how many it has then."""
    try:
        with open_plain(run.path / name, run.path) as file:
            lines = iter(lambda: file.readline(MAX_LOG_LINE_BYTES), b"")
            kept = [len(line) for line in choose(takewhile(lambda line: line.endswith(b"\n"), lines))]
    except FileNotFoundError:
        return 0
    os.truncate(run.path / name, sum(kept))
    sync(run.path / name)
    return len(kept)


def _cut_events(run: RunDir) -> None:
    """Cut TensorBoard's files to their complete records; damaged ones stay, for `verify` to name."""
    for path in run.event_files():
        with contextlib.suppress(RunDirError):
            with open_plain(path, run.path) as file:
                size, complete = whole_records(file)
            if not complete:
                os.truncate(path, size)
                sync(path)


def _rows_of(epochs: int, lines: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the header of metrics.csv and the rows of the first epochs; the first row may be of any of them.

    With Keras's names of metrics, as in version 0.1.0, epochs count from 0.
    """
    for header in lines:
        yield header
        end = epochs if b",val_" in header else epochs + 1
        for row in lines:
            epoch = row.partition(b",")[0]
            if not epoch.isdigit() or int(epoch) >= end:
                return
            yield row
