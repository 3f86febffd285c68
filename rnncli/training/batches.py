"""Division of the training examples into mini-batches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Config, Training
from rnncli.data.examples import Examples
from rnncli.data.length_bucketing import (
    Buckets,
    bucketed_order,
    epoch_order,
    make_buckets,
    stateful_order,
    steps_per_epoch,
)
from rnncli.models import NetworkModel
from rnncli.runtime.tensorflow_setup import Runtime
from rnncli.training.optimizer import build_optimizer
from rnncli.training.scheduled_sampling import sampling_probability
from rnncli.training.step import TrainStep

MAX_AUTO_BUCKETS = 4
"""The maximum number of length buckets where the config does not say."""

MAX_PADDED_SHARE = 0.8
"""Buckets are used unasked if they leave at most this share of the time steps to compute."""

MIN_SAVED_STEPS = 1_000_000
"""Buckets are used unasked if they save this many time steps of single examples in the whole training.

Each bucket costs a compilation, and batches of similar length train a little worse.
"""


class Batches:
    """The mini-batches of each epoch.

    Attributes:
        examples: The training examples that an epoch shows.
        rows: The mini-batch size; at most the number of examples.
        padding: The number of padding rows that make the shards of all micro-batches equal.
        pass_steps: The number of steps of a pass over the examples.
        steps: The number of steps of an epoch, mostly the same.
        buckets: The length buckets; None if there are none.

    Args:
        config: The validated config.
        examples: The training examples.
        shards: The number of shards of a micro-batch.
        min_saved_steps: See `MIN_SAVED_STEPS`.
    """

    def __init__(
        self, config: Config, examples: Examples, shards: int, *, min_saved_steps: int = MIN_SAVED_STEPS
    ) -> None:
        self.config = config
        self.examples = examples = examples.of_epoch()
        self.rows = min(config.training.batch_size, len(examples))
        self.padding = -self.rows % (shards * config.runtime.micro_batches)
        self.pass_steps = steps_per_epoch(len(examples), self.rows)
        self.steps = config.training.steps_per_epoch or self.pass_steps
        self.buckets = None
        if not config.stateful:
            self.buckets = _choose_buckets(examples, config.training, config.is_autoregressive, min_saved_steps)
        self._compiled: set[int] = set()

    @property
    def epoch_size(self) -> int:
        """The number of examples that an epoch shows."""
        return len(self.examples) if self.steps == self.pass_steps else self.steps * self.rows

    def order(self, epoch: int) -> NDArray[np.int32]:
        """Return the row numbers of an epoch's examples, int32 [steps, rows + padding]; -1 is padding."""
        first, last = epoch * self.steps, (epoch + 1) * self.steps - 1
        passes = range(first // self.pass_steps, last // self.pass_steps + 1)
        rows = np.concatenate([self._order_of_pass(number) for number in passes])
        return rows[first - passes[0] * self.pass_steps :][: self.steps]

    def _order_of_pass(self, epoch: int) -> NDArray[np.int32]:
        count = len(self.examples)
        if self.config.stateful:
            order = stateful_order(count, self.rows, self.examples.continuing)
        elif self.buckets is not None:
            order, _ = bucketed_order(self.buckets, self.rows, self.config.training.seed, epoch)
        else:
            order = epoch_order(count, self.rows, self.config.training.seed, epoch)
        return np.pad(order, ((0, 0), (0, self.padding)), constant_values=-1)

    def compiles(self, rows: NDArray[np.int32]) -> bool:
        """Return True if a batch, of int32 [batches, rows], has a shape that no earlier call of this method had."""
        shapes = {0}
        if self.buckets is not None:
            shapes = set(np.where(rows >= 0, self.buckets.bucket[rows], 0).max(axis=1).tolist())
        new = shapes - self._compiled
        self._compiled |= shapes
        return bool(new)


def _choose_buckets(examples: Examples, config: Training, trim_targets: bool, min_saved_steps: int) -> Buckets | None:
    """Return the length buckets that the config asks for, or that save much; None if there are none.

    Args:
        examples: The training examples.
        config: The `training` section.
        trim_targets: Whether targets are trimmed too, as for autoregressive models.
        min_saved_steps: See `MIN_SAVED_STEPS`.
    """
    target_steps = examples.target.shape[1]
    target_lengths = examples.target_lengths if trim_targets else np.full(len(examples), target_steps)
    buckets = make_buckets(examples.source_lengths, target_lengths, config.buckets or MAX_AUTO_BUCKETS)
    padded = int(buckets.shapes[buckets.bucket].sum())
    unbucketed = len(examples) * (examples.source.shape[1] + target_steps)
    saves_much = padded <= MAX_PADDED_SHARE * unbucketed and (unbucketed - padded) * config.epochs >= min_saved_steps
    return buckets if len(buckets.shapes) > 1 and (saves_much or config.buckets is not None) else None


def build_step(
    config: Config,
    batches: Batches,
    model: NetworkModel,
    runtime: Runtime,
    class_weights: NDArray[np.float32] | None = None,
    **options: int,
) -> TrainStep:
    """Return the training step of a config, with its optimizer; the other arguments are those of `TrainStep`."""
    training = config.training
    with runtime.strategy.scope():
        optimizer = build_optimizer(training, batches.steps * training.epochs, config.runtime.precision)
        return TrainStep(
            model,
            optimizer,
            batches.examples,
            runtime,
            training.seed,
            batches.rows + batches.padding,
            stateful=config.stateful,
            label_smoothing=training.label_smoothing,
            class_weights=class_weights,
            buckets=batches.buckets,
            micro_batches=config.runtime.micro_batches,
            ema=training.ema,
            sampling=sampling_probability(training, batches.steps),
            **options,
        )
