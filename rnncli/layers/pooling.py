"""What of a sequence of outputs goes on, where one vector is wanted."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class Pooling(keras.layers.Layer):
    """The mean or the maximum of outputs over the steps that were read; padding plays no part.

    Args:
        maximum: Take the maximum of each output in place of the mean.
    """

    def __init__(self, maximum: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.maximum = maximum

    def call(self, sequence: Any, lengths: Any) -> Any:
        """Outputs, float [batch, time, width], padded on the right, with lengths, int [batch], to [batch, width].

        Of a row without any step the first output is taken, which is the initial state.
        """
        lengths = ops.maximum(lengths, 1)[:, None]
        read = (ops.arange(sequence.shape[1])[None, :] < lengths)[:, :, None]
        if self.maximum:
            return ops.max(ops.where(read, sequence, -float("inf")), axis=1)
        return ops.sum(ops.where(read, sequence, 0.0), axis=1) / ops.cast(lengths, sequence.dtype)

    def compute_output_spec(self, sequence: Any, lengths: Any) -> Any:
        """Shape of the result, for Keras's summary."""
        del lengths
        return keras.KerasTensor((sequence.shape[0], sequence.shape[2]))
