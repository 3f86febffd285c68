"""Facts of runs, for tables: what can be known of each without loading its model."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rnncli.config import Config
from rnncli.errors import InputError
from rnncli.files import read_json
from rnncli.metrics import MONITORED, shown_form
from rnncli.metrics.base import Quantity
from rnncli.runs import sessions
from rnncli.runs.checkpoints import BEST
from rnncli.runs.directory import RunDir
from rnncli.runs.find import started
from rnncli.runs.lock import is_locked
from rnncli.runs.metrics_log import read_metrics
from rnncli.runs.sessions import (
    FAILED,
    FINISHED,
    RUNNING,
    STOPPED,
    SessionRecord,
    finite_metrics,
    intervals_of,
    sessions_of,
)
from rnncli.runs.train_state import TrainState
from rnncli.runtime.run_files import MANIFEST
from rnncli.text import shorten

KILLED, UNREADABLE, AVERAGE = "killed", "unreadable", "average"
"""States that no manifest records: a process ended without a word, the run cannot be read, or it was not trained."""

NOT_COMPARED = ("runtime", "checkpoint")
"""Sections of the config that say nothing about the model."""


MAX_DIFFERENCES = 6
"""Config keys that the description of a run has."""


@dataclass(frozen=True)
class RunInfo:
    """Facts of a run; what cannot be known is empty.

    Attributes:
        path: The run directory.
        config: Its config.
        state: running, finished, stopped, killed, failed, average or unreadable.
        reason: Why it failed or is unreadable.
        epoch: Epochs that have ended.
        step: Training steps done, up to the newest checkpoint.
        best: The metrics of the best epoch.
        best_metric: The metric that selects the best epoch.
        intervals: 95% interval of metrics of the best epoch, by name.
        sessions: The times that a process trained it.
        started: The time at which it began, in seconds since 1970.
        manifest: The whole manifest.
        averaged: Steps of the checkpoints that it is the average of.
    """

    path: Path
    config: Config | None = None
    state: str = UNREADABLE
    reason: str = ""
    epoch: int = 0
    step: int = 0
    best: dict[str, float | int] = field(default_factory=dict)
    best_metric: str = ""
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    sessions: Sequence[SessionRecord] = ()
    started: float = 0.0
    manifest: dict[str, Any] = field(default_factory=dict)
    averaged: Sequence[int] = ()

    @property
    def name(self) -> str:
        """The name of the directory."""
        return self.path.name

    @property
    def config_name(self) -> str:
        """The name of the config file; without one, task and model."""
        for session in self.sessions:
            if session.config_path not in (None, "-"):
                return Path(str(session.config_path)).stem
        return "" if self.config is None else f"{self.config.task.type} {self.config.model.type}"

    @property
    def epochs(self) -> int:
        """Epochs of the whole training."""
        return 0 if self.config is None else self.config.training.epochs

    @property
    def seconds(self) -> float | None:
        """Seconds that training took, over all sessions; None if that is not known."""
        times = [each.seconds for each in self.sessions]
        return sum(time for time in times if time is not None) if times and None not in times else None

    @property
    def quantity(self) -> Quantity | None:
        """The metric that selects the best epoch, as people are shown it."""
        known = self.config is not None and self.best_metric in MONITORED
        return shown_form(kind_of(self.config), self.best_metric) if known and self.config else None

    @property
    def shown_metric(self) -> str:
        """The name of the metric that has the same values, and that people are shown: a classifier's accuracy."""
        shown = self.quantity
        return next((name for name, metric in MONITORED.items() if metric is shown), self.best_metric)

    @property
    def best_value(self) -> float | None:
        """The value of that metric at the best epoch."""
        return self.best.get(self.best_metric)

    @cached_property
    def keys(self) -> dict[str, Any]:
        """The values of the config by dotted key."""
        return {} if self.config is None else flat_keys(self.config)

    @property
    def state_text(self) -> str:
        """The state as people read it."""
        if self.state == AVERAGE:
            return shorten(f"average of {', '.join(map(str, self.averaged))}")
        return f"{self.state} at step {self.step}" if self.state in (STOPPED, KILLED) and self.step else self.state

    @property
    def epochs_text(self) -> str:
        """The epochs that have ended, of how many; empty where nothing was trained, or it is not known."""
        return "" if self.config is None or self.state == AVERAGE else f"{self.epoch} of {self.epochs}"


def kind_of(config: Config) -> str:
    """Return the kind of model that metrics tell apart."""
    return config.kind


def flat_keys(config: Config) -> dict[str, Any]:
    """Return the values of a config by dotted key, such as `model.encoder.units`; types are by their section."""
    found: dict[str, Any] = {}

    def collect(value: Any, key: str) -> None:
        if isinstance(value, dict) and value:
            for name, inner in value.items():
                collect(inner, f"{key}.{name}" if key else str(name))
        else:
            found[key.removesuffix(".type")] = value

    collect(config.model_dump(mode="json", by_alias=True), "")
    return found


def describe_run(path: Path) -> RunInfo:
    """Return the facts of a run; what is wrong with it is a fact too.

    Runs of version 0.1.0 have no sessions: their state follows from the newest checkpoint.
    """
    run, manifest, begin = RunDir(path), dict[str, Any](), started(path)
    with contextlib.suppress(InputError):
        manifest = read_json(path / MANIFEST, path)
    try:
        config, epochs = run.read_config(), read_metrics(run)
    except InputError as error:
        return RunInfo(path, reason=error.message, started=begin, manifest=manifest)
    newest = _newest_state(run)
    metric = newest.monitored(config.training) if newest else config.best_metric
    best = _best(run, manifest, epochs, metric)
    state = _state(path, manifest, newest, config)
    return RunInfo(
        path=path,
        config=config,
        state=state,
        reason=str(manifest.get(sessions.REASON, "")) if state == FAILED else "",
        epoch=len(epochs),
        step=newest.step if newest else 0,
        best=best,
        best_metric=metric,
        intervals=intervals_of(best, manifest),
        sessions=sessions_of(manifest),
        started=begin,
        manifest=manifest,
        averaged=newest.averaged if newest else (),
    )


def _newest_state(run: RunDir) -> TrainState | None:
    with contextlib.suppress(InputError):
        return run.newest_state()
    return None


def _best(run: RunDir, manifest: dict[str, Any], epochs: Sequence[dict[str, float]], metric: str) -> dict[str, Any]:
    """Return the metrics of the best epoch: as the best checkpoint has them, else the best of the log."""
    with contextlib.suppress(InputError):
        record = run.checkpoints.read_record(BEST)
        if metrics := finite_metrics(record.metrics):
            return metrics
    if metrics := finite_metrics(manifest.get(sessions.BEST)):
        return metrics
    measured = [values for values in epochs if metric in values]
    if not measured or metric not in MONITORED:
        return {}
    sign = 1 if MONITORED[metric].higher_is_better else -1
    return max(measured, key=lambda values: sign * values[metric])


def _state(path: Path, manifest: dict[str, Any], state: TrainState | None, config: Config) -> str:
    recorded = manifest.get(sessions.STATE)
    if is_locked(path):
        return RUNNING
    if state is not None and state.averaged:
        return AVERAGE
    if state is not None and state.finished(config.training):
        return FINISHED
    if recorded == RUNNING:
        return KILLED
    return str(recorded) if recorded in (STOPPED, FAILED, FINISHED) else STOPPED


def differing_keys(infos: Iterable[RunInfo]) -> dict[str, list[Any]]:
    """Return the config keys in which runs differ, each with the value of every run; None where a run has it not.

    Sections that say nothing about the model are left out, and files that have another name only.
    """
    known = [info.keys for info in infos]
    names = list(dict.fromkeys(name for keys in known for name in keys))
    found = {}
    for name in names:
        values = [keys.get(name) for keys in known]
        if name.split(".")[0] not in NOT_COMPARED and any(value != values[0] for value in values):
            found[name] = values
    return found


def describe_differences(infos: Sequence[RunInfo]) -> list[str]:
    """Return, for each run, what differs from others of the same config, such as `cell=gru seed=1`."""
    texts = [""] * len(infos)
    groups: dict[str, list[int]] = {}
    for number, info in enumerate(infos):
        if info.config is not None:
            groups.setdefault(info.config_name, []).append(number)
    for numbers in groups.values():
        differing = differing_keys([infos[number] for number in numbers])
        names = short_names(list(differing))
        for place, number in enumerate(numbers):
            values = [(names[key], each[place]) for key, each in differing.items() if each[place] is not None]
            shown = [f"{name}={show_value(value)}" for name, value in values[:MAX_DIFFERENCES]]
            more = [f"and {len(values) - MAX_DIFFERENCES} more"] if len(values) > MAX_DIFFERENCES else []
            texts[number] = " ".join([*shown, *more])
    return texts


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return each key's shortest end that no other key has: `units`, or `encoder.units` beside `decoder.units`."""
    parts = {key: key.split(".") for key in keys}

    def ends(key: str, size: int) -> str:
        return ".".join(parts[key][-size:])

    names = {}
    for key in keys:
        sizes = range(1, len(parts[key]) + 1)
        names[key] = next((ends(key, n) for n in sizes if sum(ends(o, n) == ends(key, n) for o in keys) == 1), key)
    return names


def show_value(value: Any) -> str:
    """Return a value of a config as people read it, on one line; of a path the name."""
    if isinstance(value, str):
        return shorten(value.rpartition("/")[2] or value, 40)
    return shorten(json.dumps(value, ensure_ascii=False), 40)
