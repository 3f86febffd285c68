"""LSTM, RepeatVector, LSTM, TimeDistributed(Dense): the answer has a fixed length and is given at once."""

from __future__ import annotations

import keras
import tensorflow as tf

from rnncli.config import RepeatVectorModel
from rnncli.data.examples import Sizes
from rnncli.layers import KernelChoice, State, Symbols, UserCell
from rnncli.models.base import Readout, decoder_stack, encoder_stack, inputs, lengths_input


class RepeatVector(Readout):
    """The encoder's last output is the decoder's input at every step; the decoder starts from zeros."""

    def __init__(
        self, config: RepeatVectorModel, sizes: Sizes, choice: KernelChoice, user: UserCell | None = None
    ) -> None:
        self.steps = sizes.target_steps
        self.source_symbols = Symbols(sizes.source_symbols, config.encoder.embedding, name="source_symbols")
        self.encoder = encoder_stack(config, choice, user)
        self.state_spec = self.encoder.state_spec
        self.repeat = keras.layers.RepeatVector(sizes.target_steps, name="repeat_vector")
        self.decoder = decoder_stack(config, choice, user)
        self.output = keras.layers.TimeDistributed(
            keras.layers.Dense(sizes.target_symbols, name="dense", dtype="float32"),  # automatic names count up
            name="output",
            dtype="float32",
        )

        source, lengths = inputs(sizes.source_steps, "source"), lengths_input()
        self.network = keras.Model([source, lengths], self.read(source, lengths))

    def read_from(
        self, initial: State | None, source: tf.Tensor, lengths: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, State]:
        """See `Readout.read_from`; the states are the encoder's."""
        sequence, state = self.encoder(self.source_symbols.read(source), lengths, initial, seed)
        vector = self.encoder.final_output(sequence, state)
        sequence, _ = self.decoder(self.repeat(vector), seed=seed, constant=True)
        return self.output(sequence), state

    def unroll(self, inputs: tf.Tensor, initial: State | None) -> tuple[tf.Tensor, State]:
        """See `Model.unroll`."""
        return self.encoder(self.source_symbols.read(inputs), None, initial)

    def trace(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, target_lengths: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """See `Model.trace`; the decoder reads no targets."""
        del target
        sequence, state, encoder = self.encoder.trace(self.source_symbols.read(source), lengths)
        vector = self.encoder.final_output(sequence, state)
        _, _, decoder = self.decoder.trace(self.repeat(vector), target_lengths)
        return encoder | decoder
