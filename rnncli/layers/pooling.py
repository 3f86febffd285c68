"""Pooling of a sequence of outputs to one vector."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from rnncli.layers.tensors import Tensor


class Pooling(keras.layers.Layer):
    """Mean or maximum of outputs over time, with padding masked.

    Args:
        maximum: True for the maximum, False for the mean.
    """

    def __init__(self, maximum: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.maximum = maximum

    def call(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        """Pool a sequence.

        Args:
            sequence: float [batch, time, width], padded on the right.
            lengths: int [batch]. A row of length zero counts as one step, whose output is the initial state.

        Returns:
            float [batch, width].
        """
        lengths = ops.maximum(lengths, 1)[:, None]
        read = (ops.arange(sequence.shape[1])[None, :] < lengths)[:, :, None]
        if self.maximum:
            return ops.max(ops.where(read, sequence, -float("inf")), axis=1)
        return ops.sum(ops.where(read, sequence, 0.0), axis=1) / ops.cast(lengths, sequence.dtype)

    def compute_output_spec(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        """Return the symbolic result, for Keras's functional models."""
        del lengths
        return keras.KerasTensor((sequence.shape[0], sequence.shape[2]))
