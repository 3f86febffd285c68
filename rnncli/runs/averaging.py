"""The average of the weights of some checkpoints of a run, as a run directory of its own.

Junczys-Dowmunt et al. 2016 average the last checkpoints of one training, which is often as good as their ensemble and
costs no more than one of them.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnncli.errors import InputError, RunDirError, command_line, override_words
from rnncli.files import read_json, read_plain, write_atomically
from rnncli.runs import sessions
from rnncli.runs.arrays import Arrays
from rnncli.runs.checkpoints import STATES, WEIGHTS, Checkpoint, CheckpointRecord, describe_steps
from rnncli.runs.directory import RunDir
from rnncli.runs.train_state import TrainState
from rnncli.runs.verification import MAX_CODE_BYTES
from rnncli.runtime.run_files import CODE, CONFIG, MANIFEST

AVERAGED = "averaged"
"""The key of the manifest that records the checkpoints."""
OF_TRAINING = (
    sessions.SESSIONS,
    sessions.STATE,
    sessions.STEP,
    sessions.BEST,
    sessions.INTERVALS,
    sessions.REASON,
)
"""Keys of the manifest that an average has not: it was neither trained nor measured."""
OTHER_OUTPUT = "choose another place with -o"
"""The hint where the average cannot be written."""


def refuse_resumed_average(run: RunDir) -> None:
    """Refuse to resume an average, which has no optimizer to go on with.

    Raises:
        RunDirError: The run is one.
    """
    if is_average(run):
        train_on = command_line("train", run.path / CONFIG, "--set", f"training.init_from={run.path}")
        raise RunDirError(
            f"{run.path}: an average of checkpoints, which is not resumed", f"train on from its weights: {train_on}"
        )


def is_average(run: RunDir) -> bool:
    """Return True if the newest checkpoint is an average; False if it is none, or cannot be read."""
    with contextlib.suppress(InputError):
        return any(run.checkpoints.read_record(name).averaged for name in run.checkpoints.names()[:1])
    return False


def _refuse_average_of_average(run: RunDir) -> None:
    if is_average(run):
        facts = read_json(run.path / MANIFEST, run.path).get(AVERAGED)
        origin = facts.get("run") if isinstance(facts, dict) else None
        raise RunDirError(
            f"{run.path}: an average already" + (f", of checkpoints of {origin}" if isinstance(origin, str) else ""),
            "give that run, and other checkpoints of it",
        )


def last_checkpoints(run: RunDir, count: int) -> list[str]:
    """Return the names of the newest checkpoints, the oldest first.

    Raises:
        RunDirError: There are fewer, or the run is an average.
    """
    _refuse_average_of_average(run)
    names = run.checkpoints.names()[:count]
    if len(names) < count:
        kept = f"{override_words(f'checkpoint.keep={count}')} {override_words('checkpoint.every=epoch')}"
        raise RunDirError(
            f"{run.path}: fewer than {count} checkpoints: {describe_steps(names)}",
            f"train with {kept}, which keeps them",
        )
    return names[::-1]


def average_checkpoints(run: RunDir, which: Sequence[str], output: Path) -> list[int]:
    """Write a run directory whose weights are the mean of those of some checkpoints; the run stays as it is.

    Args:
        run: The run.
        which: Its checkpoints: numbers of steps, `best` or `last`.
        output: A new or empty directory.

    Returns:
        The steps of the checkpoints, in order.

    Raises:
        InputError: They are not two different checkpoints or more.
        RunDirError: There is no such run or checkpoint, it is an average, or something is at `output` already.
    """
    config = run.read_config()
    _refuse_average_of_average(run)
    task = run.read_task(config)
    names = sorted({run.checkpoints.find(each) for each in which}, key=int)
    if len(names) < 2:
        raise InputError("an average needs two different checkpoints or more", "name them, or give a larger --last")
    total, newest, records = _sum_of(run, names, [WEIGHTS, STATES] if config.stateful else [WEIGHTS])
    weights = {name: (value / len(names)).astype(newest.arrays[WEIGHTS][name].dtype) for name, value in total.items()}
    steps = [record.step for record in records]
    facts = {"run": str(run.path.absolute()), "steps": steps, "weights": [each.weights_digest for each in records]}
    manifest = read_json(run.path / MANIFEST, run.path)
    with RunDir.claim(output, config, hint=OTHER_OUTPUT) as made:
        made.write_vocabulary(task.source_vocabulary, task.target_vocabulary)
        _copy_code(run, made, manifest.get(CODE))
        kept = {key: value for key, value in manifest.items() if key not in OF_TRAINING}
        made.write_manifest({**kept, AVERAGED: facts})
        made.save_checkpoint(_state_of(newest.record, steps), {**newest.arrays, WEIGHTS: weights}, best=True)
    return steps


def _sum_of(
    run: RunDir, names: Sequence[str], files: Sequence[str]
) -> tuple[Arrays, Checkpoint, list[CheckpointRecord]]:
    """Return the sum of the weights of checkpoints, float64, the last of them, and the record of each."""
    total: dict[str, Any] = {}
    records = []
    for name in names:
        found = run.checkpoints.load(name, files)
        weights = found.arrays[WEIGHTS]
        shapes = {key: value.shape for key, value in weights.items()}
        if total and shapes != {key: value.shape for key, value in total.items()}:
            raise RunDirError(f"{run.path}: checkpoint {int(name)}: its weights are not those of the others")
        total = {key: total.get(key, 0.0) + value.astype(np.float64) for key, value in weights.items()}
        records.append(found.record)
    return total, found, records


def _state_of(newest: CheckpointRecord, steps: list[int]) -> TrainState:
    """Return the train state of an average: that of its newest checkpoint, without its metrics."""
    return TrainState(
        epoch=newest.epoch, steps=newest.steps, step=newest.step, best_metric=newest.best_metric, averaged=steps
    )


def _copy_code(run: RunDir, made: RunDir, recorded: object) -> None:
    """Copy the source files of a custom cell and of callbacks that a manifest records."""
    for name in recorded if isinstance(recorded, dict) else ():
        if not re.fullmatch(r"\w+\.py", name):
            raise RunDirError(f"{run.path / MANIFEST}: {CODE}: not the name of a module's file")
        (made.path / CODE).mkdir(exist_ok=True)
        write_atomically(made.path / CODE / name, read_plain(run.path / CODE / name, MAX_CODE_BYTES, run.path))
