"""A first config for a language model of a text, with sizes and training settings that suit its length."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from rnncli.config import Config, TextTask, parse_config
from rnncli.config.file_names import relative_to
from rnncli.data.config_template import yaml_scalar
from rnncli.data.tasks.text import Text
from rnncli.errors import InputError, explain_os_errors
from rnncli.files import write_atomically
from rnncli.text import shorten

TRAIN_STEPS = 3000
"""Training steps of the proposed config: more epochs of a short text, fewer of a long one."""
MAX_SHOWN = 12


class TextSizes(NamedTuple):
    """Settings for texts of a length.

    Attributes:
        symbols: The length that they are for at most.
        units: State size.
        batch: Mini-batch size.
        window: Symbols of a window.
        dropout: Dropout rate.
    """

    symbols: float
    units: int
    batch: int
    window: int
    dropout: float


SIZES = (
    TextSizes(20_000, 96, 8, 32, 0.3),
    TextSizes(200_000, 192, 16, 64, 0.3),
    TextSizes(2_000_000, 256, 32, 64, 0.2),
    TextSizes(math.inf, 512, 64, 64, 0.1),
)


@dataclass(frozen=True)
class TextSurvey:
    """Statistics of a text.

    Attributes:
        task: The section of the config.
        symbols: Symbols of the training text.
        held_out: Symbols of the held-out text.
        counts: Frequency of each symbol of the training text.
        sizes: The settings that suit it.
    """

    task: TextTask
    symbols: int
    held_out: int
    counts: Counter[str]
    sizes: TextSizes

    def __str__(self) -> str:
        often = ", ".join(repr(symbol) for symbol, _ in self.counts.most_common(MAX_SHOWN))
        more = ", ..." if len(self.counts) > MAX_SHOWN else ""
        return (
            f"{self.symbols:,} {self.task.tokenize} to train on, {self.held_out:,} held out\n"
            f"{len(self.counts):,} different ones: {often}{more}"
        )


def survey_text(task: TextTask) -> TextSurvey:
    """Read a text, and choose what suits it.

    Raises:
        InputError: The text cannot be read, or is too short.
    """
    train, held_out = Text(task.model_copy(update={"data": "memory"})).texts()
    sizes = next(each for each in SIZES if len(train) <= each.symbols)
    for name, symbols, needed in (("train", train, sizes.batch), ("validation", held_out, 1)):
        if len(symbols) <= needed * sizes.window:
            raise InputError(
                f"{task.train}: {len(symbols):,} symbols are too few for task.{name}",
                "give a longer text, or more of it with --split",
            )
    return TextSurvey(task, len(train), len(held_out), Counter(train), sizes)


def write_text_template(path: Path, found: TextSurvey) -> Config:
    """Write a config for a text; return it.

    Raises:
        InputError: The file cannot be written.
    """
    text = text_template(path, found)
    config = parse_config(text, str(path), directory=path.parent)
    with explain_os_errors(path, "written", InputError):
        write_atomically(path, text.encode())
    return config


def text_template(path: Path, found: TextSurvey) -> str:
    """Return the text of a config that will be at `path`."""
    task, sizes = found.task, found.sizes
    words = task.tokenize == "words"
    held_out = f"split: {task.split}" if task.validation is None else f"validation: {_name(path, task.validation)}"
    return "\n".join(
        [
            "# Written by `rnncli init`; change it as you like. The documentation lists every key.",
            "#",
            f"# Data:      {found.symbols:,} {task.tokenize} to train on, {found.held_out:,} held out",
            f"# Command:   rnncli train {shorten(shlex.quote(str(path)), 5000)}",
            '# Then:      rnncli generate RUN --prime "..." --length 500 --temperature 0.7',
            "",
            "task:",
            "  type: text",
            f"  train: {_name(path, task.train or '')}",
            f"  {held_out}",
            f"  tokenize: {task.tokenize:<16} # or characters, bytes, graphemes, words",
            *(["  min_frequency: 2          # rarer words are the unknown symbol"] if words else []),
            f"  window: {sizes.window:<18} # symbols that gradients go back through",
            "",
            "model:",
            "  type: next_step",
            "  cell: lstm",
            f"  units: {sizes.units}",
            *(["  embedding: 128"] if words or len(found.counts) > 1000 else []),
            f"  dropout: {sizes.dropout:<17} # against overfitting: more where there is little text",
            "  stateful: true            # each window goes on from the one before it",
            "",
            *_training(found),
            "",
        ]
    )


def _training(found: TextSurvey) -> list[str]:
    steps_of_epoch = max(1, (found.symbols - 1) // found.sizes.window // found.sizes.batch)
    epochs = max(3, min(50, math.ceil(TRAIN_STEPS / steps_of_epoch)))
    return [
        "training:",
        f"  epochs: {epochs:<18} # about {epochs * steps_of_epoch:,} steps",
        f"  batch_size: {found.sizes.batch}",
        "  optimizer: adam",
        "  learning_rate: 4.0e-3",
        "  schedule: warmup_cosine",
        f"  warmup_steps: {min(100, epochs * steps_of_epoch // 10)}",
        "  clip_norm: 1.0",
        "  early_stopping: {metric: validation_loss, patience: 3}",
    ]


def _name(path: Path, name: str) -> str:
    return yaml_scalar(relative_to(path.parent, name))
