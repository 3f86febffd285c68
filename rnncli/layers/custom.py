"""Recurrent layers that step through a cell of the user's own, whatever structure its inputs and states have.

`keras.layers.RNN` takes one vector a step and wants one vector back; `Flat` stands between it and the cell.
"""

from __future__ import annotations

import collections
import copy
import difflib
import math
import numbers
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import tensorflow as tf
from keras import ops, tree
from keras.src.backend.common import global_state

from rnncli import usercode
from rnncli.config import CustomCell
from rnncli.errors import InputError
from rnncli.layers.recurrent import Recurrent, State

Shapes = tuple[tuple[int, ...], ...]
_RESERVED = ("output", "final")  # what exported arrays are called beside states


@dataclass(frozen=True)
class UserCell:
    """A class of the user's own that makes cells.

    Attributes:
        name: `module:Class`.
        make: The class.
        file: Where its module is, for messages.
        options: Its arguments beside the units.
        parts: Shapes of the arrays that it gets as a step's inputs; none where it gets one vector.
    """

    name: str
    make: Any
    file: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    parts: Shapes = ()

    def reading(self, parts: Shapes) -> UserCell:
        """The same, with other inputs."""
        return replace(self, parts=parts)

    def refusal(self, problem: str, hint: str = "") -> InputError:
        """What is wrong with the cell, as an error."""
        return InputError(f"model.cell: {self.name}: {problem}", hint)

    def explained(self, what: str) -> AbstractContextManager[None]:
        """Exceptions inside become errors of one line."""
        return usercode.explained(f"model.cell: {self.name}: {what}", self.file)

    def cell(self, units: int) -> Any:
        """A new cell.

        Raises:
            InputError: The class does not make one.
        """
        with self.explained("cannot be made"):
            cell = self.make(units, **copy.deepcopy(self.options))
        if not isinstance(cell, keras.layers.Layer):
            raise self.refusal(f"makes {type(cell).__name__}, not a keras.layers.Layer")
        if getattr(cell, "state_size", None) is None:
            raise self.refusal("its cells have no state_size", "set self.state_size, such as [units, (3, 3)]")
        return cell


def load_cell(config: CustomCell, places: usercode.Places) -> UserCell:
    """Import the class of a custom cell.

    Args:
        config: The cell's section of the config.
        places: Where its module is looked for.

    Raises:
        InputError: It cannot be imported, or is no class.
    """
    module = usercode.import_module(config.module, places)
    made = getattr(module, config.class_name, None)
    file = getattr(module, "__file__", None)
    if made is None:
        names = [name for name, value in vars(module).items() if callable(value)]
        close = difflib.get_close_matches(config.class_name, names, n=1)
        hint = f"did you mean {config.module}:{close[0]}?" if close else ""
        raise InputError(f"model.cell.class: {config.module} has no {config.class_name} ({file or 'built in'})", hint)
    if not callable(made):
        raise InputError(f"model.cell.class: {config.class_} is {type(made).__name__}, not a class")
    return UserCell(config.class_, made, file, config.options)


class _OwnNames:
    """Automatic names (`dense_3`) counted for one cell, in place of for the process.

    The names of weights in a checkpoint are then the same however many cells were made before.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = collections.defaultdict(int)

    def __enter__(self) -> None:
        self._outer = global_state.get_global_attribute("object_name_uids")
        global_state.set_global_attribute("object_name_uids", self._counts)

    def __exit__(self, *_: object) -> None:
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
        self._structure = [self._read(entry, shapes) for entry in (size if isinstance(size, list | tuple) else [size])]
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
            raise self.user.refusal(f"state_size has {entry!r} in it", "write numbers, or shapes as tuples of numbers")
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
        with self._own_names, self.user.explained("cannot read a step"):
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
        return flattened(tree.flatten(output), 1), tree.flatten(new)


class _AllStates(keras.layers.Layer):
    """A cell that puts out all its states."""

    def __init__(self, flat: Flat) -> None:
        super().__init__()
        self.flat, self.state_size = flat, flat.shapes

    def call(self, inputs: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
        """A step as of `Flat`; the output is all the states in one vector."""
        _, states = self.flat(inputs, states)
        return flattened(states, 1), states


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


def parts_of(values: Any, shapes: Shapes) -> list[Any]:
    """Arrays that lie one after another in the last axis of values, float [..., total], each float [..., *shape]."""
    lead = (-1, *values.shape[1:-1])
    ends = [sum(map(math.prod, shapes[: i + 1])) for i in range(len(shapes))]
    slices = [values[..., end - math.prod(shape) : end] for shape, end in zip(shapes, ends, strict=True)]
    return [ops.reshape(part, (*lead, *shape)) for part, shape in zip(slices, shapes, strict=True)]


def flattened(values: Sequence[Any], axes: int) -> Any:
    """Arrays of any shapes behind their first axes as one, float [..., total]; undoes `parts_of`."""
    flat = [ops.reshape(v, (-1, *v.shape[1:axes], math.prod(v.shape[axes:]))) for v in values]
    return ops.concatenate(flat, axis=-1) if len(flat) > 1 else flat[0]


def _is_size(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
