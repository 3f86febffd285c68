"""The bridge from the encoder's final states to the decoder's initial states."""

from __future__ import annotations

import math
from typing import Any, Literal

import keras
from keras import ops

from rnncli.layers.recurrent import State, StateSpec
from rnncli.layers.tensors import Tensor


class Bridge(keras.layers.Layer):
    """Make the decoder's initial states from the encoder's final states.

    Args:
        source: Names and shapes of the encoder's states.
        target: Names and shapes of the decoder's states.
        kind: `copy` copies the encoder's states in order, those of both directions concatenated (h with h, c with
            c) unless the decoder has both directions too; the shapes must fit. `dense` computes each state of the
            decoder by a dense layer of all states of the encoder. `zero` returns zeros.

    Raises:
        ValueError: `copy`, and the shapes do not fit.
    """

    def __init__(self, source: StateSpec, target: StateSpec, kind: Literal["copy", "dense", "zero"]) -> None:
        super().__init__(name="bridge")
        self.source, self.target, self.kind = dict(source), dict(target), kind
        self.joined = _pair_directions(source, target)
        if kind == "copy" and not fits(source, target):
            raise ValueError(f"states differ in shape: {source} and {target}")
        wide = {name.replace("/", "_"): math.prod(shape) for name, shape in target.items()} if kind == "dense" else {}
        self.dense = [keras.layers.Dense(width, name=name) for name, width in wide.items()]

    def build(self, _: Any) -> None:
        """Create the variables of the dense layers."""
        width = sum(map(math.prod, self.source.values()))
        for layer in self.dense:
            layer.build((None, width))
        self.built = True

    def call(self, state: State) -> State:
        """Map the encoder's states, float [batch, *shape] each, to the decoder's."""
        if self.kind == "copy":
            values = [_concatenate([state[name] for name in names]) for names in self.joined.values()]
        else:
            flat = [ops.reshape(state[name], (-1, math.prod(shape))) for name, shape in self.source.items()]
            shapes = self.target.values()
            if self.kind == "dense":
                everything = _concatenate(flat)
                rows = [dense(everything) for dense in self.dense]
            else:
                zero = ops.zeros_like(flat[0][:, :1])
                rows = [ops.repeat(zero, math.prod(shape), axis=1) for shape in shapes]
            values = [ops.reshape(row, (-1, *shape)) for row, shape in zip(rows, shapes, strict=True)]
        return dict(zip(self.target, values, strict=True))

    def compute_output_spec(self, state: State) -> State:
        """Return the symbolic states of the decoder, for Keras's functional models."""
        batch = next(iter(state.values())).shape[0]
        return {name: keras.KerasTensor((batch, *shape)) for name, shape in self.target.items()}


def fits(source: StateSpec, target: StateSpec) -> bool:
    """Return True if states can be copied in order; those of both directions are concatenated for a target of one."""
    together = _pair_directions(source, target).values()
    shapes = [(*source[names[0]][:-1], sum(source[name][-1] for name in names)) for names in together]
    return shapes == list(target.values())


def _pair_directions(source: StateSpec, target: StateSpec) -> dict[str, list[str]]:
    """Return the names of a state in both directions, by the forward one; each alone if the target has both."""
    if any("/backward/" in name for name in target):
        return {name: [name] for name in source}
    joined: dict[str, list[str]] = {}
    for name in source:
        joined.setdefault(name.replace("/backward/", "/forward/"), []).append(name)
    return joined


def _concatenate(values: list[Tensor]) -> Tensor:
    return ops.concatenate(values, axis=-1) if len(values) > 1 else values[0]
