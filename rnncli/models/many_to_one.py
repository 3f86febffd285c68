"""Recurrent layers with an output layer: the class of a sequence, or the next symbol after it or after each step."""

from __future__ import annotations

import keras
import tensorflow as tf

from rnncli.config import ClassifierModel, NextStepModel
from rnncli.data.examples import Sizes
from rnncli.layers import AnyCell, KernelChoice, Pooling, RecurrentStack, State, TokenEmbedding
from rnncli.models.base import SinglePassModel, SourceReader, lengths_input, source_input


class ManyToOne(SinglePassModel):
    """Recurrent layers, and a Dense layer on the last output, on the mean or maximum of all outputs, or on each.

    Serves both `next_step` and `classifier`. The Dense layer is on each output if the task has a target for each
    step.
    """

    def __init__(
        self, config: NextStepModel | ClassifierModel, sizes: Sizes, cell: AnyCell, choice: KernelChoice
    ) -> None:
        self.per_step = sizes.per_step
        self.steps = sizes.target_steps if self.per_step else 1
        self.source_embedding: TokenEmbedding | None = None  # for numbers
        if sizes.features is None:
            as_number = config.symbols == "number"
            self.source_embedding = TokenEmbedding(
                sizes.source_symbols, config.embedding, as_number, name="source_symbols"
            )
        self.stack = RecurrentStack("rnn", cell, config, choice, sizes.parts)
        self.state_spec = self.stack.state_spec
        self.pooling = None if config.pooling == "last" else Pooling(config.pooling == "max", name="pooling")
        self.output = keras.layers.Dense(sizes.target_symbols, name="output", dtype="float32")

        source, lengths = source_input(sizes.source_steps, "source", sizes.features), lengths_input()
        self.network = keras.Model([source, lengths], self.read(source, lengths))

    @property
    def reader(self) -> SourceReader:
        """See `TrainableModel.reader`."""
        return SourceReader(self.source_embedding, self.stack, self.output if self.pooling is None else None)

    def _embed(self, source: tf.Tensor) -> tf.Tensor:
        return source if self.source_embedding is None else self.source_embedding.read(source)

    def read_from(
        self, initial: State | None, source: tf.Tensor, lengths: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, State]:
        """See `SinglePassModel.read_from`."""
        sequence, state = self.stack(self._embed(source), lengths, initial, seed)
        if self.per_step:
            return self.output(sequence), state
        pooled = self.stack.final_output(sequence, state) if self.pooling is None else self.pooling(sequence, lengths)
        return self.output(pooled)[:, None, :], state

    def step(self, ids: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
        """Read a symbol.

        Args:
            ids: int32 [batch].
            state: States by the names of `state_spec`.

        Returns:
            The last layer's output, which the output layer reads, float [batch, width], and the new states.
        """
        sequence, state = self.stack(self._embed(ids[:, None]), None, state)
        return self.stack.final_output(sequence, state), state

    def trace(
        self,
        source: tf.Tensor,
        lengths: tf.Tensor,
        target: tf.Tensor,
        target_lengths: tf.Tensor,
        initial: State | None = None,
    ) -> dict[str, tf.Tensor]:
        """See `TrainableModel.trace`; the target is not used, and `initial` is as for `read_from`."""
        del target, target_lengths
        _, _, arrays = self.stack.trace(self._embed(source), lengths, initial)
        return arrays
