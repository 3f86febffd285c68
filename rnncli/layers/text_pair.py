"""The two texts of a source that begins with the first one."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from rnncli.data.examples import SHARED_IDS
from rnncli.data.vocabulary import PAD_ID
from rnncli.layers.tensors import Tensor


class TextPair(keras.layers.Layer):
    """Split sources of two texts, of which the first is padded to a fixed length; see `Sizes.first_symbols`.

    Args:
        padded: Length that the first text is padded to.
        second_symbols: Size of the vocabulary of the second text, whose ids come before the others of the first.
    """

    def __init__(self, padded: int, second_symbols: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padded, self.second_symbols = padded, second_symbols

    def call(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Split sources.

        Args:
            source: int [batch, padded + steps].
            lengths: int [batch], the padded first text included.

        Returns:
            The ids of each text in a vocabulary of its own, int [batch, padded] and int [batch, steps], and their
            lengths, int [batch], in the order: first text, its length, second text, its length.
        """
        ids = source[:, : self.padded]
        first = ops.where(ids < SHARED_IDS, ids, ids - (self.second_symbols - SHARED_IDS))
        first_lengths = ops.sum(ops.cast(ops.not_equal(ids, PAD_ID), lengths.dtype), axis=1)
        return first, first_lengths, source[:, self.padded :], ops.maximum(lengths - self.padded, 0)

    def compute_output_spec(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the symbolic texts and lengths, for Keras's functional models."""
        rows, steps = source.shape
        shapes = ((rows, self.padded), (rows,), (rows, steps - self.padded), (rows,))
        first, first_lengths, second, second_lengths = (keras.KerasTensor(shape, lengths.dtype) for shape in shapes)
        return first, first_lengths, second, second_lengths
