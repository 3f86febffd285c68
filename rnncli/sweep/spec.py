"""A sweep: a base config, the ranges of some of its keys, seeds, and the way points are chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from rnncli.config import Config
from rnncli.config.error_messages import explain
from rnncli.config.file_names import absolute_file_names, directory_of, file_names, resolve_file_names
from rnncli.config.overrides import set_value
from rnncli.config.yaml_reader import Document
from rnncli.config.yaml_scalars import write_yaml
from rnncli.metrics import MONITORED
from rnncli.sweep.space import Choices, Parameter

SEED = "training.seed"
"""The key that `seeds` gives values to; it is no setting to be tuned."""


@dataclass(frozen=True)
class SweepSpec:
    """A sweep, checked.

    Attributes:
        config_path: The base config.
        document: The base config as it was read, with the keys that are the same in all trials.
        space: The range of each key.
        places: The place of each of these keys, for messages.
        seeds: The values of `training.seed` that each point is trained with.
        sampler: The name of the sampler.
        pruning: The name of the pruner.
        metric: The metric that is optimized: its best value in a trial counts.
        trials: Number of trainings.
        max_time: Seconds that a process works on the sweep; None is no limit.
        seed: The seed of the sampler.
        jobs: Trials at a time on this machine.
    """

    config_path: str
    document: Document
    space: Mapping[str, Parameter]
    places: Mapping[str, str]
    seeds: tuple[int, ...]
    sampler: str
    pruning: str
    metric: str
    trials: int
    max_time: float | None
    seed: int
    jobs: int

    @property
    def higher_is_better(self) -> bool:
        """True if larger values of the metric are better."""
        return MONITORED[self.metric].higher_is_better

    def config(self, settings: Mapping[str, Any], seed: int, *, test: bool = False) -> Config:
        """Return the config of a trial.

        Args:
            settings: The value of each key of the space.
            seed: The training seed.
            test: Whether it may name test data, which trials must not read.

        Raises:
            ConfigError: The settings do not fit together; names the place of a key of the space.
        """
        document = Document(deepcopy(self.document.data), dict(self.document.places))
        for key, value in {**settings, SEED: seed}.items():
            set_value(document, key, value, self.places.get(key, f"seed {seed}"))
        task = document.data.get("task")
        if not test and isinstance(task, dict):
            task.pop("test", None)
        try:
            config = Config.model_validate(document.data)
        except ValidationError as error:
            raise explain(error, document) from error
        return resolve_file_names(config, document, directory_of(self.config_path))

    def overrides(self, config: Config) -> list[str]:
        """Return `KEY=VALUE` for each key of the space and the seed, as a trial's config has them."""
        data = config.model_dump(by_alias=True)
        return [f"{key}={json.dumps(_value_at(data, key))}" for key in (*self.space, SEED)]

    def base_text(self) -> str:
        """Return the base config as YAML, with its task's defaults and absolute file names."""
        first = {key: parameter.samples[0] for key, parameter in self.space.items()}
        config = absolute_file_names(self.config(first, self.seeds[0], test=True))
        return write_yaml({**self.document.data, "task": config.task.model_dump(by_alias=True)})

    def _absolute(self, key: str, parameter: Parameter) -> Parameter:
        """Return the range of a key whose file names, which start from the config's directory, are absolute."""
        if not isinstance(parameter, Choices):
            return parameter
        first, path, values = {name: each.samples[0] for name, each in self.space.items()}, tuple(key.split(".")), []
        for value in parameter.values:
            config = absolute_file_names(self.config({**first, key: value}, self.seeds[0]))
            if any(name[: len(path)] == path for name, _ in file_names(config)):
                value = _value_at(config.model_dump(by_alias=True), key)
            values.append(value)
        return Choices(tuple(values))

    def text(self, config_name: str) -> str:
        """Return the sweep as the text of a sweep file, with all defaults and absolute file names.

        Args:
            config_name: The file name of its base config.
        """
        return write_yaml(
            {
                "config": config_name,
                "space": {key: self._absolute(key, parameter).data() for key, parameter in self.space.items()},
                "seeds": list(self.seeds),
                "sampler": self.sampler,
                "pruning": self.pruning,
                "metric": self.metric,
                "trials": self.trials,
                "max_time": None if self.max_time is None else _shown_time(self.max_time),
                "seed": self.seed,
                "jobs": self.jobs,
            }
        )


def _shown_time(seconds: float) -> str:
    """Return a time as a sweep file has it."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + " seconds"


def _value_at(data: Any, key: str) -> Any:
    for name in key.split("."):
        data = data[name]
    return data
