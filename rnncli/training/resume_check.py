"""Proofs: that checkpoints fit the model of a config, and that k steps and then n - k more are n steps."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from rnncli.config import Config
from rnncli.data.examples import Examples, Sizes
from rnncli.data.task import Task
from rnncli.errors import InputError
from rnncli.models import build_model
from rnncli.runs.arrays import Arrays, weights_digest
from rnncli.runs.checkpoints import OPTIMIZER, STATES, WEIGHTS, Checkpoint
from rnncli.runs.directory import RunDir
from rnncli.runs.resume import find_resume_point
from rnncli.runtime.tensorflow_setup import Runtime
from rnncli.runtime.user_code import ModuleSearchPath
from rnncli.training.batches import Batches
from rnncli.training.interruption import Stop, Stopped
from rnncli.training.loop import train
from rnncli.training.optimizer import build_optimizer
from rnncli.training.state_dict import TrainingVariables

MOST_STEPS = 20
"""Of a proof that is not told how many; fewer where they are an epoch and a half."""


def fits(
    config: Config, sizes: Sizes, runtime: Runtime, search_path: ModuleSearchPath
) -> Callable[[Checkpoint], None]:
    """A function that raises InputError if a checkpoint is not of this config."""
    with runtime.strategy.scope():
        model = build_model(config, sizes, runtime.on_gpu, search_path)
        optimizer = build_optimizer(config.training, config.training.epochs, config.runtime.precision)
        optimizer.build(model.network.trainable_variables)
    rows = config.training.batch_size  # of a stateful model, whose batches are all full
    states = model.state_spec.items() if config.stateful else ()
    variables = TrainingVariables(model, optimizer, {name: tf.zeros([rows, *shape]) for name, shape in states}, rows)
    return lambda checkpoint: variables.check(checkpoint.arrays)


@dataclass(frozen=True)
class Proof:
    """What came of training twice.

    Attributes:
        steps: Of both.
        interrupted: The step after which the second was interrupted.
        digests: Of the weights, without and with the interruption.
        equal: Whether weights, optimizer and carried states are, bit for bit.
    """

    steps: int
    interrupted: int
    digests: tuple[str, str]
    equal: bool


def prove(
    config: Config,
    task: Task,
    splits: tuple[Examples, Examples],
    runtime: Runtime,
    search_path: ModuleSearchPath,
    folder: Path,
    steps: int | None = None,
) -> Proof:
    """Train some steps, and the same with an interruption in the middle: checkpoint, everything made anew, the rest.

    Args:
        config: What is trained.
        task: Its task.
        splits: The task's examples.
        runtime: Where to run.
        search_path: Where the class of a custom cell is looked for.
        folder: An empty one, for two runs.
        steps: How many; None is 20, or an epoch and a half if that is less.

    Raises:
        InputError: The training has not so many steps, or too few to be interrupted.
    """
    an_epoch = Batches(config, splits[0], runtime.parts).steps
    whole = an_epoch * config.training.epochs
    steps = min(MOST_STEPS, an_epoch + -(-an_epoch // 2), whole) if steps is None else steps
    if not 2 <= steps <= whole:
        raise InputError(f"the training has {whole} steps; from 2 to {whole} can be interrupted, not {steps}")

    def run(directory: RunDir, until: int) -> None:
        resumed = find_resume_point(directory, config)
        ended = train(
            config, task, splits, directory, runtime, search_path=search_path, resumed=resumed, stop=Stop(until)
        )
        if isinstance(ended, Stopped) and ended.signal is not None:
            sys.exit(ended.exit_status)  # two halves of a proof prove nothing

    one, two = (RunDir.create(folder / name, config) for name in ("whole", "interrupted"))
    run(one, steps)
    run(two, steps // 2)
    run(two, steps)
    ends = [_end(directory) for directory in (one, two)]
    weights = weights_digest(ends[0][WEIGHTS]), weights_digest(ends[1][WEIGHTS])
    same = all(
        weights_digest(ends[0].get(file, {})) == weights_digest(ends[1].get(file, {}))
        for file in (WEIGHTS, OPTIMIZER, STATES)
    )
    return Proof(steps, steps // 2, weights, same)


def _end(directory: RunDir) -> dict[str, Arrays]:
    found, _ = directory.checkpoints.newest_sound()
    assert found is not None, "it was just written"
    return found.arrays
