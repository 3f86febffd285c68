"""The encoder-decoder: the decoder starts from the encoder's final state, and may attend to all its outputs.

Sutskever, Vinyals & Le 2014, "Sequence to Sequence Learning with Neural Networks"; Cho et al. 2014, "Learning Phrase
Representations using RNN Encoder-Decoder"; for attention see `rnncli.layers.attention`. Attention comes after the
recurrence, so that in training the decoder's layers run over all steps at once. With input feeding (Luong, Pham &
Manning 2015, section 3.3) the decoder also reads the attention output of the previous step, and its steps run one by
one.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from rnncli.config import EncoderDecoderModel
from rnncli.data.examples import Sizes
from rnncli.data.vocabulary import BOS_ID, EOS_ID, UNKNOWN_ID
from rnncli.errors import InputError
from rnncli.layers import (
    AnyCell,
    Attention,
    Bridge,
    KernelChoice,
    Memory,
    RecurrentStack,
    State,
    StateSpec,
    Tensor,
    TiedOutput,
    TokenEmbedding,
    UserCell,
    dropout,
    fits,
)
from rnncli.models.base import (
    AutoregressiveModel,
    Side,
    SourceReader,
    TrainableModel,
    embedded_axes,
    lengths_input,
    output_axes,
    source_input,
)
from rnncli.states.named_arrays import FED


class EncoderDecoder(TrainableModel, AutoregressiveModel):
    """An encoder-decoder. In training the decoder reads the target (teacher forcing), else its own predictions.

    Attributes:
        network: See `TrainableModel`. With input feeding it has one target step, and the same variables.
    """

    begin, end = BOS_ID, EOS_ID

    def __init__(self, config: EncoderDecoderModel, sizes: Sizes, cell: AnyCell, choice: KernelChoice) -> None:
        encoder, decoder = config.encoder, config.decoder
        self.steps, self.unknown, self.feeds = sizes.target_steps, sizes.unknown, config.input_feeding
        self.source_embedding = TokenEmbedding(sizes.source_symbols, encoder.embedding, name="source_symbols")
        self.target_embedding = TokenEmbedding(sizes.target_symbols, decoder.embedding, name="target_symbols")
        self.encoder = RecurrentStack("encoder", cell, encoder, choice)
        self.decoder = RecurrentStack("decoder", cell, decoder, choice)
        self.bridge = _bridge(config, self.encoder.state_spec, self.decoder.state_spec, cell)
        self.state_spec = self.decoder.state_spec
        self.attention: Attention | None = None
        if config.attention != "none":
            self.has_attention = True
            width = decoder.output_layer_width
            self.attention = Attention(config.attention, self.decoder.width, width, name="attention")
            self.attention.build((None, None, self.decoder.width), (None, None, self.encoder.width))
            if self.feeds:
                self.state_spec = {**self.state_spec, FED: (width,)}
        self.output_dropout = decoder.output_dropout
        if decoder.tied:
            self.output = TiedOutput(self.target_embedding, name="output", dtype="float32")
        else:
            self.output = keras.layers.Dense(sizes.target_symbols, name="output", dtype="float32")

        source, lengths = source_input(sizes.source_steps, "source"), lengths_input()
        before = source_input(1 if self.feeds else sizes.target_steps, "target_before")
        self.network = keras.Model([source, lengths, before], self._logits(source, lengths, before, None))

    @property
    def reader(self) -> SourceReader:
        """See `TrainableModel.reader`."""
        return SourceReader(self.source_embedding, self.encoder, None)

    @property
    def symbol_axes(self) -> dict[str, tuple[int, Side]]:
        """See `TrainableModel.symbol_axes`."""
        target = embedded_axes(self.target_embedding, self.decoder, "target")
        return output_axes(self.network) | self._source_axes() | target

    def logits(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """See `TrainableModel.logits`."""
        return self._logits(source, lengths, _shift_right(target), seed)

    def _logits(self, source: Tensor, lengths: Tensor, before: Tensor, seed: tf.Tensor | None) -> tf.Tensor:
        state, memory = self.encode(source, lengths, seed)
        decode = self._decode_fed if self.feeds else self._decode
        vectors, _ = decode(before, state, memory, seed)
        if seed is not None and self.output_dropout:
            vectors = dropout(vectors, self.output_dropout, seed, "output")
        return self.output(vectors)

    def encode(self, source: tf.Tensor, lengths: tf.Tensor, seed: tf.Tensor | None = None) -> tuple[State, Memory]:
        """See `AutoregressiveModel.encode`."""
        outputs, state = self.encoder(self.source_embedding.read(source), lengths, seed=seed)
        return self._decoder_start(outputs, state, lengths)

    def _decoder_start(self, outputs: Tensor, state: State, lengths: Tensor) -> tuple[State, Memory]:
        """Return the decoder's initial states and memory from the encoder's outputs and final states."""
        start: State = self.bridge(state)
        if self.attention is None:
            return start, {}
        if self.feeds:
            zero = ops.zeros_like(outputs[:, 0, :1])
            start = {**start, FED: ops.repeat(zero, self.attention.width, axis=1)}
        return start, self.attention.memory(outputs, lengths)

    def step(self, ids: tf.Tensor, state: State, memory: Memory) -> tuple[tf.Tensor, State]:
        """See `AutoregressiveModel.step`."""
        decode = self._decode_fed_step if self.feeds else self._decode
        vectors, state = decode(ids[:, None], state, memory, None)
        logits = self.output(vectors)[:, 0]
        if self.unknown:  # never predict the symbol for unknown characters: no target has it
            logits = tf.where(tf.range(logits.shape[1]) == UNKNOWN_ID, float("-inf"), logits)
        return logits, state

    def target_logits(self, target: tf.Tensor, state: State, memory: Memory) -> tf.Tensor:
        """See `AutoregressiveModel.target_logits`; an unknown symbol counts only where the target has one."""
        decode = self._decode_fed if self.feeds else self._decode
        logits = self.output(decode(_shift_right(target), state, memory, None)[0])
        if self.unknown:
            impossible = (tf.range(logits.shape[2]) == UNKNOWN_ID) & (target != UNKNOWN_ID)[:, :, None]
            logits = tf.where(impossible, float("-inf"), logits)
        return logits

    def _decode(self, before: Tensor, state: State, memory: Memory, seed: tf.Tensor | None) -> tuple[Tensor, State]:
        """Return the output layer's inputs, float [batch, steps, width], and the final states.

        Args:
            before: The previous symbol of each step, int [batch, steps].
            state: Initial states.
            memory: The attention memory.
            seed: For dropout.
        """
        sequence, state = self.decoder(self.target_embedding.read(before), initial=state, seed=seed)
        return self._attend(sequence, memory), state

    def _attend(self, sequence: Tensor, memory: Memory) -> Tensor:
        return sequence if self.attention is None else self.attention(sequence, **memory)[0]

    def _decode_fed_step(
        self, before: Tensor, state: State, memory: Memory, seed: tf.Tensor | None
    ) -> tuple[Tensor, State]:
        """Run `_decode` with input feeding for a single step."""
        read = ops.concatenate([self.target_embedding(before), state[FED][:, None, :]], axis=-1)
        sequence, new = self.decoder(read, initial=state, seed=seed)
        vectors = self._attend(sequence, memory)
        return vectors, {**new, FED: vectors[:, 0]}

    def _decode_fed(
        self, before: Tensor, state: State, memory: Memory, seed: tf.Tensor | None
    ) -> tuple[Tensor, State]:
        """Run `_decode` with input feeding step by step; all steps have the same dropout masks."""
        steps = before.shape[1]
        if steps == 1:
            return self._decode_fed_step(before, state, memory, seed)

        def one(t: tf.Tensor, state: State, written: tf.TensorArray) -> tuple[Any, ...]:
            vectors, state = self._decode_fed_step(before[:, t, None], state, memory, seed)
            return t + 1, state, written.write(t, vectors[:, 0])

        written = tf.TensorArray(state[FED].dtype, size=steps, element_shape=state[FED].shape)
        loop = (tf.constant(0), state, written)
        _, state, written = tf.while_loop(lambda t, *_: t < steps, one, loop, maximum_iterations=steps)
        return tf.transpose(written.stack(), [1, 0, 2]), state

    def attention_weights(self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """See `AutoregressiveModel.attention_weights`.

        Raises:
            ValueError: The model has no attention.
        """
        if self.attention is None:
            raise ValueError("the model has no attention")
        state, memory = self.encode(source, lengths)
        sequence, _ = self.decoder(self._decoder_inputs(_shift_right(target), state, memory), initial=state)
        weights: tf.Tensor = self.attention(sequence, **memory)[1]
        return weights

    def _decoder_inputs(self, before: Tensor, state: State, memory: Memory) -> Tensor:
        """Return the decoder's inputs at all steps, with the attention outputs that input feeding adds."""
        if not self.feeds:
            return self.target_embedding.read(before)
        vectors, _ = self._decode_fed(before, state, memory, None)
        fed = ops.concatenate([state[FED][:, None, :], vectors[:, :-1]], axis=1)
        return ops.concatenate([self.target_embedding(before), fed], axis=-1)

    def trace(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, target_lengths: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """See `TrainableModel.trace`."""
        outputs, state, encoder = self.encoder.trace(self.source_embedding.read(source), lengths)
        state, memory = self._decoder_start(outputs, state, lengths)
        inputs = self._decoder_inputs(_shift_right(target), state, memory)
        _, _, decoder = self.decoder.trace(inputs, target_lengths, state)
        return encoder | decoder


def _bridge(config: EncoderDecoderModel, source: StateSpec, target: StateSpec, cell: AnyCell) -> Bridge:
    if config.bridge in ("zero", "dense"):
        return Bridge(source, target, config.bridge)
    able = config.states_fit or config.states_join
    if able and isinstance(cell, UserCell) and not fits(source, target):
        able = False
        if config.bridge == "concat":
            raise InputError(f"model.bridge: concat: the states of {cell.name} cannot be concatenated", "use dense")
    return Bridge(source, target, "copy" if able else "dense")


def _shift_right(target: tf.Tensor) -> tf.Tensor:
    """Return the previous symbol of each target step, begin-of-sequence at the first, int [batch, target steps]."""
    return ops.concatenate([ops.full_like(target[:, :1], BOS_ID), target[:, :-1]], axis=1)
