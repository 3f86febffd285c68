"""Default names of runs: the config's name, what was overridden, date and time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rnncli.config import Config

MAX_WORDS, MAX_WORD = 60, 24
"""Characters of what was overridden in all, and of one override; the rest is in the run's config."""


def default_name(
    config: Config, config_path: str | None = None, overrides: Sequence[str] = (), now: datetime | None = None
) -> str:
    """Return a name such as `addition-gru-seed1-20261128-224309`.

    Args:
        config: The config.
        config_path: Its file; without one, task and model stand for its name.
        overrides: `KEY.PATH=VALUE`.
        now: The time; None is the present one.
    """
    name = "" if config_path in (None, "-") else _word(Path(str(config_path)).stem)
    told = [each for each in overrides if each.strip().split(".")[0] not in ("runtime", "checkpoint")]
    words = [word for override in told if (word := _override_word(override))]
    kept: list[str] = []
    for word in dict.fromkeys(words):
        if sum(len(each) + 1 for each in kept) + len(word) > MAX_WORDS:
            break
        kept.append(word)
    parts = [name or f"{config.task.type}-{config.model.type}", *kept, f"{now or datetime.now():%Y%m%d-%H%M%S}"]
    return "-".join(parts)


def _override_word(override: str) -> str:
    """Return a word for `KEY.PATH=VALUE`: the value if it says enough, such as `gru`, else with its key: `seed1`."""
    key, _, value = override.partition("=")
    last, value = key.strip().rpartition(".")[2], value.strip().strip("'\"")
    if value.startswith(("{", "[")):
        return _word(last)
    word = _word(Path(value).stem if "/" in value else value)
    says_enough = re.fullmatch(r"[A-Za-z_][\w.-]{2,}", word) and word not in ("true", "false", "null", "auto", "none")
    return word if says_enough else _word(f"{last}{word}")


def _word(text: str) -> str:
    """Return text as part of a file name that needs no quotes in a shell."""
    return re.sub(r"[^\w.]+", "_", text, flags=re.ASCII).strip("_.")[:MAX_WORD]
