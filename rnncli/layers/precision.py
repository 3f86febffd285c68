"""The dtype in which layers compute. Variables, logits and loss are always float32."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

POLICIES = {
    "float32": "float32",
    "tensorfloat32": "float32",  # float32 to Keras; TensorFlow rounds the factors of products on the GPU
    "mixed_bfloat16": "mixed_bfloat16",
    "mixed_float16": "mixed_float16",
}
"""The Keras dtype policy of each `runtime.precision`."""


@contextlib.contextmanager
def layer_precision(precision: str) -> Iterator[None]:
    """Set the dtype policy of the layers made inside the context.

    Args:
        precision: A key of `POLICIES`.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
