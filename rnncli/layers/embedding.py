"""Token embeddings: one-hot, learned, or one number; and output layers that share a learned one."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from rnncli.layers.fused_kernels import EmbeddingLookup
from rnncli.layers.tensors import Tensor


class TokenEmbedding(keras.layers.Layer):
    """Map ids of symbols to vectors.

    Args:
        symbols: Vocabulary size.
        embedding: Embedding size of a learned `keras.layers.Embedding`; None is one-hot vectors.
        as_number: True for one value a symbol, its id divided by `symbols`, in place of a vector.
    """

    def __init__(self, symbols: int, embedding: int | None = None, as_number: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.symbols = symbols
        self.as_number = as_number
        self.table = None if embedding is None else keras.layers.Embedding(symbols, embedding, name="embedding")
        self.width = 1 if as_number else symbols if embedding is None else embedding

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the embedding matrix, if there is one."""
        if self.table is not None:
            self.table.build(input_shape)
        self.built = True

    def read(self, ids: Tensor) -> Tensor | EmbeddingLookup:
        """Return the input of a `RecurrentStack`, if possible without making the vectors.

        Args:
            ids: int [batch, time].

        Returns:
            An `EmbeddingLookup`; or float [batch, time, width], if a symbol is a number or the ids are symbolic.
        """
        if self.as_number or isinstance(ids, keras.KerasTensor):
            return self(ids)
        table = None if self.table is None else self.table.embeddings.value
        return EmbeddingLookup(tf.convert_to_tensor(ids), self.symbols, table)

    def call(self, ids: Tensor) -> Tensor:
        """Map ids, int [...], to vectors, float [..., width]."""
        if self.as_number:
            return (ops.cast(ids, self.compute_dtype) / self.symbols)[..., None]
        if self.table is not None:
            return self.table(ids)
        return ops.one_hot(ids, self.symbols, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the vectors."""
        return (*input_shape, self.width)


class TiedOutput(keras.layers.Layer):
    """Output layer whose kernel is the transposed embedding matrix (weight tying, Press & Wolf 2017).

    Args:
        embedding: The learned embedding.

    Raises:
        ValueError: The embedding is not learned.
    """

    def __init__(self, embedding: TokenEmbedding, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if embedding.table is None:
            raise ValueError("only a learned embedding can be tied")
        self.table = embedding.table
        self.bias = self.add_weight(shape=(embedding.symbols,), initializer="zeros", name="bias")

    def call(self, vectors: Tensor) -> Tensor:
        """Map vectors, float [..., embedding size], to logits, float [..., symbols]."""
        return ops.matmul(vectors, ops.transpose(self.table.embeddings)) + self.bias

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the logits."""
        return (*input_shape[:-1], self.bias.shape[0])
