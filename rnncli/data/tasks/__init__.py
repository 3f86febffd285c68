"""Tasks, one a file; `rnncli.config.tasks` has the table."""

from __future__ import annotations

from importlib import import_module

from rnncli.config import Config
from rnncli.config.tasks import TASKS
from rnncli.data.task import Task
from rnncli.data.vocabulary import Vocabularies


def build_task(config: Config, recorded: Vocabularies | None = None) -> Task:
    """Return the task of a config.

    Args:
        config: The config.
        recorded: The vocabularies that a trained run recorded; a task whose vocabularies come from its training data
            then needs no data.

    Raises:
        InputError: Data that it needs cannot be used.
    """
    module, _, name = TASKS[config.task.type].classes[config.model.type].partition(":")
    task: Task = getattr(import_module(module), name)(config.task, recorded)
    return task
