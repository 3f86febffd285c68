"""Monotonic attention in NumPy over one source, with the alignment given the whole target. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.config import EncoderDecoderModel

Array = NDArray[np.float32]


class NumpyAlignment:
    """The alignments of one source with a target that is written symbol by symbol.

    It does what `rnncli.layers.MonotonicAttention` does, whose names it uses, with the probabilities of all moves
    from step to step written out.

    Args:
        model: The config of the model.
        weights: float32 arrays by the names of the variables.
        outputs: Encoder outputs, float32 [source steps, width].
        output_layer: Maps v_ts, float32 [source steps, width], to logits, float32 [source steps, symbols].
    """

    def __init__(
        self,
        model: EncoderDecoderModel,
        weights: Mapping[str, NDArray[Any]],
        outputs: Array,
        output_layer: Callable[[Array], Array],
    ) -> None:
        self.model, self.weights, self.output_layer = model, weights, output_layer
        self.keys = outputs @ weights["attention/key/kernel"]
        self.values = outputs @ weights["attention/write_value/kernel"]
        self.moves: list[Array] = []  # log p(a_t | a_{t-1}) of each target step
        self.alphas: list[Array] = []
        self.written: list[Array] = []  # log p(y_t | a_t)
        self.logits = np.zeros(0, np.float32)

    def read(self, query: Array) -> Array:
        """Return log p(y_t | y_<t, x), float32 [symbols], given the decoder's output h_t, float32 [units]."""
        with np.errstate(divide="ignore"):  # of moves that cannot be, whose log is minus infinity
            self.moves.append(np.log(self._moves(query)).astype(np.float32))
        known = np.zeros(len(self.keys), np.float32)
        if not self.alphas:
            known[1:] = -np.inf
        else:
            known = log_softmax(self.alphas[-1] + self.written[-1])
        self.alphas.append(np.logaddexp.reduce(known[:, None] + self.moves[-1], axis=0))
        vectors = np.tanh(query @ self.weights["attention/write_query/kernel"] + self.values)
        self.logits = log_softmax(self.output_layer(vectors))
        mixed: Array = np.logaddexp.reduce(self.alphas[-1][:, None] + self.logits, axis=0)
        return mixed

    def write(self, symbol: int) -> None:
        """Go on after a symbol was written."""
        self.written.append(self.logits[:, symbol])

    def _moves(self, query: Array) -> Array:
        """Return p(a_t = s | a_{t-1} = r), float32 [source steps r, source steps s]."""
        steps = len(self.keys)
        there = np.arange(steps) - np.arange(steps)[:, None]  # s - r
        if self.model.attention_order == 0 or not self.alphas:
            scores, able = np.broadcast_to(self.keys @ query, there.shape), there >= 0
        else:
            read = query @ self.weights["attention/jump_query/kernel"] + self.weights["attention/jump_query/bias"]
            jumps = read + self.keys @ self.weights["attention/jump_key/kernel"]
            able = (there >= 0) & (there <= self.model.attention_window)
            scores = np.take_along_axis(jumps, np.where(able, there, 0), axis=1)
        found: Array = np.exp(log_softmax(np.where(able, scores, -np.inf)))
        return found

    def posterior(self) -> Array:
        """Return p(a_t = s | y, x), float32 [target steps, source steps], by the backward algorithm."""
        later = np.zeros(len(self.keys), np.float32)
        found: list[Array] = []
        for moves, alpha, written in reversed(list(zip(self.moves, self.alphas, self.written, strict=True))):
            found.append(np.exp(log_softmax(alpha + written + later)))
            later = np.logaddexp.reduce(moves + written + later, axis=1)
        return np.stack(found[::-1])


def log_softmax(scores: Array) -> Array:
    """Return log probabilities along the last axis; scores may be minus infinity, but not all."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    found: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found
