"""Which examples are trained on together, and the step that does it."""

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
from rnncli.training.step import TrainStep

MOST, WORTH, COMPILING = 4, 0.8, 1_000_000
"""Unless the config wants buckets, there are so many at most, and they are used where they leave at most this share
of the steps to compute, and save so many steps of single examples in the whole training: each costs a compilation,
and from batches of like length a little less is learned."""


class Batches:
    """Which examples are trained on together.

    Attributes:
        examples: All of them.
        rows: Of a batch.
        padding: Places without an example that fill a batch up, so that its parts are equal.
        steps: Of an epoch.
        buckets: Where examples of similar length are trained on together: to which lengths they are padded.
    """

    def __init__(self, config: Config, examples: Examples, parts: int) -> None:
        self.config, self.examples = config, examples
        self.rows = min(config.training.batch_size, len(examples))
        self.padding = -self.rows % parts
        self.steps = steps_per_epoch(len(examples), self.rows)
        self.buckets = None if config.stateful else _buckets(examples, config.training, config.is_autoregressive)
        self._compiled: set[int] = set()

    def order(self, epoch: int) -> NDArray[np.int32]:
        """Numbers of an epoch's examples, int32 [steps, rows + padding]; -1 is no example."""
        count = len(self.examples)
        if self.config.stateful:
            order = stateful_order(count, self.rows, self.examples.continuing)
        elif self.buckets is not None:
            order, _ = bucketed_order(self.buckets, self.rows, self.config.training.seed, epoch)
        else:
            order = epoch_order(count, self.rows, self.config.training.seed, epoch)
        return np.pad(order, ((0, 0), (0, self.padding)), constant_values=-1)

    def compiles(self, rows: NDArray[np.int32]) -> bool:
        """Whether one of these batches, int32 [batches, rows], is the first of its shape that this is asked about."""
        shapes = (
            {0}
            if self.buckets is None
            else set(np.where(rows >= 0, self.buckets.bucket[rows], 0).max(axis=1).tolist())
        )
        new = shapes - self._compiled
        self._compiled |= shapes
        return bool(new)


def _buckets(examples: Examples, config: Training, writes: bool) -> Buckets | None:
    """Buckets that the config wants, or that save much; None where there are none.

    Args:
        examples: What is trained on.
        config: Says how many there may be, and for how many epochs.
        writes: Whether targets may be cut too, as where the model writes them step by step.
    """
    target_lengths = examples.target_lengths if writes else np.full(len(examples), examples.target.shape[1])
    buckets = make_buckets(examples.source_lengths, target_lengths, config.buckets or MOST)
    padded = int(buckets.shapes[buckets.bucket].sum())
    whole = len(examples) * (examples.source.shape[1] + examples.target.shape[1])
    worth = padded <= WORTH * whole and (whole - padded) * config.epochs >= COMPILING
    return buckets if len(buckets.shapes) > 1 and (worth or config.buckets is not None) else None


def build_step(config: Config, batches: Batches, model: NetworkModel, runtime: Runtime) -> TrainStep:
    """The compiled step of a config, with its optimizer."""
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
            config.stateful,
            training.label_smoothing,
            batches.buckets,
        )
