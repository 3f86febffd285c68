"""Progress of training on stderr: a bar on a terminal, and a line for each epoch."""

from __future__ import annotations

import sys
from shutil import get_terminal_size
from typing import Any

import keras
from tqdm import tqdm

from rnncli.layers import Recurrent
from rnncli.metrics import METRICS

LARGE_LOSS = 1000
"""A loss from this value on is shown with an exponent."""


def bar(total: float, desc: str, unit: str, shown: bool = True, **options: Any) -> Any:
    """Return a progress bar on stderr that disappears at the end; nothing is shown unless stderr is a terminal."""
    columns, lines = get_terminal_size()  # 80 x 24 for a terminal of unknown size, where tqdm would show nothing
    return tqdm(
        total=total,
        desc=desc,
        unit=unit,
        leave=False,
        disable=not (shown and sys.stderr.isatty()),
        file=sys.stderr,
        ncols=columns,
        nrows=lines,
        **options,
    )


class Progress(keras.callbacks.Callback):
    """Shows a progress bar and the metrics of each epoch.

    Args:
        examples: The number of training examples.
        held_out: The number of held-out examples.
    """

    def __init__(self, examples: int, held_out: int) -> None:
        super().__init__()
        self.examples, self.held_out = examples, held_out
        self.bar: Any = None
        self.batch_examples = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Show the size of the data and of the model, and the kernel of each recurrent layer."""
        del logs
        parameters = self.model.count_params()
        tqdm.write(
            f"{self.examples:,} training examples, {self.held_out:,} held-out examples, {parameters:,} parameters",
            file=sys.stderr,
        )
        for layer in self.model.layers:
            if isinstance(layer, Recurrent):
                tqdm.write(f"  {layer.prefix}: {layer.choice.kernel} kernel ({layer.choice.reason})", file=sys.stderr)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Show an empty bar."""
        del logs
        self.batch_examples = self.examples / self.params["steps"]
        first = self.bar is None
        self.bar = bar(self.examples, f"epoch {epoch + 1}/{self.params['epochs']}", " examples", unit_scale=True)
        if first:
            self.bar.set_postfix_str("compiling")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Advance the bar after a call of one or several steps."""
        self.bar.set_postfix_str(f"loss {(logs or {})['loss']:.4f}", refresh=False)
        self.bar.update(round((batch + 1) * self.batch_examples) - self.bar.n)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Remove the bar, however training ended."""
        del logs
        if self.bar is not None:
            self.bar.close()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Replace the bar by a line with the metrics."""
        self.bar.close()
        values = logs or {}
        loss = f"{values['loss']:.4f}" if values["loss"] < LARGE_LOSS else f"{values['loss']:.3g}"
        width = len(str(self.params["epochs"]))
        measured = {name: metric for name, metric in METRICS.items() if f"val_{name}" in values}
        metrics = "".join(f"{each.label} {each.show(values[f'val_{n}']):>7}  " for n, each in measured.items())
        tqdm.write(
            f"epoch {epoch + 1:>{width}}/{self.params['epochs']}  loss {loss}  {metrics}{values['seconds']:.1f} s",
            file=sys.stderr,
        )
