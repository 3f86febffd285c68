"""Checks of named arrays, such as states and parameters, against the names, shapes and types that are needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rnncli.errors import InputError, RnncliError
from rnncli.text import quote

FED = "decoder/attention/fed"
"""The state that holds the attention output of the previous step, in models with input feeding."""

ALIGNMENT = "decoder/attention/alignment"
"""The state that holds the probability of each source step to be what the last symbol was written from, given those
before it, in models with monotonic attention. It is zero before the first symbol."""

MAX_NAME = 1000
"""Characters of an array's name."""


class ArraySpec(NamedTuple):
    """The shape and the type that an array must have."""

    shape: tuple[int, ...]
    dtype: DTypeLike = np.float32


def check_arrays(
    arrays: Mapping[str, NDArray[Any]],
    specs: Mapping[str, ArraySpec],
    place: str,
    kind: type[RnncliError] = InputError,
) -> None:
    """Refuse arrays that are not exactly those needed.

    Args:
        arrays: The arrays by name.
        specs: The name, shape and type of each array needed.
        place: Where the arrays are from, for messages.
        kind: The class of the error.

    Raises:
        RnncliError: Of the class `kind`: an array is missing or not known, or has another shape or type, or holds a
            value that is not finite.
    """
    known = ", ".join(list(specs)[:8]) + (", ..." if len(specs) > 8 else "")
    if missing := sorted(specs.keys() - arrays.keys()):
        raise kind(f"{place}: {missing[0]} is missing", f"needed are {known}")
    if unknown := sorted(arrays.keys() - specs.keys()):
        raise kind(f"{place}: {quote(unknown[0])} is not known", f"needed are {known}")
    for name, (shape, dtype) in specs.items():
        array = arrays[name]
        if array.shape != tuple(shape) or array.dtype != np.dtype(dtype):
            needed = f"{np.dtype(dtype)} {list(shape)}"
            raise kind(f"{place}: {name} is {array.dtype} {list(array.shape)}, not {needed}")
    check_finite(arrays, place, kind)


def check_floats(arrays: Mapping[str, NDArray[Any]], place: str, kind: type[RnncliError] = InputError) -> None:
    """Refuse arrays that no model has: of a name that cannot be shown, not float32, or not finite.

    Args:
        arrays: The arrays by name, as an untrusted file has them.
        place: Where the arrays are from, for messages.
        kind: The class of the error.

    Raises:
        RnncliError: Of the class `kind`.
    """
    for name, array in arrays.items():
        if len(name) > MAX_NAME or not name.isprintable():
            raise kind(f"{place}: no name of an array: {quote(name)}")
        if array.dtype != np.float32:
            raise kind(f"{place}: {name} is {array.dtype}, not float32")
    check_finite(arrays, place, kind)


def check_finite(arrays: Mapping[str, NDArray[Any]], place: str, kind: type[RnncliError] = InputError) -> None:
    """Refuse arrays with NaN or infinite values.

    Raises:
        RnncliError: Of the class `kind`; names the first such array.
    """
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise kind(f"{place}: {name} has values that are not finite")
