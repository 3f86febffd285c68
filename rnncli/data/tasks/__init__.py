"""Tasks, one a file; `rnncli.config.tasks` has the table."""

from __future__ import annotations

from rnncli.config import Config
from rnncli.config.named_objects import import_named
from rnncli.config.tasks import TASKS
from rnncli.data.task import CopiesSource, Task
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
    task: Task = import_named(TASKS[config.task.type].classes[config.model.type])(config.task, recorded)
    if config.model.copies_source and isinstance(task, CopiesSource):
        task.copy_source()
    return task
