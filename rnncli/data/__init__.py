"""What a model learns: where examples come from, and how a line of text becomes one and back."""

from __future__ import annotations

from rnncli.data.examples import Examples, Sizes, Steps
from rnncli.data.parsing import check_text, padded_sources, read_examples, read_sources, source_and_target
from rnncli.data.task import CountsUnknown, HasGroups, HasTest, Task, symbols_digest
from rnncli.data.tasks import build_task
from rnncli.data.vocabulary import VOCABULARY, Vocabularies, read_vocabularies

__all__ = [
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
