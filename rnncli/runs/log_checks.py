"""Checks of the logs of a run, line by line, and of one log against another and against the checkpoints."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rnncli.errors import RunDirError
from rnncli.files import open_plain
from rnncli.runs.checkpoints import CheckpointRecord
from rnncli.runs.directory import MAX_LOG_LINE_BYTES
from rnncli.runs.event_files import whole_records

OLD_ROUNDING = 1e-6
"""Relative difference of a number in a metrics.csv of version 0.1.0, which Keras wrote."""

MAX_LOG_BYTES = 2**26
"""Bytes of a log, which come from anyone: hundreds of thousands of epochs."""

Epochs = list[dict[str, float]]
"""The values of metrics.jsonl, an epoch each."""


class CutError(RunDirError):
    """The end of a log is cut: a process writes it, or was killed while it did."""


def _lines(path: Path, run: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a log with their numbers; none if there is no such file."""
    try:
        file = open_plain(path, run)
    except FileNotFoundError:
        return
    with file:
        if os.fstat(file.fileno()).st_size > MAX_LOG_BYTES:
            raise RunDirError(f"larger than {MAX_LOG_BYTES:,} bytes")
        for number, line in enumerate(iter(lambda: file.readline(MAX_LOG_LINE_BYTES), b""), start=1):
            if not line.endswith(b"\n") and not file.peek(1):
                raise CutError(f"line {number} is cut; `train --resume` repairs it")
            yield number, line


def check_metrics(path: Path, run: Path) -> Epochs:
    """Return the values of metrics.jsonl, after checking that each line is the record of the next epoch.

    Raises:
        RunDirError: A line is not.
        CutError: The last line is cut.
    """
    epochs: Epochs = []
    for number, line in _lines(path, run):
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict) or values.get("epoch") != number:
            raise RunDirError(f"line {number} is not the record of epoch {number}")
        if wrong := [key for key, value in values.items() if not _is_number(value)]:
            raise RunDirError(f"line {number}: {wrong[0]!r:.40} is not a number")
        if not math.isfinite(values.get("loss", math.nan)):
            raise RunDirError(f"line {number}: the loss is missing or not finite")
        if not isinstance(values.get("step"), int) or values["step"] <= (epochs[-1]["step"] if epochs else 0):
            raise RunDirError(f"line {number}: the step is missing, or not after that of the epoch before")
        epochs.append(values)
    return epochs


def _is_number(value: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) < 2**63
    return isinstance(value, float)


def check_against_checkpoints(epochs: Epochs, records: Iterable[CheckpointRecord]) -> None:
    """Check that metrics.jsonl has the values of the epochs that the checkpoints recorded, under a digest.

    Raises:
        RunDirError: It lacks an epoch, or has other values.
    """
    for record in records:
        for values in (record.metrics, record.best):
            epoch = values.get("epoch")
            if isinstance(epoch, int) and epoch > 0 and not _same(values, epochs[epoch - 1 : epoch]):
                raise RunDirError(f"line {epoch} has other values than checkpoint {record.step}")


def _same(values: Mapping[str, float], lines: Epochs) -> bool:
    return json.dumps([values], sort_keys=True) == json.dumps(lines, sort_keys=True)  # NaN is itself


def check_csv(path: Path, run: Path, epochs: Epochs) -> None:
    """Check that metrics.csv has rows of some epochs, in order, with the values of metrics.jsonl.

    It may lack epochs: those of sessions without `training.csv_log`. Files of version 0.1.0 count from 0.

    Raises:
        RunDirError: A row has other values.
        CutError: The last row is cut.
    """
    columns: list[str] = []
    first, before = 1, 0
    for number, line in _lines(path, run):
        cells = _cells(line)
        if number == 1:
            columns, first = cells, 0 if any(name.startswith("val_") for name in cells) else 1
            if "epoch" not in cells:
                raise RunDirError("line 1 names no column epoch")
            continue
        row = dict(zip(columns, cells, strict=False))
        epoch = int(row["epoch"]) + 1 - first if re.fullmatch("[0-9]{1,10}", row.get("epoch", "")) else 0
        if len(cells) != len(columns) or not before < epoch <= len(epochs):
            raise RunDirError(f"line {number} is not the row of an epoch after epoch {before}")
        if wrong := _other_value(row, epochs[epoch - 1], 0.0 if first else OLD_ROUNDING):
            raise RunDirError(f"line {number}: {wrong} is not that of epoch {epoch} in metrics.jsonl")
        before = epoch


def _cells(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode(errors="replace").rstrip("\n")]), [])
    except csv.Error:  # such as a NUL
        return []


def _other_value(row: Mapping[str, str], values: Mapping[str, float], tolerance: float) -> str | None:
    """Return the name of a column whose value differs from that of metrics.jsonl, or None."""
    for column, cell in row.items():
        name = column.removeprefix("val_")
        if name != "epoch" and name in values and str(values[name]) != cell:
            with contextlib.suppress(ValueError):
                if math.isclose(float(cell), values[name], rel_tol=tolerance):
                    continue
            return column
    return None


def check_events(path: Path, run: Path) -> None:
    """Check the checksums of an event file of TensorBoard.

    Raises:
        RunDirError: It is damaged.
        CutError: Its last record is cut.
    """
    with open_plain(path, run) as file:
        size, complete = whole_records(file)
    if not complete:
        raise CutError(f"the record at byte {size:,} is cut; `train --resume` repairs it")
