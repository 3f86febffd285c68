"""The metrics of each epoch, as training writes them to metrics.jsonl."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from typing import Any

from rnncli.errors import RunDirError, explain_os_errors
from rnncli.files import open_plain
from rnncli.runs.directory import MAX_LOG_LINE_BYTES, RunDir
from rnncli.runtime.run_files import METRICS

MAX_EPOCHS = 1_000_000

HELD_OUT_LOSS = "validation_loss"
LOSSES = (HELD_OUT_LOSS, "train_loss", "loss")
"""Losses of an epoch: on held-out data; on training data, at its end; and the mean of its steps."""


def losses_of(known: Collection[str]) -> list[str]:
    """Return the losses that share a chart: the first two, of those that are known."""
    return [name for name in LOSSES if name in known][:2]


def read_metrics(run: RunDir) -> list[dict[str, float]]:
    """Return the numbers of each epoch, in order; a last line that is still being written is left out.

    Raises:
        RunDirError: The file cannot be read, or a line is not the record of a later epoch than the one before, or too
            long, or there are too many.
    """
    path, epochs = run.path / METRICS, list[dict[str, float]]()
    with explain_os_errors(path, "read", RunDirError):
        try:
            file = open_plain(path, run.path)
        except FileNotFoundError:
            return []
        with file:
            before = 0.0
            while line := file.readline(MAX_LOG_LINE_BYTES):
                place = f"{path}, line {len(epochs) + 1}"
                if not line.endswith(b"\n") and len(line) < MAX_LOG_LINE_BYTES:
                    break
                if not line.endswith(b"\n") or len(epochs) == MAX_EPOCHS:
                    raise RunDirError(
                        f"{place}: longer than {MAX_LOG_LINE_BYTES:,} bytes, or after {MAX_EPOCHS:,} epochs"
                    )
                epochs.append(numbers_of(line, place))
                if epochs[-1]["epoch"] <= before:
                    raise RunDirError(f"{place}: not the record of an epoch after epoch {before:g}")
                before = epochs[-1]["epoch"]
    return epochs


def numbers_of(line: bytes, place: str) -> dict[str, float]:
    """Return the finite numbers of a line of metrics.

    Raises:
        RunDirError: It is not a JSON object with the number of an epoch.
    """
    try:
        values: Any = json.loads(line)
        numbers = {
            str(name): value
            for name, value in values.items()
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        }
    except (ValueError, AttributeError, RecursionError, OverflowError) as error:
        raise RunDirError(f"{place}: not the record of an epoch") from error
    if "epoch" not in numbers:
        raise RunDirError(f"{place}: not the record of an epoch")
    return numbers
