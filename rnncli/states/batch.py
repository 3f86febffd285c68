"""Batches of states, as a model returns them and every format takes them.

An array is named by its place in the model, as in the state dictionary: `encoder/0/forward/h` holds the state after
each step, `encoder/0/output` the output of the layer, `encoder/0/forward/final/h` the state after the last step.
Decoder arrays have a step for each target symbol, all others for each source symbol. Of a classifier of two texts the
encoder reads the first and the decoder the second: the source side is the first text, the target side the second.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.errors import RunFailedError

Floats = NDArray[np.floating[Any]]
Spec = Mapping[str, tuple[int, ...]]

NAME = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)+")
ATTENTION = "decoder/attention"
"""The array of attention weights; its units are the steps of the source."""
MAX_AXES = 8
"""Axes of an array without the examples."""
_SPECIAL = re.compile(r"<\w+>")
_CONTROL_PICTURES = {"\t": "␉", "\n": "␊", "\v": "␋", "\f": "␌", "\r": "␍", " ": "␣"}


@dataclass(frozen=True)
class StateBatch:
    """The states of some examples.

    Attributes:
        sources: Sources as text.
        predictions: Predictions as text.
        source_tokens: Source symbols in reading order, as many as the source length.
        target_tokens: Predicted (free-running) or given (teacher-forced) target symbols with end-of-sequence, as many
            as the target length.
        source_lengths: int32 [batch].
        target_lengths: int32 [batch].
        arrays: Float arrays by name: [batch, steps, units], or [batch, units] for final states. The units of a custom
            cell may be several axes.
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
        """Return the symbols of the `source` or the `target`."""
        return self.target_tokens if side == "target" else self.source_tokens

    def lengths(self, side: str) -> NDArray[np.int32]:
        """Return the lengths of the `source` or the `target`, int32 [batch]."""
        return self.target_lengths if side == "target" else self.source_lengths


def side_of(name: str) -> str:
    """Return whose steps an array has: `source` or `target`."""
    return "target" if name.startswith("decoder/") else "source"


def is_final(name: str) -> bool:
    """Return True if an exported array of this name holds final states, one an example."""
    return "/final/" in name


def as_vectors(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of an array without the examples, with each state flattened to a vector."""
    steps = () if is_final(name) else shape[:1]
    return (*steps, math.prod(shape[len(steps) :]))


def state_name(name: str) -> str:
    """Return the name in the state dictionary of an exported final state."""
    head, final, leaf = name.rpartition("/final/")
    return f"{head}/{leaf}" if final else name


def check_spec(spec: Spec) -> None:
    """Check that every format can hold arrays of these names and shapes.

    Raises:
        ValueError: A name or a shape is not that of an array of states, or a name is a prefix of another.
    """
    for name, shape in spec.items():
        if not NAME.fullmatch(name) or not 1 <= len(shape) <= MAX_AXES:
            raise ValueError(f"not an array of states: {name!r} {shape}")
        if any(other.startswith(f"{name}/") for other in spec):
            raise ValueError(f"{name} is an array and a prefix of another")


def prepare_batch(batch: StateBatch, spec: Spec, dtype: np.dtype[Any]) -> StateBatch:
    """Return a batch for files: of one type, in C order, zero after the end of rows, with text that all formats hold.

    Args:
        batch: The batch; it is not changed.
        spec: The arrays wanted and their shapes without the batch; others are dropped.
        dtype: float32 or float16.

    Raises:
        ValueError: The batch does not fit the spec, or its own lengths.
        RunFailedError: A state is not finite, or too large for the type.
    """
    for side in ("source", "target"):
        if [len(tokens) for tokens in batch.tokens(side)] != batch.lengths(side).tolist():
            raise ValueError(f"the numbers of {side} tokens are not the lengths")
    return replace(
        batch,
        sources=[_storable(text) for text in batch.sources],
        predictions=[_storable(text) for text in batch.predictions],
        source_tokens=[[_storable(token) for token in tokens] for tokens in batch.source_tokens],
        target_tokens=[[_storable(token) for token in tokens] for tokens in batch.target_tokens],
        source_lengths=np.asarray(batch.source_lengths, np.int32),
        target_lengths=np.asarray(batch.target_lengths, np.int32),
        arrays={name: _prepare_array(batch, name, shape, dtype) for name, shape in spec.items()},
    )


def _prepare_array(batch: StateBatch, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Floats:
    given = np.asarray(batch.arrays[name]) if name in batch.arrays else None
    if given is None or given.shape != (len(batch), *shape):
        raise ValueError(f"{name} is not of shape {(len(batch), *shape)}: {None if given is None else given.shape}")
    with np.errstate(over="ignore"):  # values too large for float16 become infinite, which is found below
        array: Floats = np.array(given, dtype, order="C")
    if not is_final(name):
        lengths = batch.lengths(side_of(name))
        if lengths.size and lengths.max() > shape[0]:
            raise ValueError(f"{name} has {shape[0]} steps, fewer than the longest {side_of(name)}")
        array[np.arange(shape[0]) >= lengths[:, np.newaxis]] = 0
    if not np.isfinite(array).all():
        if np.isfinite(given).all():
            raise RunFailedError(f"{name}: a state is too large for {dtype.name}", "use --dtype float32")
        raise RunFailedError(f"{name}: a state is not finite", "the model has probably diverged")
    return array


def _storable(text: str) -> str:
    """Return text without what some formats cannot hold: NUL and lone surrogates."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "␀")


def visible_token(token: str) -> str:
    """Return a token as a word without white space, for formats whose words are separated by it."""
    if not token:
        return "∅"
    return "".join(
        _CONTROL_PICTURES.get(letter, f"<U+{ord(letter):04X}>") if letter.isspace() else letter for letter in token
    )


def is_reversed(tokens: Sequence[str], text: str) -> bool:
    """Return True if symbols are those of a text from its last to its first; not for a palindrome.

    Args:
        tokens: The symbols of a `StateBatch`, end-of-sequence perhaps included.
        text: The source or the prediction that they are of.
    """
    shown = "".join(_CONTROL_PICTURES.get(symbol, symbol) for symbol in text)
    found = "".join(token for token in tokens if not _SPECIAL.fullmatch(token))
    return found == shown[::-1] and found != shown
