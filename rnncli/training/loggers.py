"""Logs for other tools: CSV and TensorBoard."""

from __future__ import annotations

import contextlib
import csv
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rnncli.config import Config, dump_config
from rnncli.errors import RunFailedError, reason_of
from rnncli.metrics import METRICS
from rnncli.text import shorten

Event, Summary, SessionLog = tf.compat.v1.Event, tf.compat.v1.Summary, tf.compat.v1.SessionLog

EVENT_FILE_VERSION = "brain.Event:2"
"""The version that TensorBoard wants to read in the first event of each file."""


@contextlib.contextmanager
def _explain_log_errors(path: str | Path, key: str) -> Iterator[None]:
    """Explain an error of a log in one line, and name the config key that switches the log off."""
    try:
        yield
    except (tf.errors.OpError, OSError, ValueError) as error:
        reason = shorten(reason_of(error), 200)
        raise RunFailedError(f"{path}: cannot be written: {reason}", f"{key}: false does without it") from error


def keras_logs(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of an epoch under the names of Keras callbacks, such as val_loss."""
    return {keras_name(name): value for name, value in values.items() if name != "epoch"}


def keras_name(name: str) -> str:
    """Return the name that Keras gives a value: metrics of held-out examples begin with `val_`."""
    return f"val_{name.removeprefix('validation_')}" if name in METRICS else name


class CsvLog:
    """Writes the lines of metrics.jsonl as CSV, under the same names.

    A file of version 0.1.0, which a resumed run may have, goes on as it began: epochs from 0, and `val_` before the
    names of metrics.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.columns = path, list[str]()
        with (
            _explain_log_errors(path, "training.csv_log"),
            contextlib.suppress(FileNotFoundError),
            path.open(encoding="utf-8", newline="") as file,
        ):
            self.columns = next(csv.reader(file), [])

    def append(self, values: Mapping[str, Any]) -> None:
        """Add the values of an epoch.

        Raises:
            RunFailedError: The file cannot be written.
        """
        if any(column.startswith("val_") for column in self.columns):
            old = {f"val_{name}" if name in METRICS else name: value for name, value in values.items()}
            values = {**old, "epoch": values["epoch"] - 1}
        with (
            _explain_log_errors(self.path, "training.csv_log"),
            self.path.open("a", encoding="utf-8", newline="") as file,
        ):
            writer = csv.DictWriter(file, self.columns or list(values), extrasaction="ignore", lineterminator="\n")
            if not self.columns:
                self.columns = list(values)
                writer.writeheader()
            writer.writerow(values)


class TensorBoardLog(keras.callbacks.Callback):
    """Writes the metrics of each epoch as TensorBoard scalars, with the tags of `keras.callbacks.TensorBoard`.

    Steps are epochs, counted from 0. Each session of training writes files of its own, which begin with a
    `SessionLog.START` event: TensorBoard then discards what an earlier session logged for this epoch or later ones,
    so that a resumed run shows each epoch once. The config stands there as text and as hyperparameters (HParams).

    Args:
        directory: The log directory. Metrics that begin with `val_` go into its folder `validation`, others into
            `train`, and the losses within epochs, whose steps are steps of training, into `steps`.
        log_every: Steps of training between these; None writes none.
        config: The config.
        samples: Returns samples of predictions as Markdown, which are written for each epoch; empty is none.
        histograms: True to write histograms of the weights.
    """

    def __init__(
        self,
        directory: Path,
        log_every: int | None = None,
        config: Config | None = None,
        samples: Callable[[], str] = str,
        histograms: bool = False,
    ) -> None:
        super().__init__()
        self.directory, self.log_every, self.config = directory, log_every, config
        self.samples, self.histograms = samples, histograms
        self.writers: dict[str, tf.io.TFRecordWriter] = {}
        self.epoch = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Open the files before the first epoch."""
        del logs
        self.epoch = epoch
        if not self.writers:
            with self._explained():
                self.writers = {name: _open_events(self.directory / name, epoch) for name in ("train", "validation")}
                if self.config is not None:
                    self.writers["."] = _open_events(self.directory, epoch)
                    for summary in _config_summaries(self.config, self.directory.parent.name):
                        self._write(".", epoch, summary)

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Open the file of losses within epochs before the first step."""
        del logs
        if self.log_every is not None and "steps" not in self.writers:
            with self._explained():
                self.writers["steps"] = _open_events(self.directory / "steps", self._step_after(batch))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the mean loss of the last steps where it is due."""
        step = self._step_after(batch)
        if self.log_every is not None and step % self.log_every == 0 and logs:
            with self._explained():
                self._write("steps", step, Summary(value=[_scalar("batch_loss", logs["loss"])]))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the metrics of an epoch to the disk, so that a kill loses none that a checkpoint has."""
        values: dict[str, dict[str, float]] = {"train": {}, "validation": {}}
        for name, value in (logs or {}).items():
            values["validation" if name.startswith("val_") else "train"][name.removeprefix("val_")] = value
        samples = self.samples()
        with self._explained():
            for name, scalars in values.items():
                self._write(
                    name, epoch, Summary(value=[_scalar(f"epoch_{key}", each) for key, each in scalars.items()])
                )
            if samples:
                self._write("validation", epoch, _text("samples", samples))
            for variable in self.model.weights if self.histograms else ():
                self._write("train", epoch, _histogram(variable.path, np.asarray(variable.numpy(), np.float64)))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Close the files."""
        del logs
        with self._explained():
            for writer in self.writers.values():
                writer.close()

    def _explained(self) -> contextlib.AbstractContextManager[None]:
        return _explain_log_errors(self.directory, "training.tensorboard")

    def _step_after(self, batch: int) -> int:
        """Return the number of training steps after a batch of the epoch."""
        return int(self.epoch * self.params["steps"] + batch + 1)

    def _write(self, folder: str, step: int, summary: Any) -> None:
        _write(self.writers[folder], Event(step=step, summary=summary))
        self.writers[folder].flush()


def _config_summaries(config: Config, name: str) -> list[Any]:
    """Return the config of a run as text, and its values as hyperparameters."""
    from tensorboard.plugins.hparams import api

    values = dict(_leaves(config.model_dump(mode="json", by_alias=True)))
    of_plugin = api.hparams_pb(values, trial_id=name)
    return [_text("config", "\n".join(f"    {line}" for line in dump_config(config).splitlines())), _ours(of_plugin)]


def _leaves(values: object, above: str = "") -> Iterator[tuple[str, bool | float | str]]:
    """Yield the values of a config that are no lists, by their keys with dots."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _leaves(value, f"{above}.{key}" if above else str(key))
    elif isinstance(values, bool | int | float | str):
        yield above, values


def _text(tag: str, text: str) -> Any:
    from tensorboard.plugins.text.summary_v2 import text_pb

    return _ours(text_pb(tag, text))


def _histogram(tag: str, values: NDArray[np.float64]) -> Any:
    from tensorboard.plugins.histogram.summary_v2 import histogram_pb

    return _ours(histogram_pb(tag, values))


def _ours(summary: Any) -> Any:
    """Return a summary of TensorBoard's classes as one of TensorFlow's, which are others of the same format."""
    return Summary.FromString(summary.SerializeToString())


def _open_events(folder: Path, epoch: int) -> tf.io.TFRecordWriter:
    """Open a new event file, which TensorBoard reads after the files that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.iterdir()))
    writer = tf.io.TFRecordWriter(str(folder / f"events.out.tfevents.{int(time.time()):010d}.{number:04d}"))
    _write(writer, Event(file_version=EVENT_FILE_VERSION))
    for _ in range(2):  # TensorBoard ignores the first one of all: files of version 0.1.0 have none
        _write(writer, Event(step=epoch, session_log=SessionLog(status=SessionLog.START)))
    writer.flush()
    return writer


def _write(writer: tf.io.TFRecordWriter, event: Any) -> None:
    event.wall_time = time.time()
    writer.write(event.SerializeToString())


def _scalar(tag: str, value: float) -> Any:
    plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    metadata = tf.compat.v1.SummaryMetadata(plugin_data=plugin, data_class="DATA_CLASS_SCALAR")
    return Summary.Value(tag=tag, metadata=metadata, tensor=tf.make_tensor_proto(value, tf.float32))
