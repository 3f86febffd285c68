"""The weights that a training starts from, `training.init_from`: read and compared without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rnncli.config import Config, CustomCell, name_of
from rnncli.data.vocabulary import Vocabularies, Vocabulary
from rnncli.errors import InputError, override_words
from rnncli.runs.arrays import Arrays
from rnncli.runs.checkpoints import BEST, LAST, WEIGHTS, CheckpointRecord
from rnncli.runs.directory import RunDir
from rnncli.states.named_arrays import check_floats

FAMILIES = (("encoder_decoder",), ("repeat_vector",), ("next_step", "classifier"))
"""Types of models that name their layers alike."""


@dataclass(frozen=True)
class StartWeights:
    """The weights of another run that a training starts from.

    Attributes:
        path: The other run.
        which: The checkpoint: `best`, or `last` if no epoch had ended.
        config: The config of the other run.
        vocabularies: Its vocabularies.
        weights: Its parameters, by name.
        record: The record of the checkpoint.
    """

    path: Path
    which: str
    config: Config
    vocabularies: Vocabularies
    weights: Arrays
    record: CheckpointRecord

    @classmethod
    def read(cls, path: Path, config: Config) -> StartWeights:
        """Read the weights of a run, and compare its model with the one that is to start from them.

        Args:
            path: The other run.
            config: The config to train.

        Raises:
            RunDirError: There is no run, or it cannot be read.
            InputError: Its weights do not fit the model of the config.
        """
        run = RunDir(path)
        which = BEST if run.checkpoints.pointed(BEST) else LAST
        saved = run.load(which, trust_code=True)  # which allows its code to be imported; nothing here imports it
        for key, there, here in _differences(saved.config, config):
            raise InputError(
                f"training.init_from: {path}: {key} is {there} there and {here} here; its weights do not fit",
                f"train with {override_words(f'{key}={there}')}, or without init_from",
            )
        task = saved.task
        vocabularies = Vocabularies(task.source_vocabulary, task.target_vocabulary)
        check_floats(saved.weights, f"{path}: {WEIGHTS}")
        return cls(path, which, saved.config, vocabularies, saved.weights, saved.checkpoint)

    def check_numbers(self, config: Config, source: Vocabulary) -> None:
        """Refuse a model whose symbols are numbers that would be others with this source vocabulary.

        Raises:
            InputError: `model.symbols` is `number`, and the vocabulary is not the same.
        """
        as_number = getattr(config.model, "symbols", None) == "number"
        if as_number and self.vocabularies.source != source:
            raise InputError(
                f"training.init_from: {self.path}: it has other source symbols, and with model.symbols: number the "
                "number of each symbol depends on all of them",
                "train on the same symbols, or without init_from",
            )


def _differences(there: Config, here: Config) -> Iterator[tuple[str, object, object]]:
    """Yield the config keys that decide the shapes of weights and that differ, with both values."""
    family = next(types for types in FAMILIES if here.model.type in types)
    if there.model.type not in family:
        yield "model.type", there.model.type, here.model.type
    elif name_of(there.model.cell) != name_of(here.model.cell):
        yield "model.cell", _as_yaml(there.model.cell), _as_yaml(here.model.cell)
    else:
        before, after = there.model.stacks_by_key(), here.model.stacks_by_key()
        if before.keys() != after.keys():
            yield "task.texts", getattr(there.task, "texts", 1), getattr(here.task, "texts", 1)
        for key in before.keys() & after.keys():
            for name in ("units", "embedding", "bidirectional", "merge", "symbols"):
                values = [getattr(stacks[key], name, None) for stacks in (before, after)]
                if values[0] != values[1]:
                    yield f"{key}.{name}", _as_yaml(values[0]), _as_yaml(values[1])


def _as_yaml(value: object) -> object:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    if isinstance(value, CustomCell):
        return value.class_
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else value
