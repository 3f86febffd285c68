"""Progress of training on stderr: a bar on a terminal, and a line for each epoch."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from typing import Any

import keras
from tqdm import tqdm

from rnncli.config import Config
from rnncli.data.examples import Examples
from rnncli.layers import Recurrent
from rnncli.metrics import METRICS, shown_metrics
from rnncli.metrics.base import Metric
from rnncli.runs.sessions import SessionRecorder
from rnncli.terminal import bar
from rnncli.training.loggers import keras_name

LARGE_LOSS = 1000
"""A loss from this value on is shown with an exponent."""

MAX_LINES = 50
"""Each of this many epochs has a line, however short it is."""

SECONDS_BETWEEN_LINES = 3.0
"""Of more epochs, one has a line so often."""


def progress_of(config: Config, splits: tuple[Examples, Examples]) -> Progress:
    """Return the callback for training with a config on the first of two splits."""
    train, held_out = splits
    metrics = shown_metrics(config.kind, config.best_metric)
    shown = {name: each for name, each in metrics.items() if each.in_progress or name == config.best_metric}
    training, size = config.training, train.epoch_size
    if training.steps_per_epoch is None:
        return Progress(len(train), len(held_out), size, shown, extra=size - len(train))
    return Progress(len(train), len(held_out), training.steps_per_epoch * min(training.batch_size, size), shown)


class Progress(keras.callbacks.Callback):
    """Shows a progress bar and the metrics of epochs.

    Of many short epochs, one has a line every few seconds, and the first and the last one always.

    Args:
        examples: The number of training examples.
        held_out: The number of held-out examples.
        epoch_size: The number of examples that an epoch shows; None is all of them once.
        metrics: The metrics to show, by name; None is all that are measured.
        extra: The number of further examples that each epoch shows, such as short sums again.
    """

    def __init__(
        self,
        examples: int,
        held_out: int,
        epoch_size: int | None = None,
        metrics: Mapping[str, Metric] | None = None,
        extra: int = 0,
    ) -> None:
        super().__init__()
        self.extra = extra
        self.examples, self.held_out, self.epoch_size = examples, held_out, epoch_size or examples
        self.metrics = METRICS if metrics is None else metrics
        self.bar: Any = None
        self.epoch = 0
        self.skipped: str | None = None
        self.shown_at = -math.inf
        self.timed_from: tuple[float, float] | None = None
        """The clock and the steps done when the first call ended; it compiles, which tells nothing of the others."""
        self.last_call, self.measured = 0.0, False
        """The clock when the last call ended, and whether an epoch was measured, which compiles the first time."""

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Show the size of the data and of the model, and the kernel of each recurrent layer."""
        del logs
        shown = f" (an epoch shows {self.examples + self.extra:,})" if self.extra else ""
        sizes = f"{self.examples:,} training examples{shown}, {self.held_out:,} held-out examples"
        tqdm.write(f"{sizes}, {self.model.count_params():,} parameters", file=sys.stderr)
        for layer in self.model.layers:
            if isinstance(layer, Recurrent):
                tqdm.write(f"  {layer.prefix}: {layer.choice.kernel} kernel ({layer.choice.reason})", file=sys.stderr)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Remember the epoch, whose bar begins where its first step is: a resumed run begins inside an epoch."""
        del logs
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Show a bar before the first call of an epoch."""
        del logs
        if self.bar is None:
            if self.timed_from is not None and not self.measured:
                started, steps = self.timed_from
                self.timed_from, self.measured = (started + time.monotonic() - self.last_call, steps), True
            self.bar = bar(
                self.epoch_size,
                f"epoch {self.epoch + 1}/{self.params['epochs']}",
                " examples",
                initial=self._examples_of(batch),
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:,}/{total:,} examples{postfix}",
            )
            if self.timed_from is None:
                self.bar.set_postfix_str("compiling")

    def _examples_of(self, steps: int) -> int:
        """Return the number of examples in the first steps of an epoch."""
        return round(steps * self.epoch_size / self.params["steps"])

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Advance the bar after a call of one or several steps."""
        steps, now = self.epoch * self.params["steps"] + batch + 1, time.monotonic()
        self.last_call = now
        loss, speed = f"loss {(logs or {})['loss']:.4f}", ""
        if self.timed_from is None:
            self.timed_from = now, steps
        elif now > self.timed_from[0]:
            per_second = (steps - self.timed_from[1]) / (now - self.timed_from[0])
            left = duration((self.params["steps"] * self.params["epochs"] - steps) / per_second)
            speed = f"{per_second * self.epoch_size / self.params['steps']:,.0f}/s, {left} left, "
        self.bar.set_postfix_str(speed + loss, refresh=False)
        self.bar.update(self._examples_of(batch + 1) - self.bar.n)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Remove the bar, however training ended, and show the last epoch."""
        del logs
        self._remove_bar()
        if self.skipped is not None:
            self._show(self.skipped)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Replace the bar by a line with the metrics, unless one was shown just now."""
        self._remove_bar()
        values, epochs = logs or {}, self.params["epochs"]
        loss = f"{values['loss']:.4f}" if values["loss"] < LARGE_LOSS else f"{values['loss']:.3g}"
        measured = {keras_name(name): metric for name, metric in self.metrics.items()}
        shown = ((each, values[name]) for name, each in measured.items() if name in values)
        metrics = "".join(f"{each.label} {each.show(value):>7}  " for each, value in shown)
        line = f"epoch {epoch + 1:>{len(str(epochs))}}/{epochs}  loss {loss}  {metrics}{values['seconds']:.1f} s"
        if epochs <= MAX_LINES or epoch + 1 == epochs or time.monotonic() - self.shown_at >= SECONDS_BETWEEN_LINES:
            self._show(line)
        else:
            self.skipped = line

    def _show(self, line: str) -> None:
        tqdm.write(line, file=sys.stderr)
        self.skipped, self.shown_at = None, time.monotonic()

    def _remove_bar(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def duration(seconds: float) -> str:
    """Return a time as minutes and seconds, `1:05`, or as hours, minutes and seconds, `1:01:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class SessionBegin(keras.callbacks.Callback):
    """Records in the manifest that training begins, as soon as that is there.

    Args:
        session: The recorder.
    """

    def __init__(self, session: SessionRecorder) -> None:
        super().__init__()
        self.session = session

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Record it."""
        del logs
        self.session.begin()
