"""A first config for files of pairs, with sizes that suit them, and a validation file split off."""

from __future__ import annotations

import json
import math
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rnncli.config import CELLS, Columns, Config, parse_config
from rnncli.config.file_names import relative_to
from rnncli.config.yaml_scalars import scalar
from rnncli.data.inspection import Side, Survey
from rnncli.errors import InputError, explain_os_errors
from rnncli.files import write_atomically
from rnncli.text import shorten

STEPS = 3000
"""Of a training that the draft proposes; more epochs of few pairs, fewer of many."""


@dataclass(frozen=True)
class Limit:
    """Most symbols of a text, and how many texts have more."""

    steps: int
    longer: int


def limit_of(side: Side) -> Limit:
    """A quarter more than the longest; where a few are far longer than the others, these stay out."""
    usual = float(np.percentile(side.lengths, 99.5))
    longest = side.longest if side.longest <= max(64, 4 * usual) else math.ceil(usual)
    steps = -(-math.ceil(1.25 * longest) // 4) * 4
    return Limit(min(steps, 100_000), int((side.lengths > steps).sum()))


def write_draft(path: Path, found: Survey) -> Config:
    """Write a config for files that were looked at; returns it as it is read back."""
    text = draft(path, found)
    config = parse_config(text, str(path), directory=path.parent)
    with explain_os_errors(path, "written", InputError):
        write_atomically(path, text.encode())
    return config


def draft(path: Path, found: Survey) -> str:
    """The text of a config; `path` is where it will stand."""
    pairs = found.counts["train"]
    batch = next(size for most, size in ((500, 16), (3000, 32), (30_000, 64), (math.inf, 128)) if pairs < most)
    epochs = max(5, min(150, math.ceil(STEPS * batch / pairs)))
    steps = epochs * math.ceil(pairs / batch)
    units = 64 if pairs < 500 else 256
    dropout = 0.4 if pairs < 10_000 else 0.2
    return "\n".join(
        [
            *_header(path, found),
            *_task(found, path.parent),
            "",
            "model:",
            "  type: encoder_decoder",
            f"  cell: lstm                # or {', '.join(name for name in CELLS if name != 'lstm')}",
            "  attention: general        # the decoder looks at all that the encoder read",
            "  encoder:",
            f"    units: {units}",
            "    bidirectional: true     # reads from both ends",
            f"    embedding: {_embedding(found.source)}",
            f"    dropout: {dropout}            # against learning by heart: more where there are few pairs",
            "  decoder:",
            f"    units: {units}",
            f"    embedding: {_embedding(found.target)}",
            f"    dropout: {dropout}",
            f"    output_dropout: {dropout}",
            "",
            "training:",
            f"  epochs: {epochs}                # about {steps:,} steps",
            f"  batch_size: {batch}",
            "  optimizer: adam",
            "  learning_rate: 2e-3",
            "  schedule: warmup_cosine",
            f"  warmup_steps: {min(300, steps // 10)}",
            "  clip_norm: 1.0",
            "  label_smoothing: 0.1",
            f"  early_stopping: {{metric: symbol_accuracy, patience: {max(5, epochs // 3)}}}",
            "",
        ]
    )


def _header(path: Path, found: Survey) -> list[str]:
    return [
        "# Written by `rnncli init`; change what you like. Every key stands in the README.",
        "#",
        f"# Data:      {found.counts['train']:,} pairs to train on, {found.counts['validation']:,} to measure on",
        f"# Command:   rnncli train {shorten(shlex.quote(str(path)), 5000)}",
        "# Then:      rnncli predict RUN --input FILE",
        "",
    ]


def _task(found: Survey, directory: Path) -> list[str]:
    source, target = limit_of(found.source), limit_of(found.target)
    columns = found.columns
    lines = [
        "task:",
        "  type: pairs",
        *(f"  {part}: {_yaml(relative_to(directory, name))}" for part, name in found.files.items()),
    ]
    if columns != Columns():
        given = {**columns.named, **({"count": columns.count} if columns.count else {})}
        lines.append(f"  columns: {{{', '.join(f'{name}: {value}' for name, value in given.items())}}}")
    if columns.features is not None:
        lines.append("  features: joined          # as symbols before the source")
    lines.append(f"  tokenize: {{source: {found.source.tokens}, target: {found.target.tokens}}}")
    for side, most, seen in (("source", source, found.source), ("target", target, found.target)):
        lines.append(f"  max_{side}_length: {most.steps:<6} # the longest has {seen.longest:,}")
    if longer := source.longer + target.longer:
        lines.append(f"  too_long: skip            # {longer:,} texts are far longer than the others")
    return lines


def _embedding(side: Side) -> int:
    return 64 if len(side.counts) <= 1000 else 128


def _yaml(text: str) -> str:
    """Text as a YAML scalar."""
    plain = re.fullmatch(r"[\w./][\w./-]*", text) and text.isascii() and isinstance(scalar(text), str)
    return text if plain else json.dumps(text, ensure_ascii=not text.isprintable())
