"""Between a cell of any structure and `keras.layers.RNN`, which takes one vector a step and wants one vector back."""

from __future__ import annotations

import collections
import math
import numbers
import re
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops, tree

from rnncli.layers.custom_cell import Shapes, UserCell

try:  # private, as Keras (3.12 to 3.15) has nothing public that sets or restores the counts of automatic names
    from keras.src.backend.common import global_state
except ImportError:  # then names count on for the process, as they do without _OwnNames
    global_state = None

_RESERVED = ("output", "final")  # what exported arrays are called beside states


class _OwnNames:
    """Automatic names (`dense_3`) counted for one cell, in place of for the process.

    The names of weights in a checkpoint are then the same however many cells were made before.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = collections.defaultdict(int)

    def __enter__(self) -> None:
        if global_state is None:
            return
        self._outer = global_state.get_global_attribute("object_name_uids")
        global_state.set_global_attribute("object_name_uids", self._counts)

    def __exit__(self, *_: object) -> None:
        if global_state is not None:
            global_state.set_global_attribute("object_name_uids", self._outer)


class Flat(keras.layers.Layer):
    """A cell of any structure as one that `keras.layers.RNN` takes: a vector in, a vector and a list of states out.

    Args:
        user: The class of the cell.
        units: What the class is given.

    Attributes:
        names: Names of the states.
        shapes: Their shapes, without the batch.
        output_size: Width of the output, known when it is built.

    Raises:
        InputError: The class makes no such cell.
    """

    def __init__(self, user: UserCell, units: int) -> None:
        super().__init__(name="cell")
        self.user, self._own_names = user, _OwnNames()
        with self._own_names:
            self.cell = user.cell(units)
        shapes: list[tuple[int, ...]] = []
        size = self.cell.state_size
        self._structure = [
            self._read(entry, shapes) for entry in (size if isinstance(size, list | tuple) else [size])
        ]
        self.shapes: Shapes = tuple(shapes)
        self.state_size = self.shapes
        self.names = self._state_names()
        self.output_size = 0

    def _read(self, entry: Any, shapes: list[tuple[int, ...]]) -> Any:
        """Put the shapes of a part of `state_size` behind `shapes`; gives the part's structure, of their numbers."""
        if isinstance(entry, list) or (isinstance(entry, tuple) and not all(map(_is_size, entry))):
            return [self._read(inner, shapes) for inner in entry]
        shape = (entry,) if _is_size(entry) else tuple(entry) if isinstance(entry, tuple | tf.TensorShape) else ()
        if not shape or not all(_is_size(size) and size > 0 for size in shape):
            raise self.user.refusal(
                f"state_size has {entry!r} in it", "write numbers, or shapes as tuples of numbers"
            )
        shapes.append(tuple(map(int, shape)))
        return len(shapes) - 1

    def _state_names(self) -> tuple[str, ...]:
        names = getattr(self.cell, "state_names", None)
        if names is None:
            return ("h",) if len(self.shapes) == 1 else tuple(f"state_{i}" for i in range(len(self.shapes)))
        names = (names,) if isinstance(names, str) else tuple(names)
        if len(names) != len(self.shapes):
            raise self.user.refusal(f"{len(names)} state_names for {len(self.shapes)} states")
        for name in names:
            if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name in _RESERVED:
                hint = f"letters, digits and _, but not {' or '.join(_RESERVED)}"
                raise self.user.refusal(f"{name!r} is no name of a state", hint)
        if len(set(names)) < len(names):
            raise self.user.refusal(f"two states have the same name: {', '.join(names)}")
        return names

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the cell's weights, and try a step.

        Raises:
            InputError: The step fails, or gives something else than the cell's states.
        """
        shapes = [(None, *shape) for shape in self.user.parts or (input_shape[1:],)]
        with self._own_names, self.user.explained("cannot read a step"), warnings.catch_warnings():
            # Keras traces a cell without `build` once by itself, and warns in six lines of what the step then raises
            warnings.filterwarnings("ignore", category=UserWarning, module=r"keras\.")
            if type(self.cell).build is not keras.layers.Layer.build:  # otherwise the first step makes its weights
                self.cell.build(shapes if self.user.parts else shapes[0])
            start = self.get_initial_state(2)
            self._check_states("get_initial_state gives", start)
            output, states = self._step(ops.zeros((2, *input_shape[1:])), start)
        self._check_states("a step gives", states)
        self.output_size = int(output.shape[1])
        names = [weight.path for weight in self.cell.weights]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise self.user.refusal(f"two weights have the same name, {twice.rpartition('/')[2]}")
        self.built = True

    def _check_states(self, what: str, states: Sequence[Any]) -> None:
        found = [tuple(state.shape[1:]) for state in states]
        if found != list(self.shapes):
            raise self.user.refusal(f"{what} states of shapes {found}; state_size says {list(self.shapes)}")

    def get_initial_state(self, batch_size: Any = None) -> list[Any]:
        """What the cell starts from where it says so, else zeros; float [batch, *shape] each."""
        if hasattr(self.cell, "get_initial_state"):
            states = tree.flatten(self.cell.get_initial_state(batch_size=batch_size))
            return [ops.cast(state, self.compute_dtype) for state in states]
        return [ops.zeros((batch_size, *shape), self.compute_dtype) for shape in self.shapes]

    def call(self, inputs: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        """A step: inputs, float [batch, features], and states, to an output, float [batch, width], and states."""
        return self._step(inputs, states)

    def _step(self, inputs: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        given = inputs if not self.user.parts else parts_of(inputs, self.user.parts)
        output, new = self.cell(given, tree.pack_sequence_as(self._structure, list(states)))
        return flattened(tree.flatten(output)), tree.flatten(new)


def parts_of(values: Any, shapes: Shapes) -> list[Any]:
    """Arrays that lie one after another in the last axis of values, float [..., total], each float [..., *shape]."""
    lead = (-1, *values.shape[1:-1])
    ends = [sum(map(math.prod, shapes[: i + 1])) for i in range(len(shapes))]
    slices = [values[..., end - math.prod(shape) : end] for shape, end in zip(shapes, ends, strict=True)]
    return [ops.reshape(part, (*lead, *shape)) for part, shape in zip(slices, shapes, strict=True)]


def flattened(values: Sequence[Any]) -> Any:
    """Arrays, float [batch, *shape] each, one after another as one, float [batch, total]; undoes `parts_of`."""
    flat = [ops.reshape(value, (-1, math.prod(value.shape[1:]))) for value in values]
    return ops.concatenate(flat, axis=-1) if len(flat) > 1 else flat[0]


def _is_size(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
