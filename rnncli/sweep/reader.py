"""Reads sweeps from files, and from configs with ranges on the command line.

A sweep file:

    config: addition                      # a path from this file's directory, or the name of an example config
    set: {training.epochs: 5}             # keys that are the same in all trials
    space:
      training.learning_rate: {log: [1e-3, 3e-2]}
      model.encoder.units: {range: [32, 256]}
      model.cell: [lstm, gru]
    seeds: [0, 1, 2]
    sampler: tpe
    pruning: asha
    trials: 30
    max_time: 2 hours

Imports no TensorFlow.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rnncli.config import Config
from rnncli.config.file_names import directory_of
from rnncli.config.overrides import set_value
from rnncli.config.shipped import find_config
from rnncli.config.yaml_reader import Document, KeyPath, read_file, read_value, read_yaml, refuse
from rnncli.errors import ConfigError
from rnncli.metrics import metrics_of_training
from rnncli.sweep.pruners import PRUNERS
from rnncli.sweep.samplers import SAMPLERS
from rnncli.sweep.space import Choices, Parameter, read_parameter
from rnncli.sweep.spec import SEED, SweepSpec

MAX_TRIALS = 100_000
DEFAULT_TRIALS = 20
"""Points of `random` and `tpe`, where the sweep does not say how many trials."""

_TIME = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) (second|minute|hour)s?")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600}


@dataclass(frozen=True)
class Given:
    """A value and its place, for messages.

    Attributes:
        value: The value.
        place: `FILE:LINE`, or the option that gave it.
    """

    value: Any
    place: str

    def path(self, key: str) -> KeyPath:
        """Return the path of the key for a message, empty where the place is an option, which names it already."""
        return () if self.place.startswith("--") else (key,)


def read_sweep(path: str, overrides: Sequence[str] = (), options: Mapping[str, Any] | None = None) -> SweepSpec:
    """Read a sweep file, or a config with ranges in overrides.

    Args:
        path: The sweep file, or a config where an override has several values.
        overrides: `KEY=VALUE`, or `KEY=VALUE,VALUE` for several values, or `KEY={log: [a, b]}`.
        options: Keys of a sweep file that options of the command give.

    Raises:
        ConfigError: The file cannot be used; names the line and the key.
    """
    content, name = read_file(path)
    document = read_yaml(content, name)
    given = {key: Given(value, document.places[(key,)]) for key, value in document.data.items()}
    if "space" in given:
        base = _base_of(given, document, path)
    else:
        base, given = (path, document), {}
        document = Document({}, {(): name})
    given |= {key: Given(value, f"--{key.replace('_', '-')}") for key, value in (options or {}).items()}
    return _Reader(document, given, base[0], base[1], overrides).spec()


def _base_of(given: Mapping[str, Given], document: Document, path: str) -> tuple[str, Document]:
    """Return the path and the document of the base config of a sweep file."""
    place = document.places[()]
    if "config" not in given:
        refuse(place, ("config",), "missing; must be the path or the name of a config")
    name, place = given["config"].value, given["config"].place
    if not isinstance(name, str):
        refuse(place, ("config",), "must be the path or the name of a config")
    beside = directory_of(path) / name
    found = str(beside) if beside.is_file() else find_config(name)
    try:
        content, shown = read_file(found if Path(found).exists() else beside)
    except ConfigError as error:
        refuse(place, ("config",), error.message, error.hint)
    return found, read_yaml(content, shown)


class _Reader:
    """Reads the keys of a sweep; `KEYS` says which there are."""

    def __init__(
        self,
        document: Document,
        given: Mapping[str, Given],
        config_path: str,
        base: Document,
        overrides: Sequence[str],
    ) -> None:
        self.document, self.given, self.config_path = document, given, config_path
        self.base = Document(deepcopy(base.data), dict(base.places))
        self.space: dict[str, Parameter] = {}
        self.places: dict[str, str] = {}
        self.overrides = overrides
        self.set_keys: Collection[str] = ()

    def spec(self) -> SweepSpec:
        """Return the sweep.

        Raises:
            ConfigError: Something in it cannot be used.
        """
        for key, each in self.given.items():
            if key not in KEYS:
                close = difflib.get_close_matches(key, KEYS, n=1)
                more = f"did you mean {close[0]}?" if close else f"known here: {', '.join(KEYS)}"
                refuse(each.place, each.path(key), f"unknown key; {more}")
        self._read_set()
        seeds = self._seeds()
        self._read_space()
        for override in self.overrides:
            seeds = self._read_override(override) or seeds
        if not self.space and len(seeds) < 2:
            refuse(self.document.places[()], (), "nothing to choose", "give a key several values: --set KEY=A,B")
        lists = all(isinstance(parameter, Choices) for parameter in self.space.values())
        sampler = self._choice("sampler", SAMPLERS, "grid" if lists and "trials" not in self.given else "tpe")
        if sampler == "grid" and not lists:
            wrong = next(key for key, parameter in self.space.items() if not isinstance(parameter, Choices))
            refuse(self.places[wrong], _path(wrong), "grid needs a list of values", "use sampler: random or tpe")
        whole = math.prod(len(parameter.samples) for parameter in self.space.values()) * len(seeds)
        default = whole if sampler == "grid" else DEFAULT_TRIALS * len(seeds)
        trials = self._number("trials", default, 1, MAX_TRIALS)
        draft = SweepSpec(
            config_path=self.config_path,
            document=self.base,
            space=self.space,
            places=self.places,
            seeds=seeds,
            sampler=sampler,
            pruning=self._choice("pruning", PRUNERS, "none"),
            metric="loss",
            trials=min(trials, whole) if sampler == "grid" else trials,
            max_time=self._time(),
            seed=self._number("seed", 0, 0, 2**31 - 1),
            jobs=self._number("jobs", 1, 1, 1024),
        )
        return replace(draft, metric=self._metric(_checked(draft)))

    def _seeds(self) -> tuple[int, ...]:
        given = self.given.get("seeds")
        if given is None:
            training, path = self.base.data.get("training"), _path(SEED)
            seed = training.get("seed", 0) if isinstance(training, dict) else 0
            if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
                place = self.base.places[self.base.nearest(path)]
                refuse(place, path, f"{seed!r:.40} is not a whole number from 0 to {2**31 - 1}")
            return (seed,)
        if SEED in self.set_keys:
            refuse(self.document.places[("set", SEED)], _path(SEED), "given in seeds too", "remove one of them")
        return _seeds(given.value, given.place, ("seeds",))

    def _read_set(self) -> None:
        given = self.given.get("set", Given({}, ""))
        if not isinstance(given.value, dict):
            refuse(given.place, ("set",), "not a mapping of keys", "write {training.epochs: 5}")
        self.set_keys = given.value.keys()
        for key, value in given.value.items():
            set_value(self.base, key, value, self.document.places[("set", key)])

    def _read_space(self) -> None:
        given = self.given.get("space", Given({}, ""))
        if not isinstance(given.value, dict):
            refuse(given.place, ("space",), "not a mapping of keys", "write {training.learning_rate: {log: [a, b]}}")
        for key, value in given.value.items():
            if key in self.set_keys:
                refuse(self.document.places[("set", key)], _path(key), "given in space too", "remove one of them")
            self._add(key, value, self.document.places[("space", key)])

    def _add(self, key: str, data: Any, place: str) -> None:
        if key == SEED:
            refuse(place, _path(key), "no setting to be tuned", "list the seeds in `seeds`")
        if key in ("task", "task.type", "task.test") or key.startswith("task.test."):
            refuse(place, _path(key), "all trials have one task, and none looks at test data")
        self.space[key], self.places[key] = read_parameter(data, place, _path(key)), place

    def _read_override(self, override: str) -> tuple[int, ...] | None:
        """Add a key of the command line to the space, or set it; returns seeds where it gives these."""
        label = f"--set {override[:60]}"
        key, equals, text = override.partition("=")
        if not equals:
            refuse(label, (), "no = in it", "write KEY=VALUE, or KEY=VALUE,VALUE for several values")
        parts = split_values(text)
        values = [read_value(part, lambda _: label).data for part in parts]
        several = len(values) > 1
        if key == SEED and several:
            return _seeds(values, label, (key,))
        if several or (isinstance(values[0], dict) and values[0].keys() & {"log", "range"}):
            self._add(key, values if several else values[0], label)
        else:
            set_value(self.base, key, values[0], label)
            self.space.pop(key, None)
            return _seeds(values, label, (key,)) if key == SEED else None
        return None

    def _choice(self, key: str, table: Mapping[str, Any], default: str) -> str:
        given = self.given.get(key)
        if given is None:
            return default
        if not isinstance(given.value, str) or given.value not in table:
            refuse(given.place, given.path(key), f"{given.value!r} is not known; must be one of {', '.join(table)}")
        return given.value

    def _number(self, key: str, default: int, smallest: int, largest: int) -> int:
        given = self.given.get(key)
        if given is None:
            return default
        value = given.value
        if isinstance(value, bool) or not isinstance(value, int) or not smallest <= value <= largest:
            refuse(given.place, given.path(key), f"{value!r} is not a whole number from {smallest} to {largest}")
        return value

    def _time(self) -> float | None:
        given = self.given.get("max_time")
        if given is None or given.value is None:
            return None
        found = _TIME.fullmatch(given.value) if isinstance(given.value, str) else None
        if found is None or not float(found[1]):
            refuse(given.place, given.path("max_time"), "must be a time with its unit, such as 90 minutes or 2 hours")
        return float(found[1]) * _SECONDS[found[2]]

    def _metric(self, config: Config) -> str:
        measured = metrics_of_training(config.best_metric, config.kind)
        given = self.given.get("metric", Given(config.best_metric, self.document.places[()]))
        if given.value not in measured:
            hint = "training measures it after every epoch if it is training.early_stopping.metric"
            refuse(given.place, ("metric",), f"{given.value} is none of {', '.join(measured)}", hint)
        return str(given.value)


KEYS: Mapping[str, str] = {
    "config": "base config: a path from the sweep file's directory, or the name of an example config",
    "set": "keys of the config that are the same in all trials, `{training.epochs: 5}`",
    "space": "range of each key: a list of values, `{range: [a, b]}` or `{log: [a, b]}`",
    "seeds": "training seeds; each point is trained with each of them",
    "sampler": "grid, random or tpe; grid takes all combinations of lists",
    "pruning": "none, median or asha: end trials early that are worse than others after as many epochs",
    "metric": "metric on the held-out data whose best value counts; by default the config's",
    "trials": "number of trainings, all seeds together",
    "max_time": "time after which no trial begins, and running ones stop with a checkpoint, such as 2 hours",
    "seed": "seed of the sampler",
    "jobs": "trials at a time; they divide the cores",
}
"""The keys of a sweep file and their meaning."""


def _path(key: str) -> KeyPath:
    return tuple(key.split("."))


def _seeds(value: Any, place: str, path: KeyPath) -> tuple[int, ...]:
    wrong = not isinstance(value, list) or not value or len(set(map(str, value))) < len(value)
    if wrong or any(isinstance(each, bool) or not isinstance(each, int) for each in value):
        refuse(place, path, "not a list of different whole numbers", "write [0, 1, 2]")
    if not all(0 <= each < 2**31 for each in value):
        refuse(place, path, "seeds are from 0 to 2147483647")
    return tuple(value)


def _checked(spec: SweepSpec) -> Config:
    """Check the values of every key, each with the first values of the others, and return the first config.

    Raises:
        ConfigError: A value is not allowed; names its line.
    """
    first = {key: parameter.samples[0] for key, parameter in spec.space.items()}
    config = spec.config(first, spec.seeds[0])
    for key, parameter in spec.space.items():
        for value in parameter.samples[1:]:
            spec.config({**first, key: value}, spec.seeds[0])
    return config


def split_values(text: str) -> list[str]:
    """Return the values of `A,B`: commas in brackets, braces or quotes separate none."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        depth += (character in "[{") - (character in "]}") if not quote else 0
        if character == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return parts
