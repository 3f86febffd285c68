"""A first config for files of pairs, with sizes that suit them, and a validation file split off."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Columns, Config, Files, parse_config
from rnncli.config.scalars import scalar
from rnncli.errors import InputError
from rnncli.files import write_atomically
from rnncli.survey import Side, Survey
from rnncli.tasks.files import matching_files, read_text
from rnncli.tasks.pair_files import read_pairs
from rnncli.tasks.symbols import normalizer

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
    config = parse_config(text, str(path))
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
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
            *_task(found),
            "",
            "model:",
            "  type: encoder_decoder",
            "  cell: lstm                # or gru, simple_rnn",
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
        f"# Command:   rnncli train {_one_line(shlex.quote(str(path)))}",
        "# Then:      rnncli predict RUN --input FILE",
        "",
    ]


def _task(found: Survey) -> list[str]:
    source, target = limit_of(found.source), limit_of(found.target)
    columns = found.columns
    lines = ["task:", "  type: pairs", *(f"  {part}: {_yaml(name)}" for part, name in found.files.items())]
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


def _one_line(text: str) -> str:
    return text if text.isprintable() else json.dumps(text)


def split_paths(path: str) -> tuple[Path, Path]:
    """Where the two parts of a file go that is split: `words.tsv` to `words.train.tsv` and `words.validation.tsv`.

    Raises:
        InputError: The path is a glob of several files.
    """
    if len(found := matching_files(path)) > 1:
        raise InputError(f"{path}: {len(found)} files cannot be split", "give one file, or --validation")
    file = Path(found[0].removesuffix(".gz"))
    return file.with_name(f"{file.stem}.train{file.suffix}"), file.with_name(f"{file.stem}.validation{file.suffix}")


def split_off(path: str, columns: Columns, share: float, seed: int = 0) -> tuple[Path, Path]:
    """Write the lines of a file into two, all lines of one source into the same.

    Args:
        path: The file.
        columns: What stands where in its lines.
        share: Of the sources that the second file gets, drawn at random, at least one.
        seed: The same seed draws the same.

    Returns:
        The two files.

    Raises:
        InputError: The file cannot be used, or there is nothing to split.
    """
    pairs = read_pairs(Files(file=path), columns, normalizer("nfc"))
    sources = list(dict.fromkeys(pair.source for pair in pairs))
    if len(sources) < 2:
        raise InputError(f"{path}: has one source; there is nothing to split")
    count = min(max(1, round(share * len(sources))), len(sources) - 1)
    drawn: NDArray[np.int64] = np.random.default_rng(seed).permutation(len(sources))[:count]
    held_out = {sources[number] for number in drawn.tolist()}
    lines = read_text(matching_files(path)[0]).split("\n")
    parts = split_paths(path)
    for part, wanted in zip(parts, (False, True), strict=True):
        _write_lines(part, [lines[pair.line - 1] for pair in pairs if (pair.source in held_out) == wanted])
    return parts


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    try:
        write_atomically(path, "".join(f"{line}\n" for line in lines).encode())
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
