"""What a model learns: where examples come from, and how a line of text becomes one and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rnncli.config import Config
from rnncli.tasks.addition import Addition
from rnncli.tasks.alphabet import Alphabet
from rnncli.tasks.base import (
    VOCABULARY,
    CountsUnknown,
    Examples,
    HasGroups,
    HasTest,
    Sizes,
    Steps,
    Task,
    Vocabularies,
    read_vocabularies,
    symbols_digest,
)
from rnncli.tasks.classify import Classify
from rnncli.tasks.image_rows import ImageRows
from rnncli.tasks.nested import Nested
from rnncli.tasks.pairs import Pairs
from rnncli.tasks.reading import check_text, padded_sources, read_examples, read_sources, source_and_target
from rnncli.tasks.text import Text

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


__all__ = [
    "TASKS",
    "VOCABULARY",
    "CountsUnknown",
    "Examples",
    "HasGroups",
    "HasTest",
    "Sizes",
    "Steps",
    "Task",
    "Vocabularies",
    "build_task",
    "check_text",
    "padded_sources",
    "read_examples",
    "read_sources",
    "read_vocabularies",
    "source_and_target",
    "symbols_digest",
]
