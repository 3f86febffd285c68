"""Named arrays as bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from rnncli.errors import RunDirError
from rnncli.text import quote

Arrays = dict[str, NDArray[Any]]

LONGEST_NAME = 1000


def format_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The arrays as a safetensors file; in C order, since of others the library writes the bytes as they lie."""
    return save({name: np.asarray(value, order="C") for name, value in arrays.items()})


def check_numbers(arrays: Mapping[str, NDArray[Any]], place: str) -> None:
    """Refuse what no weight and no state of a sound run is.

    Args:
        arrays: By name, as read.
        place: Where they are from, for messages.

    Raises:
        RunDirError: An array is not float32, holds a value that is not a finite number, or has no name to show.
    """
    for name, array in arrays.items():
        if len(name) > LONGEST_NAME or not name.isprintable():
            raise RunDirError(f"{place}: no name of an array: {quote(name)}")
        if array.dtype != np.float32:
            raise RunDirError(f"{place}: {name} is {array.dtype}, not float32")
        if not np.isfinite(array).all():
            raise RunDirError(f"{place}: {name} has values that are not finite numbers")


def weights_digest(weights: Arrays) -> str:
    """sha256 over names, types, shapes and bytes of all arrays: equal if and only if the weights are."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        value = np.asarray(weights[name], order="C")
        digest.update(f"{name} {value.dtype.str} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
