"""The encoder-decoder: the decoder starts from the encoder's final state, and may attend to all its outputs.

Sutskever, Vinyals & Le 2014, "Sequence to Sequence Learning with Neural Networks"; Cho et al. 2014, "Learning Phrase
Representations using RNN Encoder-Decoder"; for attention see `rnncli.layers.attention`. Attention comes after the
recurrence, so that in training the decoder's layers run over all steps at once. With input feeding (Luong, Pham &
Manning 2015, section 3.3) the decoder also reads the attention output of the previous step, and its steps run one by
one.

With `model.copy` the decoder may copy source symbols: see `rnncli.layers.pointer_generator`. With monotonic attention
the output layer reads the decoder's outputs beside each encoder output in turn, and the probabilities are summed over
all alignments: see `rnncli.layers.monotonic_attention`.

Where the source begins with features that have an encoder of their own (`Sizes.tags`), their vector stands beside
each further symbol that the encoder reads, and beside each previous symbol that the decoder reads. It is projected
once for all steps. No step attends to the features: their attention weights are 0.
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
    FeatureEncoder,
    KernelChoice,
    Memory,
    MonotonicAttention,
    PointerGenerator,
    RecurrentStack,
    State,
    StateSpec,
    Tensor,
    TiedOutput,
    TokenEmbedding,
    UserCell,
    dropout,
    fits,
    replace_by_samples,
)
from rnncli.layers.fused_kernels import EmbeddingLookup
from rnncli.layers.monotonic_attention import known
from rnncli.layers.tensors import beside_constant
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
from rnncli.states.named_arrays import ALIGNMENT, FED

PLACES, FEATURES = "places", "features"
"""Parts of the memory: what copying each source step writes, see `PointerGenerator.places`; and the vector of the
features, float [batch, width]."""


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
        self.target_embedding = self.source_embedding
        if not config.shared_embedding:
            self.target_embedding = TokenEmbedding(sizes.target_symbols, decoder.embedding, name="target_symbols")
        self.features, self.feature_encoder = sizes.tags, self._make_feature_encoder(config, sizes)
        self.encoder = RecurrentStack("encoder", cell, encoder, choice)
        self.decoder = RecurrentStack("decoder", cell, decoder, choice)
        self.bridge = _bridge(config, self.encoder.state_spec, self.decoder.state_spec, cell)
        self.state_spec = self.decoder.state_spec
        self._make_attention(config, sizes)
        self.has_memory = self.has_attention or self.features > 0
        self.symbols, self.pointer = sizes.target_symbols, self._make_pointer(config, sizes)
        self.output_dropout = decoder.output_dropout
        if decoder.tied:
            self.output = TiedOutput(self.target_embedding, name="output", dtype="float32")
        else:
            self.output = keras.layers.Dense(sizes.target_symbols, name="output", dtype="float32")

        source, lengths = source_input(sizes.source_steps, "source"), lengths_input()
        before = source_input(1 if self.feeds else sizes.target_steps, "target_before")
        self.network = keras.Model([source, lengths, before], self._logits(source, lengths, before, None))

    def _make_attention(self, config: EncoderDecoderModel, sizes: Sizes) -> None:
        self.attention: Attention | None = None
        self.alignment: MonotonicAttention | None = None
        if config.attention == "none":
            return
        self.has_attention, units, width = True, self.decoder.width, config.decoder.output_layer_width
        layer: Attention | MonotonicAttention
        if config.attention == "monotonic":
            order, window = config.attention_order, config.attention_window
            layer = self.alignment = MonotonicAttention(order, window, units, width, name="attention")
            self.state_spec = {**self.state_spec, ALIGNMENT: (sizes.source_steps - sizes.tags,)}
        else:
            layer = self.attention = Attention(config.attention, units, width, name="attention")
            if self.feeds:
                self.state_spec = {**self.state_spec, FED: (width,)}
        layer.build((None, None, units), (None, None, self.encoder.width))

    def _make_feature_encoder(self, config: EncoderDecoderModel, sizes: Sizes) -> FeatureEncoder | None:
        if not sizes.tags:
            return None
        width = config.decoder.layer_units[0]
        return FeatureEncoder(width, self.source_embedding.width, name="feature_encoder")

    def _make_pointer(self, config: EncoderDecoderModel, sizes: Sizes) -> PointerGenerator | None:
        if config.copying == "none":
            return None
        if sizes.copies is None:
            raise ValueError("the task does not say what can be copied")
        width = self.target_embedding.width + self.encoder.width + self.decoder.width
        pointer = PointerGenerator(sizes.target_symbols, sizes.copies, width, name="pointer_generator")
        pointer.build()
        return pointer

    @property
    def target_symbols(self) -> int:
        """See `Model.target_symbols`; those that are copied by their place are behind them."""
        return self.symbols

    @property
    def step_size(self) -> int:
        """See `AutoregressiveModel.step_size`."""
        if self.alignment is None:
            return self.symbols
        return self.source_steps * max(self.symbols, self.alignment.width)

    @property
    def reader(self) -> SourceReader:
        """See `TrainableModel.reader`."""
        return SourceReader(self.source_embedding, self.encoder, None)

    @property
    def symbol_axes(self) -> dict[str, tuple[int, Side]]:
        """See `TrainableModel.symbol_axes`."""
        target = embedded_axes(self.target_embedding, self.decoder, "target")
        if self.pointer is not None and self.target_embedding.table is None:
            target[self.pointer.switch.kernel.path] = (0, "target")
        source = self._source_axes()
        if self.feature_encoder is not None and self.source_embedding.table is None:
            source[self.feature_encoder.dense.kernel.path] = (0, "source")
        return output_axes(self.network) | target | source  # one embedding of both sides has the name of the source's

    def logits(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """See `TrainableModel.logits`."""
        return self._logits(source, lengths, _shift_right(target), seed)

    def sampled_logits(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, seed: tf.Tensor, probability: tf.Tensor
    ) -> tf.Tensor:
        """Return the logits of all target steps where predictions replace some of the symbols that are read.

        Scheduled sampling (Bengio et al. 2015) in two passes (Mihaylova & Martins 2019; Duckworth et al. 2019), so
        that the recurrence runs over all steps at once: the first predicts with teacher forcing, and has no gradient.
        Both have the same dropout masks, as they would if the steps ran one by one, and share the encoder.

        Args:
            source: See `logits`.
            lengths: See `logits`.
            target: See `logits`.
            seed: See `logits`; it also decides what is replaced, and by what.
            probability: Of each symbol to be replaced, float32 [].

        Returns:
            float [batch, target steps, symbols].
        """
        state, memory = self._encode(source, lengths, seed)
        before = _shift_right(target)
        predicted = self._possible(self._decode(before, state, memory, seed)[0], memory)
        # special symbols are never read from a prediction: the end of the sequence ends it
        special = tf.range(predicted.shape[2]) <= (UNKNOWN_ID if self.unknown else EOS_ID)
        mixed = replace_by_samples(target, tf.where(special, float("-inf"), predicted), probability, seed)
        return self._decode(_shift_right(mixed), state, memory, seed, before)[0]

    def _logits(self, source: Tensor, lengths: Tensor, before: Tensor, seed: tf.Tensor | None) -> tf.Tensor:
        state, memory = self._encode(source, lengths, seed)
        return self._decode(before, state, memory, seed)[0]

    def encode(self, source: tf.Tensor, lengths: tf.Tensor) -> tuple[State, Memory]:
        """See `AutoregressiveModel.encode`."""
        state, memory = self._encode(source, lengths, None)
        if self.alignment is not None:
            state = {**state, ALIGNMENT: tf.zeros([tf.shape(source)[0], *self.state_spec[ALIGNMENT]])}
        return state, memory

    def _encode(self, source: Tensor, lengths: Tensor, seed: tf.Tensor | None) -> tuple[State, Memory]:
        """Return what `encode` does, without the state that says that nothing was written yet."""
        vector = self._feature_vector(source)
        text, text_lengths = self._text(source, lengths)
        read = _beside(self.source_embedding.read(text), vector)
        outputs, state = self.encoder(read, text_lengths, seed=seed)
        return self._decoder_start(source, outputs, state, text_lengths, vector)

    def unroll(self, inputs: tf.Tensor, initial: State | None) -> tuple[tf.Tensor, State]:
        """See `TrainableModel.unroll`; with an encoder of features, each source begins with its features."""
        read = self.source_embedding.read(inputs[:, self.features :])
        return self.encoder(_beside(read, self._feature_vector(inputs)), None, initial)

    def _feature_vector(self, source: Tensor) -> Tensor | None:
        """Return the vector of the features of sources, float [batch, width]; None without an encoder of features."""
        if self.feature_encoder is None:
            return None
        features = source[:, : self.features]
        vector: Tensor = self.feature_encoder(self.source_embedding(features), features)
        return vector

    def _text(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return sources and their lengths without the features that they begin with."""
        if not self.features:
            return source, lengths
        return source[:, self.features :], ops.maximum(lengths - self.features, 0)

    def _decoder_start(
        self, source: Tensor, outputs: Tensor, state: State, lengths: Tensor, vector: Tensor | None
    ) -> tuple[State, Memory]:
        """Return the decoder's initial states and memory from the encoder's outputs and final states."""
        start: State = self.bridge(state)
        memory: Memory = {} if vector is None else {FEATURES: vector}
        if self.alignment is not None:
            return start, memory | self.alignment.memory(outputs, lengths)
        if self.attention is None:
            return start, memory
        if self.feeds:
            zero = ops.zeros_like(outputs[:, 0, :1])
            start = {**start, FED: ops.repeat(zero, self.attention.width, axis=1)}
        memory |= self.attention.memory(outputs, lengths)
        return start, memory if self.pointer is None else {**memory, PLACES: self.pointer.places(source)}

    def step(self, ids: tf.Tensor, state: State, memory: Memory) -> tuple[tf.Tensor, State]:
        """See `AutoregressiveModel.step`."""
        logits, state = self._decode(ids[:, None], state, memory, None)
        logits = self._possible(logits, memory)[:, 0]
        if self.unknown:  # never predict the symbol for unknown characters: no target has it
            logits = tf.where(tf.range(logits.shape[1]) == UNKNOWN_ID, float("-inf"), logits)
        return logits, state

    def target_logits(self, target: tf.Tensor, state: State, memory: Memory) -> tf.Tensor:
        """See `AutoregressiveModel.target_logits`; an unknown symbol counts only where the target has one."""
        logits = self._possible(self._decode(_shift_right(target), state, memory, None)[0], memory)
        if self.unknown:
            impossible = (tf.range(logits.shape[2]) == UNKNOWN_ID) & (target != UNKNOWN_ID)[:, :, None]
            logits = tf.where(impossible, float("-inf"), logits)
        return logits

    def _possible(self, logits: tf.Tensor, memory: Memory) -> tf.Tensor:
        """Return logits, float [batch, steps, ...], in which no symbol is copied from where there is none."""
        if self.pointer is None:
            return logits
        by_place = memory[PLACES] >= self.symbols
        possible = tf.pad(by_place, [[0, 0], [self.symbols, 0]], constant_values=True)
        return tf.where(possible[:, None, :], logits, float("-inf"))

    def _known(self, before: Tensor) -> Tensor:
        """Return previous symbols in which those that were copied by their place are unknown."""
        return before if self.pointer is None else ops.where(before >= self.symbols, UNKNOWN_ID, before)

    def _decode(
        self, before: Tensor, state: State, memory: Memory, seed: tf.Tensor | None, written: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Return the logits, float [batch, steps, symbols], and the final states.

        Args:
            before: The previous symbol of each step, which the decoder reads, int [batch, steps].
            state: Initial states.
            memory: The attention memory.
            seed: For dropout.
            written: The previous symbols of the target where `before` has others, whose alignment monotonic attention
                sums over; None is `before`.
        """
        if self.feeds:
            vectors, state = self._decode_fed(before, state, memory, seed)
            return self._output(vectors, seed), state
        if self.alignment is not None:
            return self._decode_aligned(self.alignment, before, state, memory, seed, written)
        before = self._known(before)
        read = _beside(self.target_embedding.read(before), memory.get(FEATURES))
        sequence, state = self.decoder(read, initial=state, seed=seed)
        if self.attention is None:
            return self._output(sequence, seed), state
        vectors, weights = self._attend(self.attention, sequence, memory)
        logits = self._output(vectors, seed)
        if self.pointer is not None:
            context = ops.matmul(weights, memory["values"])
            inputs = [self.target_embedding(before), context, sequence]
            logits = self.pointer(logits, inputs, self._of_source(weights), memory[PLACES])
        return logits, state

    def _of_source(self, weights: Tensor) -> Tensor:
        """Return attention weights over all steps of the source: of the features they are 0."""
        return ops.pad(weights, [[0, 0], [0, 0], [self.features, 0]]) if self.features else weights

    def _output(self, vectors: Tensor, seed: tf.Tensor | None) -> Tensor:
        if seed is not None and self.output_dropout:
            vectors = dropout(vectors, self.output_dropout, seed, "output")
        return self.output(vectors)

    def _decode_aligned(
        self,
        alignment: MonotonicAttention,
        before: Tensor,
        state: State,
        memory: Memory,
        seed: tf.Tensor | None,
        written: Tensor | None,
    ) -> tuple[Tensor, State]:
        """Run `_decode` with monotonic attention, from the first step if the state holds no alignment."""
        read = _beside(self.target_embedding.read(before), memory.get(FEATURES))
        sequence, new = self.decoder(read, initial=state, seed=seed)
        logits = self._pair_logits(alignment, sequence, memory, seed)
        if ALIGNMENT not in state:
            return alignment(logits, sequence, before if written is None else written, **_moves(memory))[0], new
        output = self.decoder.final_output(sequence, state)  # which the last symbol was written from
        last = self._pair_logits(alignment, output[:, None], memory, None)[:, 0]
        start = known(state[ALIGNMENT][:, : last.shape[1]], last, before[:, 0], memory["lengths"])
        found, alphas = alignment(logits, sequence, before, **_moves(memory), start=start)
        missing = self.state_spec[ALIGNMENT][0] - last.shape[1]
        return found, {**new, ALIGNMENT: tf.pad(tf.exp(alphas[:, -1]), [[0, 0], [0, missing]])}

    def _pair_logits(
        self, alignment: MonotonicAttention, sequence: Tensor, memory: Memory, seed: tf.Tensor | None
    ) -> Tensor:
        """Return the logits of writing each target step from each source step, [batch, target, source, symbols]."""
        vectors = alignment.vectors(sequence, memory["values"])
        if seed is not None and self.output_dropout:  # one mask for all source steps, as random numbers take time
            kept = tf.ones_like(vectors[:, :, :1])
            vectors *= dropout(kept, self.output_dropout, seed, "output")
        return self.output(vectors)

    @staticmethod
    def _attend(attention: Attention, sequence: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Return outputs and weights of attention; see `Attention.call`."""
        read = {name: value for name, value in memory.items() if name not in (PLACES, FEATURES)}
        found: tuple[Tensor, Tensor] = attention(sequence, **read)
        return found

    def _decode_fed_step(
        self, before: Tensor, state: State, memory: Memory, seed: tf.Tensor | None
    ) -> tuple[Tensor, State]:
        """Run `_decode_fed` for a single step."""
        read = ops.concatenate([self.target_embedding(before), state[FED][:, None, :]], axis=-1)
        sequence, new = self.decoder(_beside(read, memory.get(FEATURES)), initial=state, seed=seed)
        assert self.attention is not None, "which input feeding needs"
        vectors, _ = self._attend(self.attention, sequence, memory)
        return vectors, {**new, FED: vectors[:, 0]}

    def _decode_fed(
        self, before: Tensor, state: State, memory: Memory, seed: tf.Tensor | None
    ) -> tuple[Tensor, State]:
        """Return the output layer's inputs with input feeding, and the final states, step by step.

        All steps have the same dropout masks.
        """
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
        if not self.has_attention:
            raise ValueError("the model has no attention")
        state, memory = self._encode(source, lengths, None)
        sequence, _ = self.decoder(self._decoder_inputs(_shift_right(target), state, memory), initial=state)
        if self.attention is not None:
            return self._of_source(self._attend(self.attention, sequence, memory)[1])
        assert self.alignment is not None, "the other kind of attention"
        logits = self._pair_logits(self.alignment, sequence, memory, None)
        ended = tf.cumsum(tf.cast(target == EOS_ID, tf.int32), axis=1, exclusive=True)
        return self._of_source(self.alignment.posterior(logits, sequence, target, ended == 0, **_moves(memory)))

    def _decoder_inputs(self, before: Tensor, state: State, memory: Memory) -> Tensor:
        """Return the decoder's inputs at all steps, with the attention outputs that input feeding adds."""
        if not self.feeds:
            return _beside(self.target_embedding.read(self._known(before)), memory.get(FEATURES))
        vectors, _ = self._decode_fed(before, state, memory, None)
        fed = ops.concatenate([state[FED][:, None, :], vectors[:, :-1]], axis=1)
        return _beside(ops.concatenate([self.target_embedding(before), fed], axis=-1), memory.get(FEATURES))

    def trace(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, target_lengths: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """See `TrainableModel.trace`."""
        vector = self._feature_vector(source)
        text, text_lengths = self._text(source, lengths)
        read = _beside(self.source_embedding.read(text), vector)
        outputs, state, encoder = self.encoder.trace(read, text_lengths)
        state, memory = self._decoder_start(source, outputs, state, text_lengths, vector)
        inputs = self._decoder_inputs(_shift_right(target), state, memory)
        _, _, decoder = self.decoder.trace(inputs, target_lengths, state)
        return encoder | decoder


def _moves(memory: Memory) -> Memory:
    """Return the parts of the memory that tell how a monotonic alignment goes on."""
    return {name: memory[name] for name in ("keys", "lengths", "jumps") if name in memory}


def _bridge(config: EncoderDecoderModel, source: StateSpec, target: StateSpec, cell: AnyCell) -> Bridge:
    if config.bridge in ("zero", "dense"):
        return Bridge(source, target, config.bridge)
    able = config.states_fit or config.states_join
    if able and isinstance(cell, UserCell) and not fits(source, target):
        able = False
        if config.bridge == "concat":
            raise InputError(f"model.bridge: concat: the states of {cell.name} cannot be concatenated", "use dense")
    return Bridge(source, target, "copy" if able else "dense")


def _beside(read: Tensor | EmbeddingLookup, vector: Tensor | None) -> Tensor | EmbeddingLookup:
    """Return what a stack reads, with a vector, float [batch, width], beside that of each step; None is none."""
    if vector is None:
        return read
    return read._replace(constant=vector) if isinstance(read, EmbeddingLookup) else beside_constant(read, vector)


def _shift_right(target: tf.Tensor) -> tf.Tensor:
    """Return the previous symbol of each target step, begin-of-sequence at the first, int [batch, target steps]."""
    return ops.concatenate([ops.full_like(target[:, :1], BOS_ID), target[:, :-1]], axis=1)
