"""Encoder, RepeatVector, decoder, TimeDistributed(Dense): targets have a fixed length and are predicted at once."""

from __future__ import annotations

import keras
import tensorflow as tf

from rnncli.config import RepeatVectorModel
from rnncli.data.examples import Sizes
from rnncli.layers import AnyCell, KernelChoice, RecurrentStack, State, TokenEmbedding
from rnncli.models.base import SinglePassModel, SourceReader, lengths_input, source_input


class RepeatVector(SinglePassModel):
    """The decoder reads the encoder's last output at every step, and starts from zeros."""

    def __init__(self, config: RepeatVectorModel, sizes: Sizes, cell: AnyCell, choice: KernelChoice) -> None:
        self.steps = sizes.target_steps
        self.source_embedding = TokenEmbedding(sizes.source_symbols, config.encoder.embedding, name="source_symbols")
        self.encoder = RecurrentStack("encoder", cell, config.encoder, choice)
        self.state_spec = self.encoder.state_spec
        self.repeat = keras.layers.RepeatVector(sizes.target_steps, name="repeat_vector")
        self.decoder = RecurrentStack("decoder", cell, config.decoder, choice)
        self.output = keras.layers.TimeDistributed(
            # a name of its own, since automatic names are counted
            keras.layers.Dense(sizes.target_symbols, name="dense", dtype="float32"),
            name="output",
            dtype="float32",
        )

        source, lengths = source_input(sizes.source_steps, "source"), lengths_input()
        self.network = keras.Model([source, lengths], self.read(source, lengths))

    @property
    def reader(self) -> SourceReader:
        """See `TrainableModel.reader`."""
        return SourceReader(self.source_embedding, self.encoder, None)

    def read_from(
        self, initial: State | None, source: tf.Tensor, lengths: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, State]:
        """See `SinglePassModel.read_from`; the states are the encoder's."""
        sequence, state = self.encoder(self.source_embedding.read(source), lengths, initial, seed)
        vector = self.encoder.final_output(sequence, state)
        sequence, _ = self.decoder(self.repeat(vector), seed=seed, constant=True)
        return self.output(sequence), state

    def trace(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, target_lengths: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """See `TrainableModel.trace`; the target is not used."""
        del target
        sequence, state, encoder = self.encoder.trace(self.source_embedding.read(source), lengths)
        vector = self.encoder.final_output(sequence, state)
        _, _, decoder = self.decoder.trace(self.repeat(vector), target_lengths)
        return encoder | decoder
