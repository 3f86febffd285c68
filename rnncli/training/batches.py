"""Which examples are trained on together, and the step that does it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rnncli.batching import carried_order, epoch_order, steps_per_epoch
from rnncli.config import Config
from rnncli.models import Model
from rnncli.runtime import Runtime
from rnncli.tasks import Examples
from rnncli.training.optimizer import build_optimizer
from rnncli.training.step import TrainStep


class Batches:
    """Which examples are trained on together.

    Attributes:
        examples: All of them.
        rows: Of a batch.
        padding: Places without an example that fill a batch up, so that its parts are equal.
        steps: Of an epoch.
    """

    def __init__(self, config: Config, examples: Examples, parts: int) -> None:
        self.config, self.examples = config, examples
        self.rows = min(config.training.batch_size, len(examples))
        self.padding = -self.rows % parts
        self.steps = steps_per_epoch(len(examples), self.rows)

    def order(self, epoch: int) -> NDArray[np.int32]:
        """Numbers of an epoch's examples, int32 [steps, rows + padding]; -1 is no example."""
        count = len(self.examples)
        if self.config.stateful:
            order = carried_order(count, self.rows, self.examples.continuing)
        else:
            order = epoch_order(count, self.rows, self.config.training.seed, epoch)
        return np.pad(order, ((0, 0), (0, self.padding)), constant_values=-1)


def build_step(config: Config, batches: Batches, model: Model, runtime: Runtime) -> TrainStep:
    """The compiled step of a config, with its optimizer."""
    training = config.training
    with runtime.strategy.scope():
        optimizer = build_optimizer(training, batches.steps * training.epochs, config.runtime.precision)
        carried = batches.rows + batches.padding if config.stateful else 0
        return TrainStep(model, optimizer, batches.examples, runtime, training.seed, carried)
