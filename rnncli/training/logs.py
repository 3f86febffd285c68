"""The logs of Keras's callbacks, and cutting them back to where a run goes on."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf
from google.protobuf.message import DecodeError

from rnncli.config import Training
from rnncli.files import temporary_beside
from rnncli.rundir import CSV, TENSORBOARD, RunDir

HEADER, FOOTER = 12, 4
"""Bytes of a TFRecord's length with its checksum, and of the checksum behind its data."""


def loggers(config: Training, directory: RunDir) -> list[keras.callbacks.Callback]:
    """The callbacks that write the logs that a config asks for."""
    found: list[keras.callbacks.Callback] = []
    if config.csv_log:
        found.append(keras.callbacks.CSVLogger(directory.path / CSV, append=True))
    if config.tensorboard:
        found.append(keras.callbacks.TensorBoard(directory.path / TENSORBOARD, write_graph=False))
    return found


def cut_events(directory: RunDir, epochs: int) -> None:
    """Leave out of TensorBoard's files, whose steps are epochs from 0, what comes after so many epochs."""
    for path in sorted((directory.path / TENSORBOARD).rglob("events.out.tfevents.*")):
        if path.is_symlink() or not path.is_file():
            continue  # none of ours
        temporary = temporary_beside(path)
        with tf.io.TFRecordWriter(str(temporary)) as writer:
            for record in _records(path):
                try:
                    step = tf.compat.v1.Event.FromString(record).step
                except DecodeError:
                    break  # the process was killed while it wrote the last
                if step < epochs:
                    writer.write(record)
        temporary.replace(path)


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
