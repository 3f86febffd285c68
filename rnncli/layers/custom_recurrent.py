"""Recurrent layers that step through a cell of the user's own, whatever structure its inputs and states have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from rnncli.layers.custom_cell_adapter import Flat, flattened, parts_of
from rnncli.layers.recurrent import Recurrent, State


class _AllStates(keras.layers.Layer):
    """A cell that puts out all its states."""

    def __init__(self, flat: Flat) -> None:
        super().__init__()
        self.flat, self.state_size = flat, flat.shapes

    def call(self, inputs: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        """A step as of `Flat`; the output is all the states in one vector."""
        _, new = self.flat(inputs, states)
        return flattened(new), new


class CustomRecurrent(Recurrent):
    """A recurrent layer, in one direction or both, that steps through a cell of the user's own.

    The arguments are those of `Recurrent`, but for `cell`, a `UserCell`; outputs of directions stand side by side.
    """

    def _keras_layer(self, name: str, **options: Any) -> Any:
        with keras.name_scope(self.name), keras.name_scope(name):  # a cell may make weights before it is built
            flat = Flat(self.cell, self.units)
        return keras.layers.RNN(flat, name=name, return_sequences=True, return_state=True, **options)

    @property
    def _flat(self) -> Flat:
        flat: Flat = self.directions["forward"].cell
        return flat

    @property
    def kind(self) -> str:
        """See `Recurrent.kind`."""
        return f"RNN({type(self._flat.cell).__name__})"

    @property
    def states(self) -> tuple[str, ...]:
        """See `Recurrent.states`."""
        return self._flat.names

    @property
    def state_spec(self) -> dict[str, tuple[int, ...]]:
        """See `Recurrent.state_spec`; shapes are the cell's own."""
        shapes = self._flat.shapes
        return {name: shape for d in self.directions for name, shape in zip(self._names(d), shapes, strict=True)}

    @property
    def width(self) -> int:
        """See `Recurrent.width`; known when the layer is built."""
        return self._flat.output_size * len(self.directions)

    def final_output(self, sequence: Any, state: State) -> Any:
        """See `Recurrent.final_output`; no state need be the output, which RNN repeats on steps that are padding."""
        del state
        width = self._flat.output_size
        last = [sequence[:, -1, :width], sequence[:, 0, width:]]  # the second direction ends at the first step
        return self.merged(last[: len(self.directions)])

    def _steps(self, layer: Any, sequence: Any, start: tuple[Any, ...] | None, mask: Any) -> tuple[Any, ...]:
        flat, steps = layer.cell, sequence.shape[1]
        first = flat.get_initial_state(ops.shape(sequence)[0]) if start is None else list(start)
        rnn = keras.layers.RNN(_AllStates(flat), return_sequences=True, go_backwards=layer.go_backwards)
        values = parts_of(tf.identity(rnn(sequence, initial_state=first, mask=mask)), flat.shapes)
        if mask is None:
            return tuple(values)
        # before the first step that is no padding RNN has zeros, where the state is still the initial one
        read = ops.cumsum(ops.cast(ops.flip(mask, axis=1) if layer.go_backwards else mask, "int32"), axis=1) > 0
        filled = []
        for value, state in zip(values, first, strict=True):
            begun = ops.reshape(read, (-1, steps, *[1] * (len(state.shape) - 1)))
            filled.append(ops.where(begun, value, state[:, None]))
        return tuple(filled)
