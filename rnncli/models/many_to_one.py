"""A sequence is read; its class is predicted, or the symbol that follows it, or that follows each of its steps."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from rnncli.config import ClassifierModel, NextStepModel, name_of
from rnncli.data.examples import Sizes
from rnncli.layers import KernelChoice, Pooling, RecurrentStack, State, Symbols, UserCell
from rnncli.models.base import Readout, inputs, lengths_input


class ManyToOne(Readout):
    """Recurrent layers, and a Dense layer on the last output, on the mean or maximum of all, or on each.

    Both `next_step` and `classifier`: the first is the second in one direction, on the last output, or on each where
    the task has a target for each step.
    """

    def __init__(
        self,
        config: NextStepModel | ClassifierModel,
        sizes: Sizes,
        choice: KernelChoice,
        user: UserCell | None = None,
    ) -> None:
        self.per_step = sizes.per_step
        self.steps = sizes.target_steps if self.per_step else 1
        self.source_symbols: Any = None  # numbers are read as they are
        if sizes.features is None:
            as_number = config.symbols == "number"
            self.source_symbols = Symbols(sizes.source_symbols, config.embedding, as_number, name="source_symbols")
        self.stack = RecurrentStack(
            "rnn",
            user or name_of(config.cell),
            config.units,
            config.layers,
            choice,
            config.bidirectional,
            config.dropout,
            config.merge,
            sizes.parts,
            config.recurrent_dropout,
        )
        self.state_spec = self.stack.state_spec
        self.pooling = None if config.pooling == "last" else Pooling(config.pooling == "max", name="pooling")
        self.output = keras.layers.Dense(sizes.target_symbols, name="output", dtype="float32")

        source, lengths = inputs(sizes.source_steps, "source", sizes.features), lengths_input()
        self.network = keras.Model([source, lengths], self._read(source, lengths)[0])

    def _vectors(self, source: tf.Tensor) -> tf.Tensor:
        return source if self.source_symbols is None else self.source_symbols.read(source)

    def _read(
        self, source: tf.Tensor, lengths: tf.Tensor, initial: State | None = None, seed: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, State]:
        sequence, state = self.stack(self._vectors(source), lengths, initial, seed)
        if self.per_step:
            return self.output(sequence), state
        pooled = self.stack.final_output(sequence, state) if self.pooling is None else self.pooling(sequence, lengths)
        return self.output(pooled)[:, None, :], state

    def read_from(
        self, initial: State | None, source: tf.Tensor, lengths: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, State]:
        """See `Readout.read_from`."""
        return self._read(source, lengths, initial, seed)

    def unroll(self, inputs: tf.Tensor, initial: State | None) -> tuple[tf.Tensor, State]:
        """See `Model.unroll`."""
        return self.stack(self._vectors(inputs), None, initial)

    def trace(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, target_lengths: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """See `Model.trace`; the target plays no part."""
        del target, target_lengths
        _, _, arrays = self.stack.trace(self._vectors(source), lengths)
        return arrays
