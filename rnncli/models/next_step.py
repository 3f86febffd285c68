"""Many-to-one: a window of symbols is read, the symbol that follows is predicted."""

from __future__ import annotations

import keras
import tensorflow as tf

from rnncli.config import NextStepModel
from rnncli.layers import KernelChoice, RecurrentStack, Symbols
from rnncli.models.base import Model, final_output, inputs, lengths_input
from rnncli.tasks import Sizes


class NextStep(Model):
    """Recurrent layers, and a Dense layer on the last output."""

    def __init__(self, config: NextStepModel, sizes: Sizes, choice: KernelChoice) -> None:
        self.steps = 1
        as_number = config.symbols == "number"
        self.source_symbols = Symbols(sizes.source_symbols, config.embedding, as_number, name="source_symbols")
        self.stack = RecurrentStack("rnn", config.cell, config.units, config.layers, choice, dropout=config.dropout)
        self.output = keras.layers.Dense(sizes.target_symbols, name="output")

        source, lengths = inputs(sizes.source_steps, "source"), lengths_input()
        self.network = keras.Model([source, lengths], self._next(source, lengths, None))

    def _next(self, source: tf.Tensor, lengths: tf.Tensor, seed: tf.Tensor | None) -> tf.Tensor:
        _, state = self.stack(self.source_symbols(source), lengths, seed=seed)
        return self.output(final_output(self.stack, state))

    def read(self, source: tf.Tensor, lengths: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """See `Readout.read`; one step."""
        return self._next(source, lengths, seed)[:, None, :]

    def logits(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """See `Model.logits`; the target plays no part."""
        del target
        return self.read(source, lengths, seed)
