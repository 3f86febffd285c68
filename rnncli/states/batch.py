"""States of examples, as a model gives them and every format takes them.

An array's name is its address in the model, as in the state dictionary: `encoder/0/forward/h` holds a state after
each step, `encoder/0/output` what the layer hands on, `encoder/0/forward/final/h` the state after the last step.
Arrays of the decoder go along the steps of the target, all others along those of the source.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.errors import RunFailedError

Floats = NDArray[np.floating[Any]]
Spec = Mapping[str, tuple[int, ...]]

NAME = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)+")
ATTENTION = "decoder/attention"
"""The array of what a model looked at: for units it has the steps of the source."""
MOST_AXES = 8
"""Of an array, without the examples: what HDF5 and NumPy hold, and a reader has to expect."""
_CONTROL_PICTURES = {"\t": "␉", "\n": "␊", "\v": "␋", "\f": "␌", "\r": "␍", " ": "␣"}


@dataclass(frozen=True)
class StateBatch:
    """States of some examples, as the model gave them.

    Attributes:
        sources: The sources, text as a person writes it.
        predictions: What the model made of them, likewise.
        source_tokens: The symbols read, in reading order; as many as the source is long.
        target_tokens: The symbols written (free-running) or given (teacher-forced), with the end symbol; as many as
            the target is long.
        source_lengths: int32 [batch].
        target_lengths: int32 [batch].
        arrays: Floats by name: [batch, steps, units] of each step, [batch, units] of final states; for the units, the
            shapes that the states of a custom cell have.
    """

    sources: list[str]
    predictions: list[str]
    source_tokens: list[list[str]]
    target_tokens: list[list[str]]
    source_lengths: NDArray[np.int32]
    target_lengths: NDArray[np.int32]
    arrays: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.sources)

    def tokens(self, side: str) -> list[list[str]]:
        """The symbols of the `source` or the `target`."""
        return self.target_tokens if side == "target" else self.source_tokens

    def lengths(self, side: str) -> NDArray[np.int32]:
        """The lengths of the `source` or the `target`, int32 [batch]."""
        return self.target_lengths if side == "target" else self.source_lengths


def side_of(name: str) -> str:
    """Whose steps an array goes along: `source` or `target`."""
    return "target" if name.startswith("decoder/") else "source"


def is_final(name: str) -> bool:
    """Whether an exported array of this name holds one state an example, the one after its last step."""
    return "/final/" in name


def as_vectors(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an array, without the examples, with each state laid out as one vector."""
    steps = () if is_final(name) else shape[:1]
    return (*steps, math.prod(shape[len(steps) :]))


def state_name(name: str) -> str:
    """The name in the state dictionary of an exported final state."""
    head, final, leaf = name.rpartition("/final/")
    return f"{head}/{leaf}" if final else name


def check_spec(spec: Spec) -> None:
    """Make sure that every format can hold arrays of these names and shapes.

    Raises:
        ValueError: A name or a shape is none of an array of states, or a name is a folder of another.
    """
    for name, shape in spec.items():
        if not NAME.fullmatch(name) or not 1 <= len(shape) <= MOST_AXES:
            raise ValueError(f"no array of states: {name!r} {shape}")
        if any(other.startswith(f"{name}/") for other in spec):
            raise ValueError(f"{name} is an array and a folder of arrays")


def prepared(batch: StateBatch, spec: Spec, dtype: np.dtype[Any]) -> StateBatch:
    """A batch fit for a file: of one type, C order, zeros after each row's end, text that every format can hold.

    Args:
        batch: As the model gave it; it stays as it is.
        spec: The arrays wanted, and their shapes without the batch; others are left out.
        dtype: float32 or float16.

    Raises:
        ValueError: The batch does not fit the spec, or its own lengths.
        RunFailedError: A state is not finite, or too large for the type.
    """
    for side in ("source", "target"):
        if [len(tokens) for tokens in batch.tokens(side)] != batch.lengths(side).tolist():
            raise ValueError(f"the {side} tokens are not as many as the lengths say")
    return replace(
        batch,
        sources=[_storable(text) for text in batch.sources],
        predictions=[_storable(text) for text in batch.predictions],
        source_tokens=[[_storable(token) for token in tokens] for tokens in batch.source_tokens],
        target_tokens=[[_storable(token) for token in tokens] for tokens in batch.target_tokens],
        source_lengths=np.asarray(batch.source_lengths, np.int32),
        target_lengths=np.asarray(batch.target_lengths, np.int32),
        arrays={name: _prepared_array(batch, name, shape, dtype) for name, shape in spec.items()},
    )


def _prepared_array(batch: StateBatch, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Floats:
    given = np.asarray(batch.arrays[name]) if name in batch.arrays else None
    if given is None or given.shape != (len(batch), *shape):
        raise ValueError(f"{name} is not of shape {(len(batch), *shape)}: {None if given is None else given.shape}")
    with np.errstate(over="ignore"):  # too large for float16 is infinite, and found below
        array: Floats = np.array(given, dtype, order="C")
    if not is_final(name):
        lengths = batch.lengths(side_of(name))
        if lengths.size and lengths.max() > shape[0]:
            raise ValueError(f"{name} has {shape[0]} steps, fewer than the longest {side_of(name)}")
        array[np.arange(shape[0]) >= lengths[:, np.newaxis]] = 0
    if not np.isfinite(array).all():
        if np.isfinite(given).all():
            raise RunFailedError(f"{name}: a state is too large for {dtype.name}", "--dtype float32 holds it")
        raise RunFailedError(f"{name}: a state is not a finite number", "were the weights trained to the end?")
    return array


def _storable(text: str) -> str:
    """The text without what some format cannot hold: NUL, and halves of characters beyond U+FFFF."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "␀")


def visible(token: str) -> str:
    """The token as one word without whitespace, for formats that separate words by it."""
    if not token:
        return "∅"
    return "".join(
        _CONTROL_PICTURES.get(letter, f"<U+{ord(letter):04X}>") if letter.isspace() else letter for letter in token
    )
