"""From the encoder's final state to the decoder's initial state."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from rnncli.layers.recurrent import State


class Bridge(keras.layers.Layer):
    """Makes the decoder's initial state from the encoder's final state.

    Args:
        source: Names and shapes of the encoder's states.
        target: Names and shapes of the decoder's states.
        copy: Take the encoder's states as they are, in order, those of a layer's two directions side by side (h with
            h, c with c); the shapes must agree. Otherwise each of the decoder's states is a linear function of all
            of the encoder's.
    """

    def __init__(self, source: dict[str, tuple[int, ...]], target: dict[str, tuple[int, ...]], copy: bool) -> None:
        super().__init__(name="bridge")
        self.source, self.target = dict(source), dict(target)
        self.copies = copy
        self.joined: dict[str, list[str]] = {}  # the states of both directions, by the name of the forward one
        for name in source:
            self.joined.setdefault(name.replace("/backward/", "/forward/"), []).append(name)
        widths = [(sum(source[name][0] for name in names),) for names in self.joined.values()]
        if copy and widths != list(target.values()):
            raise ValueError(f"states differ in shape: {source} and {target}")
        self.dense = [] if copy else [keras.layers.Dense(n, name=k.replace("/", "_")) for k, (n,) in target.items()]

    def build(self, _: Any) -> None:
        """Make the dense layers' weights."""
        width = sum(shape[0] for shape in self.source.values())
        for layer in self.dense:
            layer.build((None, width))
        self.built = True

    def call(self, state: State) -> State:
        """States of the encoder, each float [batch, units], to states of the decoder."""
        if self.copies:
            values = [_side_by_side([state[name] for name in names]) for names in self.joined.values()]
        else:
            everything = _side_by_side([state[name] for name in self.source])
            values = [layer(everything) for layer in self.dense]
        return dict(zip(self.target, values, strict=True))

    def compute_output_spec(self, state: Any) -> dict[str, Any]:
        """Shapes of the decoder's states, for Keras's summary."""
        batch = next(iter(state.values())).shape[0]
        return {name: keras.KerasTensor((batch, *shape)) for name, shape in self.target.items()}


def _side_by_side(values: list[Any]) -> Any:
    return ops.concatenate(values, axis=-1) if len(values) > 1 else values[0]
