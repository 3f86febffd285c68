"""The pointer-generator: write a symbol of the vocabulary, or copy one from the source."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from rnncli.data.copying import COPY_BY_PLACE, MIN_COPIED, MIN_PROBABILITY
from rnncli.layers.tensors import Tensor

FIRST_BIAS = 1.0
"""The initial bias of the switch. Before attention has learned where to look, what it copies is chance; the generator
learns first if it gets most of the gradient then."""


class PointerGenerator(keras.layers.Layer):
    """The mixture of a generator and a pointer (See, Liu & Manning 2017, "Get To The Point", equations 8 and 9).

    At step t let x_t be the decoder's input, c_t the context, s_t the decoder's output, and a_ti the attention
    weights, of which those of source symbols that cannot be copied are set to zero and the others scaled to sum to 1.
    Then

        p_gen = sigmoid(w [x_t; c_t; s_t] + b)
        P(w)  = p_gen P_vocabulary(w) + (1 - p_gen) sum of a_ti over all i with x_i = w

    The vocabulary is extended by one symbol for each source step: what the target vocabulary has not is copied by its
    place, also letters that training never had. Where nothing can be copied, the generator alone writes.

    Args:
        symbols: Size of the target vocabulary.
        copies: For each source id the target id of the same symbol, or a constant of `rnncli.data.copying`.
        width: Width of [x_t; c_t; s_t].
    """

    def __init__(self, symbols: int, copies: tuple[int, ...], width: int, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        self.symbols, self.copies = symbols, np.array(copies, np.int32)
        generate_first = keras.initializers.Constant(FIRST_BIAS)
        self.switch = keras.layers.Dense(1, bias_initializer=generate_first, name="switch", dtype="float32")
        self.width = width

    def build(self, *_: Any, **__: Any) -> None:
        """Create the variables."""
        self.switch.build((None, None, self.width))
        self.built = True

    def places(self, source: Tensor) -> Tensor:
        """Return the id that copying each source step writes, int32 [batch, source steps]; negative where it cannot.

        Args:
            source: Ids, int [batch, source steps].
        """
        found = ops.take(self.copies, source, axis=0)
        by_place = self.symbols + ops.arange(source.shape[1], dtype="int32")[None, :]
        return ops.where(found == COPY_BY_PLACE, by_place, found)

    def call(self, logits: Tensor, inputs: list[Tensor], weights: Tensor, places: Tensor) -> Tensor:
        """Return log probabilities of the extended vocabulary.

        Args:
            logits: Of the generator, float [batch, target steps, symbols].
            inputs: x_t, c_t and s_t, float [batch, target steps, width] each.
            weights: Attention weights, float [batch, target steps, source steps].
            places: See `places`.

        Returns:
            float32 [batch, target steps, symbols + source steps]; at least log `MIN_PROBABILITY`.
        """
        can_copy = ops.cast(places >= 0, "float32")
        copied = ops.cast(weights, "float32") * can_copy[:, None, :]
        copied = copied / ops.maximum(ops.sum(copied, axis=-1, keepdims=True), MIN_COPIED)
        extended = self.symbols + weights.shape[-1]
        copied = ops.matmul(copied, ops.one_hot(places, extended, dtype="float32"))  # a negative id has no 1
        gates = self.switch(ops.concatenate([ops.cast(each, "float32") for each in inputs], axis=-1))
        generates = ops.sigmoid(gates)
        generates = ops.where(ops.max(can_copy, axis=1)[:, None, None] > 0, generates, ops.ones_like(generates))
        written = ops.softmax(ops.cast(logits, "float32"), axis=-1)
        written = ops.pad(written, [[0, 0], [0, 0], [0, extended - self.symbols]])
        return ops.log(ops.maximum(generates * written + (1 - generates) * copied, MIN_PROBABILITY))

    def compute_output_spec(self, logits: Tensor, inputs: list[Tensor], weights: Tensor, places: Tensor) -> Tensor:
        """Return the symbolic log probabilities, for Keras's functional models."""
        del inputs, places
        return keras.KerasTensor((*logits.shape[:-1], self.symbols + weights.shape[-1]))
