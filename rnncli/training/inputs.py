"""The inputs of a training run, config and data, read and checked without TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rnncli.cluster.layout import Cluster
from rnncli.config import ClassifierModel, Config, Training, uneven_batches
from rnncli.config.file_names import file_names
from rnncli.data.classes import describe_classes
from rnncli.data.examples import Examples
from rnncli.data.length_checks import describe_far_longer
from rnncli.data.task import ExtendsVocabulary, Task
from rnncli.data.tasks import build_task
from rnncli.data.text_files import describe_large
from rnncli.data.vocabulary import format_vocabularies
from rnncli.errors import InputError, install_command
from rnncli.runs.start_weights import StartWeights
from rnncli.runtime.tensorflow_setup import Runtime, setup_training
from rnncli.runtime.user_code import NO_SEARCH_PATH, ModuleSearchPath, source_file
from rnncli.training.class_weights import class_weights

Report = Callable[[str], None]
"""A function that is given a message of one line."""


def ignore(_message: str) -> None:
    """Drop a message."""


@dataclass(frozen=True)
class TrainingInputs:
    """A config and its data, read and checked without TensorFlow.

    Attributes:
        config: The validated config.
        task: Its task.
        splits: The examples to train on, and the held-out examples.
        search_path: Folders that classes of custom cells and callbacks are imported from.
        start: The weights to start from; None is random ones.
    """

    config: Config
    task: Task
    splits: tuple[Examples, Examples]
    search_path: ModuleSearchPath = NO_SEARCH_PATH
    start: StartWeights | None = None

    @classmethod
    def read(
        cls,
        config: Config,
        search_path: ModuleSearchPath = NO_SEARCH_PATH,
        task: Task | None = None,
        note: Report = ignore,
        *,
        begins: bool = True,
    ) -> TrainingInputs:
        """Read the data of a config.

        Args:
            config: The validated config.
            search_path: Folders that classes of custom cells and callbacks are imported from.
            task: The task, if it is made already.
            note: Is given what is odd about the data.
            begins: False for a run that has a checkpoint, and so needs no weights to start from.

        Raises:
            InputError: The data, the module of a cell or callback, or the weights to start from, cannot be used.
        """
        refuse_missing_packages(config)
        for each in config.training_code:
            source_file(each.module, search_path, each.key)
        if large := describe_large(name for _, name in file_names(config.task)):
            note(large)
        start = _start_of(config) if begins else None
        task = task or build_task(config)
        _extend_vocabulary(task, start, config)
        format_vocabularies(task.source_vocabulary, task.target_vocabulary)  # refuses those that no run can hold
        train, held_out = task.splits()
        rows, count = config.training.batch_size, len(train)
        if config.stateful:  # where only the data knows how many examples there are
            if problem := uneven_batches(rows, count, train.continuing):
                raise InputError(f"training.batch_size: {problem}")
            train = train.whole_batches(rows)
        for message in (*train.notes, *held_out.notes):
            note(message)
        if isinstance(config.model, ClassifierModel):
            class_weights(config, train, task.target_vocabulary)  # refuses weights of unknown labels
            for message in describe_classes(train, task.target_vocabulary):
                note(message)
        if rows > count:
            note(f"training.batch_size: {rows}, but there are {count} training examples: each mini-batch has all")
        costs = describe_far_longer(train, config.task, rows), describe_long_warmup(config.training, train)
        for cost in filter(None, costs):
            note(cost)
        return cls(config, task, (train, held_out), search_path, start)

    def setup_tensorflow(self, cluster: Cluster | None = None) -> Runtime:
        """Import TensorFlow and set it up to train on these examples; see `setup_training`."""
        return setup_training(self.config, self.task.sizes, self.splits[0], cluster)


def describe_long_warmup(training: Training, train: Examples) -> str:
    """Return a note where the learning rate is still warming up when training ends; empty otherwise."""
    steps_of_epoch = training.steps_per_epoch or math.ceil(train.epoch_size / training.batch_size)
    steps = steps_of_epoch * training.epochs
    if training.warmup_steps < steps:
        return ""
    return (
        f"training.warmup_steps: {training.warmup_steps:,}, but training has {steps:,} steps in all, so that the "
        f"learning rate only rises; a tenth, {max(1, steps // 10):,}, is usual"
    )


def _start_of(config: Config) -> StartWeights | None:
    """Return the weights that a config starts from, compared with its model; None starts from random ones."""
    name = config.training.init_from
    return None if name is None else StartWeights.read(Path(name), config)


def _extend_vocabulary(task: Task, start: StartWeights | None, config: Config) -> None:
    """Add the symbols of the run that training starts from, where there is one and the task can take them."""
    if start is None:
        return
    if isinstance(task, ExtendsVocabulary):
        task.extend_vocabulary(start.vocabularies)
    start.check_numbers(config, task.source_vocabulary)


def refuse_missing_packages(config: Config) -> None:
    """Refuse a config that needs a package that is not installed.

    Raises:
        InputError: A package is missing.
    """
    if config.training.tensorboard and find_spec("tensorboard") is None:
        raise InputError(
            "training.tensorboard: the package tensorboard is not installed",
            f"{install_command('tensorboard')}, or training.csv_log: true",
        )
    if (form := config.training.export) is not None:
        from rnncli.export.exporter import require_packages

        require_packages(form)
