"""Compare an export, in its own runtime, with the run that it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncli.config.named_objects import import_named
from rnncli.data.examples import Sizes
from rnncli.errors import InputError, install_command
from rnncli.export.formats import EXPORTS, Opener
from rnncli.inference.backends import Request
from rnncli.inference.tensorflow_backend import start
from rnncli.runs.directory import SavedRun
from rnncli.runs.held_out import recorded_examples

SOURCES = 100
"""Sources to compare on."""


@dataclass(frozen=True)
class Comparison:
    """The answers of an export beside those of its run.

    Attributes:
        equal: Number of sources with the same answer.
        total: Number of sources.
        difference: Largest difference of the scores of these.
        kind: The sources, such as "held-out".
        left_out: Why they are not the held-out ones; empty if they are.
    """

    equal: int
    total: int
    difference: float
    kind: str
    left_out: str = ""

    def __str__(self) -> str:
        return (
            f"{self.equal} of {self.total} equal on {self.kind} sources, "
            f"largest score difference {self.difference:.0e}"
        )


def runtime_problem(form: str) -> str:
    """Return why exports in a format cannot be run here, with the remedy; empty if they can."""
    entry = EXPORTS[form]
    if entry.runtime and find_spec(entry.runtime) is None:
        command = install_command(f"rnncli[{entry.extra}]")
        return f"not run: the package {entry.runtime} is not installed ({command})"
    return ""


class Sources(NamedTuple):
    """Sources to compare on.

    Attributes:
        source: As in `Examples.source`.
        lengths: int32 [sources].
        kind: What they are, such as "held-out".
        left_out: As for `Comparison`.
    """

    source: NDArray[Any]
    lengths: NDArray[np.int32]
    kind: str
    left_out: str = ""


def sources_of(saved: SavedRun) -> Sources:
    """Return held-out sources, or where those of training cannot be read again random ones."""
    try:
        examples = recorded_examples(saved)
    except InputError as error:
        return Sources(*random_sources(saved.task.sizes, SOURCES), "random", error.message)
    rows = examples.rows(slice(SOURCES))
    return Sources(rows.source, rows.source_lengths.astype(np.int32), "held-out")


def random_sources(sizes: Sizes, count: int) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Return random sources, padded with zeros, and their lengths."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(sizes.tags + 1, sizes.source_steps + 1, count).astype(np.int32)
    read = np.arange(sizes.source_steps) < lengths[:, None]
    if sizes.features is None:
        ids = rng.integers(0, sizes.second_symbols, read.shape)
        if sizes.first_symbols:
            first = rng.integers(sizes.second_symbols, sizes.source_symbols, (count, sizes.tags))
            first_lengths = rng.integers(1, sizes.tags + 1, (count, 1))
            ids[:, : sizes.tags] = np.where(np.arange(sizes.tags) < first_lengths, first, 0)
        return np.where(read, ids, 0).astype(np.int32), lengths
    numbers = rng.random((*read.shape, sizes.features), np.float32)
    return np.where(read[:, :, None], numbers, 0).astype(np.float32), lengths


def compare_with_run(saved: SavedRun, form: str, path: Path) -> Comparison:
    """Run an export by its own runtime, and compare its answers with those of the run in TensorFlow.

    Args:
        saved: The run.
        form: A key of `EXPORTS`.
        path: The export.

    Raises:
        InputError: The export cannot be run.
    """
    chosen = sources_of(saved)
    opener: Opener = import_named(EXPORTS[form].opener)
    found, scores = opener(saved, path)(chosen.source, chosen.lengths)
    wanted = start(Request(saved)).decoder(chosen.source, chosen.lengths)
    ids = wanted.ids
    padded = np.zeros_like(ids)
    padded[:, : found.shape[1]] = found
    equal = (padded == ids).all(axis=1)
    difference = np.abs(scores - wanted.log_probabilities[:, 0])[equal].max(initial=0)
    return Comparison(int(equal.sum()), len(ids), float(difference), chosen.kind, chosen.left_out)
