"""Config keys that may change when training resumes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from rnncli.config.file_names import absolute_file_names
from rnncli.config.schedules import SCHEDULES
from rnncli.config.schema import Config
from rnncli.errors import ConfigError, command_line
from rnncli.text import shorten

EPOCHS, INIT_FROM = "training.epochs", "training.init_from"
SCHEDULE = (EPOCHS, "training.schedule", "training.warmup_steps")
"""Keys that the learning rate of every step follows from."""
MAY_DIFFER = (
    EPOCHS,
    "training.callbacks",
    "training.csv_log",
    "training.histograms",
    "training.log_every",
    "training.max_time",
    "training.train_metrics",
    "training.tensorboard",
    "training.export",
    "checkpoint.*",
    "runtime.device",
    "runtime.kernel",
    "runtime.cores",
    "runtime.micro_batches",
    "runtime.workers",
    "runtime.worker_timeout",
    "task.train",
    "task.validation",
    "task.test",
    "task.path",
    "task.vocabulary",
    "task.format",
    "task.header",
    "task.ragged_rows",
    "task.data",
    "task.cache_limit",
)
"""Keys that do not change the training so far.

Those of `runtime` change its rounding from here on; data files may move as long as their digest stays.
"""

_MAY_DIFFER = re.compile("|".join(re.escape(key).replace(r"\.\*", "") + r"(\..*)?" for key in MAY_DIFFER))


def describe_differences(old: Config, new: Config) -> dict[str, str]:
    """Return the keys whose values differ, each with a description that has both values."""
    before, after = (absolute_file_names(config).model_dump(by_alias=True) for config in (old, new))
    return {key: f"{key} was {_shown(was)} and is now {_shown(now)}" for key, was, now in _differences(before, after)}


def refuse_differences(old: Config, new: Config, run: str) -> None:
    """Check that a run can resume with a config.

    Args:
        old: The config of the run.
        new: The config to resume with.
        run: The name of the run, for the message.

    Raises:
        ConfigError: Keys differ that must not; lists them with both values.
    """
    wrong = [each for key, each in describe_differences(old, new).items() if not _may_differ(key, old, new)]
    if wrong:
        about_schedule = all(each.partition(" ")[0] in SCHEDULE for each in wrong)
        hint = _more_epochs(new, run, spans) if about_schedule and (spans := _spanning(old)) else _HINT
        raise ConfigError(f"{run}: cannot resume with another config: {'; '.join(wrong)}", hint)


def _spanning(config: Config) -> str | None:
    """Return what ends with the last epoch, so that there cannot be more epochs later; None if nothing does."""
    if SCHEDULES[config.training.schedule].spans_training:
        return "learning rate schedule"
    sampling = config.training.scheduled_sampling
    ramps = sampling is not None and sampling.probability > 0 and sampling.ramp_epochs is None
    return "scheduled sampling" if ramps else None


def _more_epochs(config: Config, run: str, spans: str) -> str:
    """Return how to train a run further of which something spans the epochs that it began with."""
    epochs = f"training.epochs={config.training.epochs}"
    trust = ["--trust-code"] if config.training_code else []
    command = command_line("train", f"{run}/config.yaml", "--set", f"{INIT_FROM}={run}", "--set", epochs, *trust)
    return f"its {spans} spans its epochs; train a new run from its weights: {command}"


_HINT = f"train a new run, or keep these values; keys that can change: {', '.join(MAY_DIFFER)}"
_ABSENT = object()


def _may_differ(key: str, old: Config, new: Config) -> bool:
    if key == "training.early_stopping.metric" and _metric(old) == "exact_match" and _metric(new) is None:
        return True  # version 0.1.0 recorded its default; a run goes on with the metric that it began with
    if key == EPOCHS and any(_spanning(each) for each in (old, new)):
        return False
    if key == INIT_FROM:  # the weights were taken when training began; the run that had them may have moved
        return None not in (old.training.init_from, new.training.init_from)
    return _MAY_DIFFER.fullmatch(key) is not None


def _metric(config: Config) -> str | None:
    stopping = config.training.early_stopping
    return None if stopping is None else stopping.metric


def _differences(old: object, new: object, key: str = "") -> Iterator[tuple[str, object, object]]:
    """Yield every key whose values differ, with both values."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            yield from _differences(old.get(name, _ABSENT), new.get(name, _ABSENT), f"{key}.{name}" if key else name)
    elif old != new:
        yield key, old, new


def _shown(value: object) -> str:
    return "absent" if value is _ABSENT else shorten(json.dumps(value, ensure_ascii=False))
