"""Keys that configs of earlier versions did not have, where their default is not what those versions did."""

from __future__ import annotations

from collections.abc import Mapping

from rnncli.config.base import TaskSection

EARLIER_TASKS: Mapping[str, Mapping[str, object]] = {
    "addition": {"short_sums": "once"},
    "pairs": {"header": False, "feature_brackets": "split"},
    "classify": {"header": False, "normalize": "none"},
    "text": {"normalize": "none"},
}
"""For each type of task the values that a recorded config without these keys was trained with."""


def complete_recorded(data: Mapping[str, object], run: TaskSection | None = None) -> dict[str, object]:
    """Return the data of a run's config, with the values of keys that its version of rnncli did not have.

    Args:
        data: The data of the config.
        run: The task of the run where the config is a user's to resume it with: such keys are then as there.
    """
    task = data.get("task")
    task = {"type": task} if isinstance(task, str) else task
    if not isinstance(task, dict):
        return dict(data)
    earlier = EARLIER_TASKS.get(str(task.get("type")), {})
    if run is not None:
        earlier = {key: getattr(run, key) for key in earlier if hasattr(run, key)}
    return {**data, "task": {**{key: value for key, value in earlier.items() if key not in task}, **task}}
