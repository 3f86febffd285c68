"""From the encoder's final state to the decoder's initial state."""

from __future__ import annotations

import math
from typing import Any, Literal

import keras
from keras import ops

from rnncli.layers.recurrent import State

Spec = dict[str, tuple[int, ...]]
"""Name to shape, without the batch, of states."""


class Bridge(keras.layers.Layer):
    """Makes the decoder's initial state from the encoder's final state.

    Args:
        source: Names and shapes of the encoder's states.
        target: Names and shapes of the decoder's states.
        kind: `copy` takes the encoder's states as they are, in order, those of a layer's two directions side by side
            (h with h, c with c); the shapes must agree. With `dense` each of the decoder's states is a linear
            function of all of the encoder's. `zero` gives zeros.
    """

    def __init__(self, source: Spec, target: Spec, kind: Literal["copy", "dense", "zero"]) -> None:
        super().__init__(name="bridge")
        self.source, self.target, self.kind = dict(source), dict(target), kind
        self.joined = _joined(source)
        if kind == "copy" and not fits(source, target):
            raise ValueError(f"states differ in shape: {source} and {target}")
        wide = {name.replace("/", "_"): math.prod(shape) for name, shape in target.items()} if kind == "dense" else {}
        self.dense = [keras.layers.Dense(width, name=name) for name, width in wide.items()]

    def build(self, _: Any) -> None:
        """Make the dense layers' weights."""
        width = sum(map(math.prod, self.source.values()))
        for layer in self.dense:
            layer.build((None, width))
        self.built = True

    def call(self, state: State) -> State:
        """States of the encoder, each float [batch, *shape], to states of the decoder."""
        if self.kind == "copy":
            values = [_side_by_side([state[name] for name in names]) for names in self.joined.values()]
        else:
            flat = [ops.reshape(state[name], (-1, math.prod(shape))) for name, shape in self.source.items()]
            shapes = self.target.values()
            if self.kind == "dense":
                everything = _side_by_side(flat)
                rows = [dense(everything) for dense in self.dense]
            else:
                zero = ops.zeros_like(flat[0][:, :1])
                rows = [ops.repeat(zero, math.prod(shape), axis=1) for shape in shapes]
            values = [ops.reshape(row, (-1, *shape)) for row, shape in zip(rows, shapes, strict=True)]
        return dict(zip(self.target, values, strict=True))

    def compute_output_spec(self, state: Any) -> dict[str, Any]:
        """Shapes of the decoder's states, for Keras's summary."""
        batch = next(iter(state.values())).shape[0]
        return {name: keras.KerasTensor((batch, *shape)) for name, shape in self.target.items()}


def fits(source: Spec, target: Spec) -> bool:
    """Whether states can be copied: in order, those of a layer's two directions side by side."""
    together = _joined(source).values()
    shapes = [(*source[names[0]][:-1], sum(source[name][-1] for name in names)) for names in together]
    return shapes == list(target.values())


def _joined(source: Spec) -> dict[str, list[str]]:
    """The names of the states of both directions, by the name of the forward one."""
    joined: dict[str, list[str]] = {}
    for name in source:
        joined.setdefault(name.replace("/backward/", "/forward/"), []).append(name)
    return joined


def _side_by_side(values: list[Any]) -> Any:
    return ops.concatenate(values, axis=-1) if len(values) > 1 else values[0]
