"""What may differ between the config that a run was trained with and the one that it goes on with."""

from __future__ import annotations

import json
import re
from typing import Any

from rnncli.config.loading import cut
from rnncli.config.schema import Config
from rnncli.errors import ConfigError

EPOCHS = "training.epochs"
MAY_DIFFER = (
    EPOCHS,
    "training.csv_log",
    "training.tensorboard",
    "checkpoint.*",
    "runtime.device",
    "runtime.kernel",
    "runtime.cores",
    "task.train",
    "task.validation",
    "task.test",
    "task.path",
    "task.vocabulary",
)
"""Keys that change no bit of what was trained; those of `runtime` change rounding, and where the data lies does not
matter as long as its digest is the same."""

_MAY_DIFFER = re.compile("|".join(re.escape(key).replace(r"\.\*", "") + r"(\..*)?" for key in MAY_DIFFER))


def refuse_differences(old: Config, new: Config, run: str) -> None:
    """Check that a run may go on with a config.

    Args:
        old: The config that it was trained with.
        new: The config that it shall go on with.
        run: The run, for the message.

    Raises:
        ConfigError: Keys differ that may not; names them all, with both values.
    """
    before, after = _flat(old.model_dump(by_alias=True)), _flat(new.model_dump(by_alias=True))
    wrong = [
        f"{key} is {_shown(before, key)} there and {_shown(after, key)} now"
        for key in dict.fromkeys([*before, *after])
        if before.get(key, _ABSENT) != after.get(key, _ABSENT) and not _may_differ(key, old, new)
    ]
    if wrong:
        why = ""
        if EPOCHS in "".join(wrong):
            why = f"; {EPOCHS} may differ where training.schedule is constant: a cosine spans all epochs"
        raise ConfigError(f"{run}: cannot go on with another config: {'; '.join(wrong)}", f"{_HINT}{why}")


_HINT = f"train a new run, or leave these as they are; what may differ: {', '.join(MAY_DIFFER)}"
_ABSENT = object()


def _may_differ(key: str, old: Config, new: Config) -> bool:
    if key == EPOCHS and {old.training.schedule, new.training.schedule} != {"constant"}:
        return False
    return _MAY_DIFFER.fullmatch(key) is not None


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every key with all that leads to it, and its value."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _shown(values: dict[str, Any], key: str) -> str:
    return cut(json.dumps(values[key], ensure_ascii=False)) if key in values else "absent"
