"""The table of tasks, one a module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rnncli.config import Config
from rnncli.data.task import Task
from rnncli.data.tasks.addition import Addition
from rnncli.data.tasks.alphabet import Alphabet
from rnncli.data.tasks.classify import Classify
from rnncli.data.tasks.image_rows import ImageRows
from rnncli.data.tasks.nested import Nested
from rnncli.data.tasks.pairs import Pairs
from rnncli.data.tasks.text import Text
from rnncli.data.vocabulary import Vocabularies

TASKS: dict[str, Callable[[Any, str, Vocabularies | None], Task]] = {
    "addition": Addition,
    "alphabet": Alphabet,
    "classify": Classify,
    "image_rows": ImageRows,
    "nested": Nested,
    "pairs": Pairs,
    "text": Text,
}


def build_task(config: Config, recorded: Vocabularies | None = None) -> Task:
    """The task of a config.

    Args:
        config: The config.
        recorded: The symbols that a trained run recorded; a task whose symbols come from its training data then needs
            no data.

    Raises:
        InputError: Data that it needs cannot be used.
    """
    return TASKS[config.task.type](config.task, config.model.type, recorded)
