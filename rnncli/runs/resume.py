"""From where a run goes on, and whether it may: all that can be said of it without TensorFlow."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

from rnncli.config import Config
from rnncli.data.task import Task
from rnncli.errors import InputError, RunDirError, UnreadableError, explain_os_errors
from rnncli.files import open_plain, sync
from rnncli.runs.checkpoints import BEST, LAST, Checkpoint
from rnncli.runs.directory import MAX_LOG_LINE_BYTES, RunDir
from rnncli.runs.train_state import TrainState
from rnncli.runtime.run_files import CONFIG, CSV, MANIFEST, METRICS, RUN_MARKERS, TENSORBOARD


@dataclass(frozen=True)
class ResumePoint:
    """From where a run goes on.

    Attributes:
        checkpoint: The newest that is sound.
        state: Where training was then.
        best: The name of the checkpoint that was the best then, if there was one.
        notes: What a person should know: newer checkpoints that are damaged.
    """

    checkpoint: Checkpoint
    state: TrainState
    best: str | None
    notes: tuple[str, ...] = ()


def find_resume_point(run: RunDir, config: Config, task: Task) -> ResumePoint | None:
    """From where a run goes on; None where it has no checkpoint yet, so that it begins anew.

    Raises:
        RunDirError: It has checkpoints, and none is sound.
    """
    run.limit(config, task)
    found, wrong = run.checkpoints.newest_sound()
    if found is None:
        if wrong:
            raise RunDirError(
                f"{run.path}: none of its checkpoints is sound: {wrong[0].message}",
                f"mend that, or begin a new run: rnncli train {run.path / CONFIG}",
            )
        return None
    notes = [f"{error.message}; passed over for checkpoint {found.step}" for error in wrong]
    try:
        state = found.train_state(config.training)
    except RunDirError as error:
        raise RunDirError(f"{run.path}: {error.message}") from error
    best = found.record.best_checkpoint
    if state.best and (problem := _best_problem(run, best)):
        notes.append(f"{problem}; so the best epoch is lost, and the best from here on takes its place")
        state.best = {}
    return ResumePoint(found, state, best if state.best else None, tuple(notes))


def _best_problem(run: RunDir, name: str | None) -> str | None:
    """What is wrong with the best checkpoint, if anything is."""
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
    """Refuse a folder in which nothing may be written: that is no run for all its config.yaml, or has links.

    Raises:
        RunDirError: It is one.
    """
    if not any((run.path / sign).exists() for sign in RUN_MARKERS):
        raise RunDirError(
            f"{run.path}: no run directory: of {', '.join(RUN_MARKERS)} it has none",
            f"rnncli train {run.path / CONFIG} begins a new run",
        )
    for path in run.path.rglob("*"):
        if path.is_symlink():
            raise RunDirError(f"{path}: a link; nothing is written where a run has links", "cp -rL copies without")
        if not (path.is_file() or path.is_dir()):
            raise RunDirError(f"{path}: neither a file nor a directory; nothing is written there", "remove it")


def repair_pointers(run: RunDir, resumed: ResumePoint) -> bool:
    """Make a checkpoint the newest, and its best the best, where a kill kept that from being done; whether it had.

    Raises:
        RunDirError: They cannot be written.
    """
    wanted = [f"{resumed.checkpoint.step:08d}", resumed.best]
    try:
        if [run.checkpoints.pointed(LAST), run.checkpoints.pointed(BEST)] == wanted:
            return False
    except UnreadableError:
        pass  # it can be replaced all the same
    with explain_os_errors(run.path, "written", RunDirError, inside=True):
        run.checkpoints.rollback_to(resumed.checkpoint.step, resumed.best)
    return True


def rollback_to_resume_point(run: RunDir, resumed: ResumePoint, config: Config) -> list[str]:
    """Make a checkpoint the newest, cut what came after it, and record the config to go on with.

    Returns:
        What a person should know: epochs that a log has lost.

    Raises:
        RunDirError: Something cannot be written.
    """
    epochs = resumed.state.epoch
    with explain_os_errors(run.path, "written", RunDirError, inside=True):
        run.checkpoints.rollback_to(resumed.checkpoint.step, resumed.best)
        run.remove_leftovers()
        there = _cut(run, METRICS, epochs)
        _cut(run, CSV, epochs + 1)  # its first line has the names
        if config != run.read_config():
            run.write_config(config)
    return [] if there == epochs else [f"{run.path / METRICS}: it has {there} of the {epochs} epochs until here"]


def start_over(run: RunDir, config: Config) -> None:
    """Remove what training left that was ended before its first checkpoint, and record the config to begin with."""
    with explain_os_errors(run.path, "written", RunDirError, inside=True):
        for name in (MANIFEST, METRICS, CSV):
            (run.path / name).unlink(missing_ok=True)
        shutil.rmtree(run.path / TENSORBOARD, ignore_errors=True)
        run.remove_leftovers()
        run.write_config(config)


def _cut(run: RunDir, name: str, lines: int) -> int:
    """Leave so many lines of a file, as far as they are whole; returns how many it has then."""
    try:
        with open_plain(run.path / name, run.path) as file:
            there = end = 0
            while there < lines and (line := file.readline(MAX_LOG_LINE_BYTES)).endswith(b"\n"):
                there, end = there + 1, end + len(line)
    except FileNotFoundError:
        return 0
    os.truncate(run.path / name, end)
    sync(run.path / name)
    return there
