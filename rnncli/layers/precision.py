"""In which type layers compute; their variables, a model's logits and its loss are float32 always."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

POLICIES = {
    "float32": "float32",
    "tensorfloat32": "float32",  # float32 to Keras; the GPU rounds what it multiplies, see `rnncli.runtime`
    "mixed_bfloat16": "mixed_bfloat16",
    "mixed_float16": "mixed_float16",
}
"""Keras's dtype policy by `runtime.precision`."""


@contextlib.contextmanager
def layers_of(precision: str) -> Iterator[None]:
    """Layers made inside compute in this precision, a name in `POLICIES`."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
