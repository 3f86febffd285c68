"""What a model learns: where examples come from, and how a line of text becomes one and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rnncli.config import Config
from rnncli.tasks.addition import Addition
from rnncli.tasks.alphabet import Alphabet
from rnncli.tasks.base import Examples, Sizes, Task, read_examples

TASKS: dict[str, Callable[[Any, str], Task]] = {"addition": Addition, "alphabet": Alphabet}


def build_task(config: Config) -> Task:
    """The task of a config."""
    return TASKS[config.task.type](config.task, config.model.type)


__all__ = ["TASKS", "Examples", "Sizes", "Task", "build_task", "read_examples"]
