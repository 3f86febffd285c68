"""The encoder of the features of a source, such as the tags of an inflected form."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from rnncli.data.vocabulary import PAD_ID
from rnncli.layers.tensors import Tensor


class FeatureEncoder(keras.layers.Layer):
    """Map the features of a source, whatever their order, to a vector: tanh(W sum_i e_i + b).

    Args:
        width: Width of the vector.
        embedding: Width of the vector e_i of a feature.
    """

    def __init__(self, width: int, embedding: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width, self.embedding = width, embedding
        self.dense = keras.layers.Dense(width, activation="tanh", name="dense")

    def build(self, *_: Any, **__: Any) -> None:
        """Create the variables."""
        self.dense.build((None, self.embedding))
        self.built = True

    def call(self, vectors: Tensor, ids: Tensor) -> Tensor:
        """Map the features of each source to a vector.

        Args:
            vectors: Of each feature, float [batch, features, embedding].
            ids: Of each feature, int [batch, features], padded with 0.

        Returns:
            float [batch, width].
        """
        given = ops.cast(ops.not_equal(ids, PAD_ID), vectors.dtype)
        return self.dense(ops.sum(vectors * given[:, :, None], axis=1))

    def compute_output_spec(self, vectors: Tensor, ids: Tensor) -> Tensor:
        """Return the symbolic vectors, for Keras's functional models."""
        del ids
        return keras.KerasTensor((vectors.shape[0], self.width))
