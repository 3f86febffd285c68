"""Keys that configs of earlier versions did not have, where their default is not what those versions did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EARLIER_TASKS: Mapping[str, Mapping[str, Any]] = {
    "pairs": {"header": False},
    "classify": {"header": False, "normalize": "none"},
}
"""For each type of task the values that a recorded config without these keys was trained with."""


def complete_recorded(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a run's config, with the values of keys that its version of rnncli did not have."""
    task = data.get("task")
    if not isinstance(task, dict):
        return dict(data)
    earlier = EARLIER_TASKS.get(str(task.get("type")), {})
    return {**data, "task": {**{key: value for key, value in earlier.items() if key not in task}, **task}}
