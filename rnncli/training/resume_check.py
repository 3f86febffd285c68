"""Checks that a checkpoint fits its config's model, and that interrupted training ends at the same bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rnncli.config import Config
from rnncli.data.examples import Sizes
from rnncli.errors import InputError
from rnncli.runs.arrays import Arrays, weights_digest
from rnncli.runs.checkpoints import OPTIMIZER, STATES, WEIGHTS, Checkpoint
from rnncli.runs.directory import RunDir
from rnncli.runtime.tensorflow_setup import setup_tensorflow
from rnncli.runtime.user_code import ModuleSearchPath
from rnncli.training.inputs import TrainingInputs
from rnncli.training.job import TrainingJob

MAX_DEFAULT_STEPS = 20
"""Training steps of a check that is not told how many."""


def checkpoint_checker(config: Config, sizes: Sizes, search_path: ModuleSearchPath) -> Callable[[Checkpoint], None]:
    """Return a function that raises InputError if a checkpoint does not fit the model of a config.

    The model is built for this machine, in float32, whatever device the config demands.

    Args:
        config: The config of the run.
        sizes: Sizes of its vocabularies and sequences.
        search_path: Folders that the class of a custom cell is imported from.
    """
    here = config.on_device("auto")
    runtime = setup_tensorflow(here.runtime)
    import tensorflow as tf

    from rnncli.models import build_model
    from rnncli.training.moving_average import average_variables
    from rnncli.training.optimizer import build_optimizer
    from rnncli.training.state_dict import TrainingVariables

    with runtime.strategy.scope():
        model = build_model(here, sizes, runtime.on_gpu, search_path)
        optimizer = build_optimizer(config.training, config.training.epochs, config.runtime.precision)
        optimizer.build(model.network.trainable_variables)
        averages = average_variables(model.network.trainable_variables, config.training.ema)
    rows = config.training.batch_size  # of a stateful model, whose mini-batches are all full
    states = model.state_spec.items() if config.stateful else ()
    carried = {name: tf.zeros([rows, *shape]) for name, shape in states}
    variables = TrainingVariables(model, optimizer, carried, rows, averages=averages)

    def check(checkpoint: Checkpoint) -> None:
        optimized = not checkpoint.record.averaged  # an average was not trained, and has no optimizer
        variables.check(checkpoint.arrays, None if optimized else (WEIGHTS, STATES))

    return check


@dataclass(frozen=True)
class ResumeCheck:
    """The result of training twice, once without and once with an interruption.

    Attributes:
        steps: Training steps of both.
        interrupted: The step after which the second was interrupted.
        digests: SHA-256 of the weights, without and with the interruption.
        equal: True if weights, optimizer and carried states are equal bit for bit.
    """

    steps: int
    interrupted: int
    digests: tuple[str, str]
    equal: bool


def check_resume(inputs: TrainingInputs, folder: Path, steps: int | None = None) -> ResumeCheck:
    """Train some steps, and the same with an interruption in the middle: checkpoint, everything made anew, the rest.

    Args:
        inputs: The config and its data.
        folder: An empty directory, for two runs.
        steps: Training steps; None is 20, or an epoch and a half if that is less.

    Raises:
        InputError: The training does not have so many steps, or too few to be interrupted.
        SystemExit: SIGTERM, SIGINT or SIGHUP ended the training.
    """
    inputs = replace(
        inputs, config=inputs.config.without_callbacks()
    )  # which need not hear of runs that are thrown away
    runtime = inputs.setup_tensorflow()
    from rnncli.training.batches import Batches

    epoch = Batches(inputs.config, inputs.splits[0], runtime.shards).steps
    available = epoch * inputs.config.training.epochs
    steps = min(MAX_DEFAULT_STEPS, epoch + -(-epoch // 2), available) if steps is None else steps
    if not 2 <= steps <= available:
        raise InputError(f"--steps {steps}: training has {available} steps; give a number from 2 to {available}")
    whole = _end_of(_train(inputs, folder / "whole", steps))
    _train(inputs, folder / "interrupted", steps // 2)
    interrupted = _end_of(_resume(inputs, folder / "interrupted", steps))
    equal = all(
        weights_digest(whole.get(file, {})) == weights_digest(interrupted.get(file, {}))
        for file in (WEIGHTS, OPTIMIZER, STATES)
    )
    digests = weights_digest(whole[WEIGHTS]), weights_digest(interrupted[WEIGHTS])
    return ResumeCheck(steps, steps // 2, digests, equal)


def _train(inputs: TrainingInputs, path: Path, steps: int) -> RunDir:
    with TrainingJob.new(inputs, path) as job:
        return _run(job, steps)


def _resume(inputs: TrainingInputs, path: Path, steps: int) -> RunDir:
    with TrainingJob.resume_with(inputs, path) as job:
        return _run(job, steps)


def _run(job: TrainingJob, steps: int) -> RunDir:
    from rnncli.training.interruption import Stop, Stopped

    ended = job.run(stop=Stop(steps))
    if isinstance(ended, Stopped) and ended.signal is not None:
        raise SystemExit(ended.exit_status)  # a check that is not finished shows nothing
    return job.directory


def _end_of(directory: RunDir) -> dict[str, Arrays]:
    found, _ = directory.checkpoints.newest_sound()
    assert found is not None, "it was just written"
    return found.arrays
