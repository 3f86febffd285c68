"""The logs of Keras's callbacks, and cutting them back to where a run goes on."""

from __future__ import annotations

import keras
import tensorflow as tf

from rnncli.config import Training
from rnncli.files import temporary_beside
from rnncli.rundir import CSV, TENSORBOARD, RunDir


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
            try:
                for record in tf.data.TFRecordDataset(str(path)):
                    if tf.compat.v1.Event.FromString(record.numpy()).step < epochs:
                        writer.write(record.numpy())
            except tf.errors.DataLossError:
                pass  # the process was killed while it wrote the last
        temporary.replace(path)
