"""Symbols as vectors: one-hot, learned, or one number."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from rnncli.layers.cells import Lookup


class Symbols(keras.layers.Layer):
    """Ids to vectors.

    Args:
        symbols: Size of the vocabulary.
        embedding: Width of a learned vector a symbol (`keras.layers.Embedding`); None is one-hot.
        as_number: One value a symbol in place of a vector: its id over `symbols`.
    """

    def __init__(self, symbols: int, embedding: int | None = None, as_number: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.symbols = symbols
        self.as_number = as_number
        self.table = None if embedding is None else keras.layers.Embedding(symbols, embedding, name="embedding")
        self.width = 1 if as_number else symbols if embedding is None else embedding

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the table of learned vectors, where there is one."""
        if self.table is not None:
            self.table.build(input_shape)
        self.built = True

    def read(self, ids: Any) -> Any:
        """What a stack of recurrent layers reads: where they can, vectors are looked up, not made.

        Args:
            ids: int [batch, time].

        Returns:
            A `Lookup`, or float [batch, time, width] where there is no table or the ids are symbolic.
        """
        if self.as_number or isinstance(ids, keras.KerasTensor):
            return self(ids)
        return Lookup(
            tf.convert_to_tensor(ids), self.symbols, None if self.table is None else self.table.embeddings.value
        )

    def call(self, ids: Any) -> Any:
        """Int ids of any shape [...] to float vectors [..., width]."""
        if self.as_number:
            return (ops.cast(ids, self.compute_dtype) / self.symbols)[..., None]
        if self.table is not None:
            return self.table(ids)
        return ops.one_hot(ids, self.symbols, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The ids' shape and the width of a vector."""
        return (*input_shape, self.width)


class TiedOutput(keras.layers.Layer):
    """Logits by the vectors of the symbols themselves, and a bias (Press & Wolf 2017).

    Args:
        symbols: Whose table of learned vectors is used.
    """

    def __init__(self, symbols: Symbols, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table: Any = symbols.table
        self.bias = self.add_weight(shape=(symbols.symbols,), initializer="zeros", name="bias")

    def call(self, vectors: Any) -> Any:
        """Vectors, float [..., width of the table], to logits, float [..., symbols]."""
        return ops.matmul(vectors, ops.transpose(self.table.embeddings)) + self.bias

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The vectors' shape, with the symbols for the width."""
        return (*input_shape[:-1], self.bias.shape[0])
