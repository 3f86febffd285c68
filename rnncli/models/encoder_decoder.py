"""The encoder-decoder whose decoder starts from the encoder's final state, and may attend to all its outputs.

Sutskever, Vinyals & Le 2014, "Sequence to Sequence Learning with Neural Networks"; Cho et al. 2014; for attention see
`rnncli.layers.attention`. Attention comes after the recurrence, so that the decoder's layers run over all steps at
once in training. With input feeding (Luong, Pham & Manning 2015, section 3.3) the decoder also reads what attention
gave at the step before, and its steps run one by one.
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
from rnncli.layers import Attention, Bridge, KernelChoice, Memory, State, Symbols, TiedOutput, UserCell, dropped, fits
from rnncli.models.base import Model, decoder_stack, encoder_stack, inputs, lengths_input

FED = "decoder/attention/fed"
"""The name of what attention gave at the step before, a state of models with input feeding."""


class EncoderDecoder(Model):
    """See the module. In training the decoder reads the true target (teacher forcing), else what it wrote.

    Attributes:
        network: See `Model`; with input feeding of targets of one step, which has the same weights.
    """

    begin, end = BOS_ID, EOS_ID

    def __init__(
        self, config: EncoderDecoderModel, sizes: Sizes, choice: KernelChoice, user: UserCell | None = None
    ) -> None:
        encoder, decoder = config.encoder, config.decoder
        self.steps, self.unknown, self.feeds = sizes.target_steps, sizes.unknown, config.input_feeding
        self.source_symbols = Symbols(sizes.source_symbols, encoder.embedding, name="source_symbols")
        self.target_symbols = Symbols(sizes.target_symbols, decoder.embedding, name="target_symbols")
        self.encoder = encoder_stack(config, choice, user)
        self.decoder = decoder_stack(config, choice, user)
        self.bridge = _bridge(config, self.encoder.state_spec, self.decoder.state_spec, user)
        self.state_spec = self.decoder.state_spec
        self.attention: Attention | None = None
        if config.attention != "none":
            width = decoder.embedding if decoder.tied and decoder.embedding else decoder.units
            self.attention = Attention(config.attention, self.decoder.width, width, name="attention")
            self.attention.build((None, None, self.decoder.width), (None, None, self.encoder.width))
            if self.feeds:
                self.state_spec = {**self.state_spec, FED: (width,)}
        self.output_dropout = decoder.output_dropout
        if decoder.tied:
            self.output = TiedOutput(self.target_symbols, name="output", dtype="float32")
        else:
            self.output = keras.layers.Dense(sizes.target_symbols, name="output", dtype="float32")

        source, lengths = inputs(sizes.source_steps, "source"), lengths_input()
        before = inputs(1 if self.feeds else sizes.target_steps, "target_before")
        self.network = keras.Model([source, lengths, before], self._decode(source, lengths, before, None))

    @property
    def remembers(self) -> bool:
        """See `Stepper`."""
        return self.attention is not None

    def logits(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """See `Model.logits`."""
        return self._decode(source, lengths, _before(target), seed)

    def _decode(self, source: Any, lengths: Any, before: Any, seed: tf.Tensor | None) -> tf.Tensor:
        state, memory = self.encode(source, lengths, seed)
        write = self._write_fed if self.feeds else self._write
        vectors, _ = write(before, state, memory, seed)
        if seed is not None and self.output_dropout:
            vectors = dropped(vectors, self.output_dropout, seed, "output")
        return self.output(vectors)

    def encode(self, source: tf.Tensor, lengths: tf.Tensor, seed: tf.Tensor | None = None) -> tuple[State, Memory]:
        """See `Stepper.encode`."""
        outputs, state = self.encoder(self.source_symbols.read(source), lengths, seed=seed)
        return self._start(outputs, state, lengths)

    def _start(self, outputs: Any, state: State, lengths: Any) -> tuple[State, Memory]:
        """What the decoder starts with, of what the encoder ended with."""
        start: State = self.bridge(state)
        if self.attention is None:
            return start, {}
        if self.feeds:
            zero = ops.zeros_like(outputs[:, 0, :1])
            start = {**start, FED: ops.repeat(zero, self.attention.width, axis=1)}
        return start, self.attention.memory(outputs, lengths)

    def step(self, ids: tf.Tensor, state: State, memory: Memory) -> tuple[tf.Tensor, State]:
        """See `Stepper.step`."""
        write = self._write_fed_step if self.feeds else self._write
        vectors, state = write(ids[:, None], state, memory, None)
        logits = self.output(vectors)[:, 0]
        if self.unknown:  # which says nothing to a reader, and is right nowhere
            logits = tf.where(tf.range(logits.shape[1]) == UNKNOWN_ID, float("-inf"), logits)
        return logits, state

    def _write(self, before: Any, state: State, memory: Memory, seed: tf.Tensor | None) -> tuple[Any, State]:
        """What the output layer reads at each step, float [batch, steps, width], and the state after the last."""
        sequence, state = self.decoder(self.target_symbols.read(before), initial=state, seed=seed)
        return self._attended(sequence, memory), state

    def _attended(self, sequence: Any, memory: Memory) -> Any:
        return sequence if self.attention is None else self.attention(sequence, **memory)[0]

    def _write_fed_step(self, before: Any, state: State, memory: Memory, seed: tf.Tensor | None) -> tuple[Any, State]:
        """`_write` of a single step, which reads what attention gave at the step before."""
        read = ops.concatenate([self.target_symbols(before), state[FED][:, None, :]], axis=-1)
        sequence, new = self.decoder(read, initial=state, seed=seed)
        vectors = self._attended(sequence, memory)
        return vectors, {**new, FED: vectors[:, 0]}

    def _write_fed(self, before: Any, state: State, memory: Memory, seed: tf.Tensor | None) -> tuple[Any, State]:
        """`_write` step by step; what dropout drops before layers is the same at all steps."""
        steps = before.shape[1]
        if steps == 1:
            return self._write_fed_step(before, state, memory, seed)

        def one(t: tf.Tensor, state: State, written: tf.TensorArray) -> tuple[Any, ...]:
            vectors, state = self._write_fed_step(before[:, t, None], state, memory, seed)
            return t + 1, state, written.write(t, vectors[:, 0])

        written = tf.TensorArray(state[FED].dtype, size=steps, element_shape=state[FED].shape)
        loop = (tf.constant(0), state, written)
        _, state, written = tf.while_loop(lambda t, *_: t < steps, one, loop, maximum_iterations=steps)
        return tf.transpose(written.stack(), [1, 0, 2]), state

    def attention_weights(self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """How much each step of targets looks at each step of sources; models with attention only.

        Args:
            source: int [batch, source steps].
            lengths: int [batch].
            target: int [batch, target steps], given or written by the model itself.

        Returns:
            float [batch, target steps, source steps]; rows of it sum to 1, and padding of the source has 0.
        """
        attention: Any = self.attention
        state, memory = self.encode(source, lengths)
        sequence, _ = self.decoder(self._read(_before(target), state, memory), initial=state)
        weights: tf.Tensor = attention(sequence, **memory)[1]
        return weights

    def _read(self, before: Any, state: State, memory: Memory) -> Any:
        """What the decoder reads at all steps, with what attention gives in between where that is fed."""
        if not self.feeds:
            return self.target_symbols.read(before)
        vectors, _ = self._write_fed(before, state, memory, None)
        fed = ops.concatenate([state[FED][:, None, :], vectors[:, :-1]], axis=1)
        return ops.concatenate([self.target_symbols(before), fed], axis=-1)

    def unroll(self, inputs: tf.Tensor, initial: State | None) -> tuple[tf.Tensor, State]:
        """See `Model.unroll`."""
        return self.encoder(self.source_symbols.read(inputs), None, initial)

    def trace(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, target_lengths: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """See `Model.trace`."""
        outputs, state, encoder = self.encoder.trace(self.source_symbols.read(source), lengths)
        state, memory = self._start(outputs, state, lengths)
        _, _, decoder = self.decoder.trace(self._read(_before(target), state, memory), target_lengths, state)
        return encoder | decoder


def _bridge(
    config: EncoderDecoderModel,
    source: dict[str, tuple[int, ...]],
    target: dict[str, tuple[int, ...]],
    user: UserCell | None,
) -> Bridge:
    if config.bridge in ("zero", "dense"):
        return Bridge(source, target, config.bridge)
    able = config.states_fit or config.states_join
    if able and user is not None and not fits(source, target):
        able = False
        if config.bridge == "concat":
            raise InputError(f"model.bridge: concat: states of {user.name} do not fit side by side", "use dense")
    return Bridge(source, target, "copy" if able else "dense")


def _before(target: tf.Tensor) -> tf.Tensor:
    """What the decoder reads at each step: the symbol before, the begin symbol at the first."""
    return ops.concatenate([ops.full_like(target[:, :1], BOS_ID), target[:, :-1]], axis=1)
