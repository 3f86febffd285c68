"""The pointer-generator in NumPy over one source; see `rnncli.layers.PointerGenerator`. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.data.copying import COPY_BY_PLACE, MIN_COPIED, MIN_PROBABILITY
from rnncli.data.examples import Sizes

Array = NDArray[np.float32]


class NumpyPointer:
    """A mixture of a generator and a pointer, for one source.

    Args:
        sizes: Sizes of the vocabularies, and what copying each source id writes.
        weights: float32 arrays by the names of the variables.
        source: The ids of the source, its features included.

    Attributes:
        generates: The probability of each step to write from the vocabulary, p_gen.
    """

    def __init__(self, sizes: Sizes, weights: Mapping[str, NDArray[Any]], source: Sequence[int]) -> None:
        assert sizes.copies is not None, "which a model that copies has"
        self.symbols, self.features, self.weights = sizes.target_symbols, sizes.tags, weights
        found = np.array(sizes.copies, np.int32)[list(source)]
        self.places = np.where(found == COPY_BY_PLACE, self.symbols + np.arange(len(source)), found)
        self.generates: list[float] = []

    def read(self, logits: Array, inputs: Sequence[Array], weights: Array) -> Array:
        """Return the log probabilities of the extended vocabulary, float32 [symbols + source steps].

        Args:
            logits: Of the generator, float32 [symbols].
            inputs: Embedded previous symbol, context and output of the decoder, float32 [width] each.
            weights: Attention weights of the steps behind the features, float32 [source steps - features].
        """
        can_copy = self.places >= 0
        attended = np.concatenate([np.zeros(self.features, np.float32), weights]) * can_copy
        attended = attended / max(attended.sum(), MIN_COPIED)
        copied = np.zeros(self.symbols + len(self.places), np.float32)
        np.add.at(copied, self.places[can_copy], attended[can_copy])
        kernel, bias = self.weights["pointer_generator/switch/kernel"], self.weights["pointer_generator/switch/bias"]
        gate = float((np.concatenate(inputs) @ kernel + bias)[0])
        generates = 1 / (1 + np.exp(-gate)) if can_copy.any() else 1.0
        self.generates.append(generates)
        odds = np.exp(logits - logits.max())
        written = np.pad(odds / odds.sum(), (0, len(self.places)))
        mixed = np.log(np.maximum(generates * written + (1 - generates) * copied, MIN_PROBABILITY))
        mixed[self.symbols :][self.places < self.symbols] = -np.inf  # no symbol is copied from there
        return np.asarray(mixed, np.float32)
