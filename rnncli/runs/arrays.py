"""Named arrays as bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

Arrays = dict[str, NDArray[Any]]


def format_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The arrays as a safetensors file; in C order, since of others the library writes the bytes as they lie."""
    return save({name: np.asarray(value, order="C") for name, value in arrays.items()})


def weights_digest(weights: Arrays) -> str:
    """sha256 over names, types, shapes and bytes of all arrays: equal if and only if the weights are."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = np.asarray(weights[name], order="C")
        digest.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
