"""What a person sees while training: a bar on a terminal, one line an epoch."""

from __future__ import annotations

import sys
from shutil import get_terminal_size
from typing import Any

import keras
from tqdm import tqdm

from rnncli.layers import Recurrent
from rnncli.metrics import METRICS

LARGE_LOSS = 1000
"""From here on a loss is written with an exponent."""


def bar(total: float, desc: str, unit: str, shown: bool = True, **options: Any) -> Any:
    """A bar on stderr that goes away; in a pipe, or where it is not to be shown, nothing."""
    columns, lines = get_terminal_size()  # 80 x 24 of a terminal that says 0 x 0, where tqdm shows nothing
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
    """Writes to stderr; the bar is shown on a terminal only.

    Args:
        examples: Trained on in an epoch.
        held_out: Measured on after it.
    """

    def __init__(self, examples: int, held_out: int) -> None:
        super().__init__()
        self.examples, self.held_out = examples, held_out
        self.bar: Any = None
        self.batch_examples = 0.0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Say what is trained, and by which kernels."""
        del logs
        weights = self.model.count_params()
        tqdm.write(
            f"{self.examples:,} examples to train on, {self.held_out:,} to measure on; {weights:,} weights",
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
        """Move the bar, after a call of one step or several."""
        self.bar.set_postfix_str(f"loss {(logs or {})['loss']:.4f}", refresh=False)
        self.bar.update(round((batch + 1) * self.batch_examples) - self.bar.n)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Take the bar away, wherever training ended."""
        del logs
        if self.bar is not None:
            self.bar.close()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Replace the bar by a line."""
        self.bar.close()
        values = logs or {}
        loss = f"{values['loss']:.4f}" if values["loss"] < LARGE_LOSS else f"{values['loss']:.3g}"
        wide = len(str(self.params["epochs"]))
        measured = {name: metric for name, metric in METRICS.items() if f"val_{name}" in values}
        metrics = "".join(f"{each.label} {each.show(values[f'val_{n}']):>7}  " for n, each in measured.items())
        tqdm.write(
            f"epoch {epoch + 1:>{wide}}/{self.params['epochs']}  loss {loss}  {metrics}{values['seconds']:.1f} s",
            file=sys.stderr,
        )
