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
    """Return arrays as a safetensors file, in C order: the library would write others' bytes in memory order."""
    return save({name: np.asarray(value, order="C") for name, value in arrays.items()})


def weights_digest(weights: Arrays) -> str:
    """Return the SHA-256 of names, types, shapes and bytes of all arrays, as hexadecimal digits."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = np.asarray(weights[name], order="C")
        digest.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
