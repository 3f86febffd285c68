"""The logs of Keras's callbacks, and cutting them back to where a run goes on."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from google.protobuf.message import DecodeError

from rnncli.config import Training
from rnncli.errors import RunFailedError, reason_of
from rnncli.files import temporary_beside
from rnncli.runs.directory import CSV, EVENTS, TENSORBOARD, RunDir
from rnncli.text import shorten

HEADER, FOOTER = 12, 4
"""Bytes of a TFRecord's length with its checksum, and of the checksum behind its data."""


def loggers(config: Training, directory: RunDir) -> list[keras.callbacks.Callback]:
    """The callbacks that write the logs that a config asks for."""
    found: list[keras.callbacks.Callback] = []
    if config.tensorboard:
        found.append(EventLog(directory.path / TENSORBOARD, write_graph=False))
    if config.csv_log:
        found.append(CsvLog(directory.path / CSV, append=True))
    return found


@contextlib.contextmanager
def _explained(path: str, key: str) -> Iterator[None]:
    """Say in one line what is wrong with a log, and which key does without it."""
    try:
        yield
    except (tf.errors.OpError, OSError, ValueError) as error:
        what = shorten(reason_of(error), 200)
        raise RunFailedError(f"{path}: cannot be written: {what}", f"{key}: false does without it") from error


class CsvLog(keras.callbacks.CSVLogger):
    """Keras's log of metrics as CSV."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Open the file, and look whether it has the names of the columns."""
        with _explained(self.filename, "training.csv_log"):
            super().on_train_begin(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write an epoch's metrics."""
        with _explained(self.filename, "training.csv_log"):
            super().on_epoch_end(epoch, logs)


class EventLog(keras.callbacks.TensorBoard):
    """TensorBoard's log, in its files after every epoch; what is wrong with these is said in one line."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Open the files."""
        with _explained(self.log_dir, "training.tensorboard"):
            super().on_train_begin(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write an epoch's metrics, so that a kill loses none that a checkpoint has."""
        with _explained(self.log_dir, "training.tensorboard"):
            super().on_epoch_end(epoch, logs)
            for writer in self._writers.values():
                writer.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Close the files."""
        with _explained(self.log_dir, "training.tensorboard"):
            super().on_train_end(logs)


def cut_events(directory: RunDir, epochs: int) -> None:
    """Leave out of TensorBoard's files, whose steps are epochs from 0, what comes after so many epochs."""
    for path in sorted((directory.path / TENSORBOARD).rglob(EVENTS)):
        if path.is_symlink() or not path.is_file():
            continue  # none of ours
        temporary = temporary_beside(path)
        try:
            with _explained(str(path), "training.tensorboard"):
                _copy_until(path, temporary, epochs)
                temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def _copy_until(path: Path, copy: Path, epochs: int) -> None:
    with tf.io.TFRecordWriter(str(copy)) as writer:
        for record in _records(path):
            try:
                step = tf.compat.v1.Event.FromString(record).step
            except DecodeError:
                break  # the process was killed while it wrote the last
            if step < epochs:
                writer.write(record)


def _records(path: Path) -> Iterator[bytes]:
    """Records of a TFRecord file, as many as are whole: TensorFlow's own reader trusts the lengths in it."""
    left = path.stat().st_size
    with path.open("rb") as file:
        while left >= HEADER + FOOTER:
            (length,) = struct.unpack("<Q", file.read(HEADER)[:8])
            left -= HEADER + length + FOOTER
            if left < 0:
                return
            yield file.read(length)
            file.read(FOOTER)
