"""The encoder-decoder whose decoder starts from the encoder's final state.

Sutskever, Vinyals & Le 2014, "Sequence to Sequence Learning with Neural Networks"; Cho et al. 2014.
"""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import ops

from rnncli.config import EncoderDecoderModel
from rnncli.errors import InputError
from rnncli.layers import Bridge, KernelChoice, State, Symbols, UserCell, fits
from rnncli.models.base import Memory, Model, decoder_stack, encoder_stack, inputs, lengths_input
from rnncli.tasks import Sizes
from rnncli.vocabulary import BOS_ID, EOS_ID


class EncoderDecoder(Model):
    """See the module. In training the decoder reads the true target (teacher forcing), else what it wrote."""

    begin, end = BOS_ID, EOS_ID
    remembers = False

    def __init__(
        self, config: EncoderDecoderModel, sizes: Sizes, choice: KernelChoice, user: UserCell | None = None
    ) -> None:
        encoder, decoder = config.encoder, config.decoder
        self.steps = sizes.target_steps
        self.source_symbols = Symbols(sizes.source_symbols, encoder.embedding, name="source_symbols")
        self.target_symbols = Symbols(sizes.target_symbols, decoder.embedding, name="target_symbols")
        self.encoder = encoder_stack(config, choice, user)
        self.decoder = decoder_stack(config, choice, user)
        able = config.states_fit or config.states_join
        if able and user is not None and not fits(self.encoder.state_spec, self.decoder.state_spec):
            able = False
            if config.bridge == "concat":
                raise InputError(f"model.bridge: concat: states of {user.name} do not fit side by side", "use dense")
        copy = config.bridge != "dense" and able
        self.bridge = Bridge(self.encoder.state_spec, self.decoder.state_spec, copy)
        self.state_spec = self.decoder.state_spec
        self.output = keras.layers.Dense(sizes.target_symbols, name="output", dtype="float32")

        source, lengths = inputs(sizes.source_steps, "source"), lengths_input()
        before = inputs(sizes.target_steps, "target_before")
        self.network = keras.Model([source, lengths, before], self._decode(source, lengths, before, None))

    def _decode(self, source: tf.Tensor, lengths: tf.Tensor, before: tf.Tensor, seed: tf.Tensor | None) -> tf.Tensor:
        state, _ = self.encode(source, lengths, seed)
        sequence, _ = self.decoder(self.target_symbols.read(before), initial=state, seed=seed)
        return self.output(sequence)

    def logits(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """See `Model.logits`."""
        return self._decode(source, lengths, _before(target), seed)

    def unroll(self, inputs: tf.Tensor, initial: State | None) -> tuple[tf.Tensor, State]:
        """See `Model.unroll`."""
        return self.encoder(self.source_symbols.read(inputs), None, initial)

    def trace(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, target_lengths: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """See `Model.trace`."""
        _, state, encoder = self.encoder.trace(self.source_symbols.read(source), lengths)
        read = self.target_symbols.read(_before(target))
        _, _, decoder = self.decoder.trace(read, target_lengths, self.bridge(state))
        return encoder | decoder

    def encode(self, source: tf.Tensor, lengths: tf.Tensor, seed: tf.Tensor | None = None) -> tuple[State, Memory]:
        """See `Stepper.encode`."""
        _, state = self.encoder(self.source_symbols.read(source), lengths, seed=seed)
        return self.bridge(state), {}

    def step(self, ids: tf.Tensor, state: State, memory: Memory) -> tuple[tf.Tensor, State]:
        """See `Stepper.step`."""
        del memory
        sequence, state = self.decoder(self.target_symbols.read(ids[:, None]), initial=state)
        return self.output(sequence)[:, 0], state


def _before(target: tf.Tensor) -> tf.Tensor:
    """What the decoder reads at each step: the symbol before, the begin symbol at the first."""
    return ops.concatenate([ops.full_like(target[:, :1], BOS_ID), target[:, :-1]], axis=1)
