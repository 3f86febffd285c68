"""Splitting a file of pairs into a training and a held-out file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rnncli.config import Columns, Files
from rnncli.data.cache import changed
from rnncli.data.pair_files import PairTexts
from rnncli.data.tables import Format, Reading, read_rows
from rnncli.data.text_files import matching_files, read_lines
from rnncli.errors import InputError, explain_os_errors
from rnncli.files import write_together


def split_paths(path: str, form: Format = "tsv") -> tuple[Path, Path]:
    """Return the two files that a file is split into: `words.tsv` to `words.train.tsv` and `words.validation.tsv`.

    Args:
        path: The file.
        form: Its format; CSV is split into tab-separated files.

    Raises:
        InputError: The path is a glob of several files.
    """
    if len(found := matching_files(path)) > 1:
        raise InputError(f"{path}: {len(found)} files cannot be split", "give one file, or --validation")
    file = Path(found[0].removesuffix(".gz"))
    if form == "csv":
        file = file.with_suffix(".tsv")
    return file.with_name(f"{file.stem}.train{file.suffix}"), file.with_name(f"{file.stem}.validation{file.suffix}")


def split_file(
    path: str, columns: Columns, fraction: float, reading: Reading, seed: int = 0
) -> tuple[Path, Path, Sequence[str]]:
    """Write the lines of a file into a training and a held-out file, all lines of one source into the same.

    The two files are tab-separated and have no header line. Features do not count: all forms of a lemma go into the
    same file.

    Args:
        path: The file.
        columns: The columns of its lines.
        fraction: Fraction of the distinct sources that the held-out file gets, at least one, drawn at random.
        reading: The way to read the file.
        seed: Seed of the drawing.

    Returns:
        The two files, and messages for the user on lines that were left out.

    Raises:
        InputError: The file cannot be used, or has one source only.
    """
    name = matching_files(path)[0]
    before = _version(name)
    read = PairTexts(Files(file=path), columns, "nfc", reading)
    sources = len(read.sources.numbers)
    if sources < 2:
        raise InputError(f"{path}: has one source only; there is nothing to split")
    count = min(max(1, round(fraction * sources)), sources - 1)
    held_out = np.zeros(sources, bool)
    held_out[np.random.default_rng(seed).permutation(sources)[:count]] = True
    train, validation = split_paths(path, reading.format)
    parts = {train: bytearray(), validation: bytearray()}
    pairs = zip(read.lines, held_out[read.sources.rows].tolist(), strict=True)
    line, held = next(pairs)
    for row in read_rows(read_lines(name), path, reading, columns).rows:
        if row.number == line:  # others are no pairs
            parts[validation if held else train] += f"{row.line}\n".encode()
            line, held = next(pairs, (0, False))
    if _version(name) != before:
        raise changed()
    with explain_os_errors(train, "written", inside=True):
        write_together(parts)
    return train, validation, read.notes


def _version(name: str) -> tuple[int, ...]:
    """Return what another content of a file has otherwise."""
    found = Path(name).stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
