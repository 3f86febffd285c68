"""Attention over the encoder's outputs, after the decoder's recurrence."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

Memory = dict[str, Any]
"""What attention looks at, by name: `values`, float [batch, source steps, width], `keys`, float [batch, source steps,
units], and `lengths`, int [batch]; empty without attention."""


class Attention(keras.layers.Layer):
    """Decoder outputs look at the encoder's outputs, and become what is answered from.

    With h_t a decoder output and k_s an encoder output, the weights are the softmax over s of a score: h_t k_s for
    `dot`, h_t W k_s for `general` (both of Luong, Pham & Manning 2015, equation 8), v tanh(W h_t + U k_s) for
    `additive` (Bahdanau, Cho & Bengio 2015). The context c_t is the weighted sum of the k_s, and the result
    tanh(C [c_t; h_t]) (Luong, equation 5). Padding has no weight.

    Args:
        kind: `dot`, `general` or `additive`.
        units: Width of the decoder's outputs.
        width: Of the result.
    """

    def __init__(self, kind: str, units: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        additive = kind == "additive"
        self.key = None if kind == "dot" else keras.layers.Dense(units, use_bias=False, name="key")
        self.query = keras.layers.Dense(units, use_bias=False, name="query") if additive else None
        attend = keras.layers.AdditiveAttention if additive else keras.layers.Attention
        self.attend: Any = attend(name="attend")
        self.combine = keras.layers.Dense(width, activation="tanh", use_bias=False, name="combine")
        self.units, self.width = units, width

    def build(self, query_shape: tuple[Any, ...], values_shape: tuple[Any, ...], **_: Any) -> None:
        """Make the weights, given the shapes of decoder outputs and encoder outputs."""
        for layer, shape in ((self.key, values_shape), (self.query, query_shape)):
            if layer is not None:
                layer.build(shape)
        self.attend.build([query_shape, values_shape, (*values_shape[:-1], self.units)])
        self.combine.build((None, None, self.units + values_shape[-1]))
        self.built = True

    def memory(self, outputs: Any, lengths: Any) -> Memory:
        """What stays the same at all steps.

        Args:
            outputs: Of the encoder, float [batch, source steps, width].
            lengths: int [batch].
        """
        return {"values": outputs, "keys": outputs if self.key is None else self.key(outputs), "lengths": lengths}

    def call(self, query: Any, values: Any, keys: Any, lengths: Any) -> tuple[Any, Any]:
        """Look at a memory.

        Args:
            query: Outputs of the decoder, float [batch, steps, units].
            values: Of the memory.
            keys: Of the memory.
            lengths: Of the memory.

        Returns:
            float [batch, steps, width], and the weights, float [batch, steps, source steps].
        """
        read = ops.arange(values.shape[1])[None, :] < lengths[:, None]
        asked = query if self.query is None else self.query(query)
        context, weights = self.attend([asked, values, keys], mask=[None, read], return_attention_scores=True)
        return self.combine(ops.concatenate([context, query], axis=-1)), weights

    def compute_output_spec(self, query: Any, values: Any, **_: Any) -> tuple[Any, Any]:
        """Shapes of the results, for Keras's summary."""
        batch, steps, _ = query.shape
        return keras.KerasTensor((batch, steps, self.width)), keras.KerasTensor((batch, steps, values.shape[1]))
