"""Attention of decoder outputs over encoder outputs."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from rnncli.layers.tensors import Tensor

Memory = dict[str, Tensor]
"""The attention memory by name: `values`, float [batch, source steps, width], `keys`, float [batch, source steps,
units], and `lengths`, int [batch]. Monotonic attention and copying add some. Empty without attention."""


class Attention(keras.layers.Layer):
    """Attention after the decoder's recurrence, as in Luong, Pham & Manning (2015).

    Let h_t be a decoder output and k_s an encoder output. The attention weights are the softmax over s of the score,
    with padding masked:

    * `dot`: h_t k_s (Luong et al. 2015, equation 8);
    * `general`: h_t W k_s (the same);
    * `additive`: v tanh(W h_t + U k_s) (Bahdanau, Cho & Bengio 2015, appendix A.1.2).

    The context c_t is the weighted sum of the k_s, and the output is tanh(C [c_t; h_t]) (Luong et al. 2015,
    equation 5).

    Args:
        kind: `dot`, `general` or `additive`.
        units: Width of the decoder outputs.
        width: Width of the output.
    """

    def __init__(self, kind: str, units: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        additive = kind == "additive"
        self.key = None if kind == "dot" else keras.layers.Dense(units, use_bias=False, name="key")
        self.query = keras.layers.Dense(units, use_bias=False, name="query") if additive else None
        attend = keras.layers.AdditiveAttention if additive else keras.layers.Attention
        self.attend: keras.layers.Layer = attend(name="attend")
        self.combine = keras.layers.Dense(width, activation="tanh", use_bias=False, name="combine")
        self.units, self.width = units, width

    def build(
        self, query_shape: tuple[int | None, ...], values_shape: tuple[int | None, int | None, int], **_: Any
    ) -> None:
        """Create the variables, given the shapes of decoder outputs and encoder outputs."""
        for layer, shape in ((self.key, values_shape), (self.query, query_shape)):
            if layer is not None:
                layer.build(shape)
        self.attend.build([query_shape, values_shape, (*values_shape[:-1], self.units)])
        self.combine.build((None, None, self.units + values_shape[-1]))
        self.built = True

    def memory(self, outputs: Tensor, lengths: Tensor) -> Memory:
        """Return the memory, which is the same for all steps of the decoder.

        Args:
            outputs: Encoder outputs, float [batch, source steps, width].
            lengths: int [batch], source lengths.
        """
        return {"values": outputs, "keys": outputs if self.key is None else self.key(outputs), "lengths": lengths}

    def call(self, query: Tensor, values: Tensor, keys: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Attend to a memory.

        Args:
            query: Decoder outputs, float [batch, target steps, units].
            values: Of the memory.
            keys: Of the memory.
            lengths: Of the memory.

        Returns:
            The output, float [batch, target steps, width], and the attention weights, float [batch, target steps,
            source steps].
        """
        mask = ops.arange(values.shape[1])[None, :] < lengths[:, None]
        projected = query if self.query is None else self.query(query)
        context, weights = self.attend([projected, values, keys], mask=[None, mask], return_attention_scores=True)
        return self.combine(ops.concatenate([context, query], axis=-1)), weights

    def compute_output_spec(self, query: Tensor, values: Tensor, **_: Any) -> tuple[Tensor, Tensor]:
        """Return the symbolic output and weights, for Keras's functional models."""
        batch, steps, _ = query.shape
        return keras.KerasTensor((batch, steps, self.width)), keras.KerasTensor((batch, steps, values.shape[1]))
