"""A first config for files of pairs, with model sizes and training settings that suit their statistics."""

from __future__ import annotations

import json
import math
import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rnncli.config import CELLS, Columns, Config, parse_config
from rnncli.config.file_names import relative_to
from rnncli.config.json_schema import EDITOR_LINE
from rnncli.config.pairs import LARGEST_MAX_FEATURES, USUAL_MAX_FEATURES
from rnncli.config.yaml_scalars import scalar
from rnncli.data.inspection import Side, Survey
from rnncli.data.tables import Reading
from rnncli.errors import InputError, explain_os_errors
from rnncli.files import write_atomically
from rnncli.text import shorten

TRAIN_STEPS = 4500
"""Training steps of the proposed config: more epochs of few pairs, fewer epochs of many."""
TRAIN_STEPS_WITH_FEATURES, MIN_STEPS_WITH_FEATURES = 5376, 96
"""The same for pairs with features, and the steps of an epoch of few pairs, so that measuring takes less time."""


@dataclass(frozen=True)
class LengthLimit:
    """A maximum length, and the number of longer texts."""

    max_length: int
    num_longer: int


def propose_limit(side: Side) -> LengthLimit:
    """Propose a limit 25% above the longest text, ignoring up to 0.5% outliers."""
    usual = float(np.percentile(side.lengths, 99.5))
    longest = side.longest if side.longest <= max(64, 4 * usual) else math.ceil(usual)
    steps = -(-math.ceil(1.25 * longest) // 4) * 4
    return LengthLimit(min(steps, 100_000), int((side.lengths > steps).sum()))


def write_config_template(path: Path, found: Survey) -> Config:
    """Write a config for files with such statistics; return it.

    Raises:
        InputError: The file cannot be written.
    """
    text = config_template(path, found)
    config = parse_config(text, str(path), directory=path.parent)
    with explain_os_errors(path, "written", InputError):
        write_atomically(path, text.encode())
    return config


def config_template(path: Path, found: Survey) -> str:
    """Return the text of a config that will be at `path`."""
    proposed = _propose(found)
    return "\n".join(
        [
            *_header(path, found),
            *_task(found, path.parent),
            "",
            *_model(found, proposed),
            "",
            *_training(proposed),
            "",
        ]
    )


def _encodes_features(found: Survey) -> bool:
    """Return True if an encoder of features is proposed, which reads a limited number of them."""
    return found.columns.features is not None and found.max_features <= LARGEST_MAX_FEATURES


@dataclass(frozen=True)
class Proposal:
    """Sizes and settings that suit some data: those of `configs/g2p.yaml` and `configs/inflection.yaml`.

    Attributes:
        units: Units of a layer.
        dropout: Its dropout.
        batch_size: Pairs of a mini-batch.
        epochs: Number of epochs.
        steps_per_epoch: Steps of an epoch that has its pairs several times; None has them once.
        steps: Steps of all epochs.
        averaged: True if there are steps enough for a moving average of the parameters.
    """

    units: int
    dropout: float
    batch_size: int
    epochs: int
    steps_per_epoch: int | None
    steps: int
    averaged: bool


def _propose(found: Survey) -> Proposal:
    pairs, with_features = found.counts["train"], _encodes_features(found)
    batch = 16 if pairs < 500 and not with_features else 32 if pairs < 30_000 else 128
    steps = math.ceil(pairs / batch)
    repeated = MIN_STEPS_WITH_FEATURES if with_features and steps < MIN_STEPS_WITH_FEATURES else None
    total = TRAIN_STEPS_WITH_FEATURES if with_features else TRAIN_STEPS
    epochs = max(5, min(150, math.ceil(total / (repeated or pairs / batch))))
    averaged = with_features or pairs >= 500
    units = 256 if pairs >= 10_000 and not with_features else 128 if averaged else 64
    dropout = 0.4 if pairs < 10_000 else 0.2
    return Proposal(units, dropout, batch, epochs, repeated, epochs * (repeated or steps), averaged)


def _model(found: Survey, proposed: Proposal) -> list[str]:
    source, target = _embedding(found.source), _embedding(found.target)
    units, dropout = proposed.units, proposed.dropout
    lines = [
        "model:",
        "  type: encoder_decoder",
        f"  cell: lstm                # or {', '.join(name for name in CELLS if name != 'lstm')}",
        "  attention: general        # the decoder attends to all encoder outputs",
    ]
    if _encodes_features(found) and found.copies:
        lines.append("  copy: pointer_generator   # symbols may be copied, also those that training never has")
    lines += [
        "  encoder:",
        f"    units: {units}",
        "    bidirectional: true     # reads in both directions",
        f"    embedding: {source}",
        f"    dropout: {dropout}            # against overfitting: more where there are few pairs",
        "  decoder:",
        f"    units: {units}",
        f"    embedding: {target}",
        f"    dropout: {dropout}",
    ]
    return lines if proposed.averaged else [*lines, f"    output_dropout: {dropout}"]


def _training(proposed: Proposal) -> list[str]:
    averaged = proposed.averaged
    lines = ["training:", f"  epochs: {proposed.epochs:<17} # about {proposed.steps:,} steps"]
    if proposed.steps_per_epoch is not None:
        lines.append(f"  steps_per_epoch: {proposed.steps_per_epoch}")
    lines += [
        f"  batch_size: {proposed.batch_size}",
        "  optimizer: adam",
        f"  learning_rate: {'3.0e-3' if averaged else '2.0e-3'}",
        "  schedule: warmup_cosine",
        f"  warmup_steps: {min(100 if averaged else 300, proposed.steps // 10)}",
        "  clip_norm: 1.0",
        "  label_smoothing: 0.1",
    ]
    if averaged:
        lines.append("  ema: 0.998                # the averaged parameters are measured and kept")
    patience = max(5, proposed.epochs // 3)
    return [*lines, f"  early_stopping: {{metric: symbol_accuracy, patience: {patience}}}"]


def _header(path: Path, found: Survey) -> list[str]:
    return [
        "# Written by `rnncli init`; change it as you like. The documentation lists every key.",
        "#",
        f"# Data:      {found.counts['train']:,} training pairs, {found.counts['validation']:,} held-out pairs",
        f"# Command:   rnncli train {shorten(shlex.quote(str(path)), 5000)}",
        "# Then:      rnncli predict RUN --input FILE",
        EDITOR_LINE,
        "",
    ]


def _task(found: Survey, directory: Path) -> list[str]:
    source, target = propose_limit(found.source), propose_limit(found.target)
    columns = found.columns
    if columns.features is not None and not _encodes_features(found):  # features are symbols of the source
        source = replace(source, max_length=source.max_length + math.ceil(1.25 * found.max_features))
    lines = [
        "task:",
        "  type: pairs",
        *(f"  {part}: {yaml_scalar(relative_to(directory, name))}" for part, name in found.files.items()),
        *_reading(found.reading),
    ]
    if columns != Columns():
        given: dict[str, int | str] = {**columns.named, **({"count": columns.count} if columns.count else {})}
        if columns.feature_separator != ";":
            given["feature_separator"] = yaml_scalar(columns.feature_separator)
        lines.append(f"  columns: {{{', '.join(f'{name}: {value}' for name, value in given.items())}}}")
    if _encodes_features(found):
        lines.append("  features: encoder        # read at every step; joined: as symbols before the source")
        if found.max_features > USUAL_MAX_FEATURES:
            lines.append(f"  max_features: {min(math.ceil(1.25 * found.max_features), LARGEST_MAX_FEATURES)}")
    elif columns.features is not None:
        lines.append("  features: joined         # as symbols before the source")
    lines.append(f"  tokenize: {{source: {found.source.tokens}, target: {found.target.tokens}}}")
    for side, limit, seen in (("source", source, found.source), ("target", target, found.target)):
        lines.append(f"  max_{side}_length: {limit.max_length:<6} # the longest has {seen.longest:,}")
    if longer := source.num_longer + target.num_longer:
        lines.append(f"  too_long: skip            # {longer:,} texts are longer")
    return lines


def _reading(reading: Reading) -> list[str]:
    lines = []
    if reading.format != "tsv":
        lines.append(f"  format: {reading.format}")
    if reading.header != "auto":
        lines.append(f"  header: {str(reading.header).lower():<16} # whether line 1 has the names of the columns")
    if reading.ragged_rows == "skip":
        lines.append("  ragged_rows: skip        # a few lines have another number of columns")
    if reading.empty_target == "allow":
        lines.append("  empty_target: allow      # some pairs have no target: the answer is empty")
    return lines


def _embedding(side: Side) -> int:
    return 64 if len(side.counts) <= 1000 else 128


def yaml_scalar(text: str) -> str:
    """Return text as a YAML scalar."""
    plain = re.fullmatch(r"[\w./][\w./-]*", text) and text.isascii() and isinstance(scalar(text), str)
    return text if plain else json.dumps(text, ensure_ascii=not text.isprintable())
