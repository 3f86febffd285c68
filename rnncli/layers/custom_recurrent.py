"""Recurrent layers of custom cells, with inputs and states of any structure."""

from __future__ import annotations

import collections
import numbers
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from keras import ops, tree

from rnncli.layers.custom_cell import UserCell
from rnncli.layers.fused_kernels import Tensors
from rnncli.layers.kernel_selection import KernelChoice
from rnncli.layers.recurrent import Recurrent, State, run_all_states
from rnncli.layers.tensors import Shapes, Tensor, flatten, unflatten
from rnncli.runtime.private_interfaces import keras_globals

RESERVED_NAMES = ("output", "final")
"""Names in exported arrays that are not states."""


@contextmanager
def _automatic_names(counts: dict[str, int]) -> Iterator[None]:
    """Count automatic layer names (`dense_3`) in `counts` instead of in the process.

    Layers inside a custom cell may have no name of their own, and the names of variables in a checkpoint contain
    those of layers. Counted for the process, they would depend on how many cells were made before. Checkpoints of
    0.1.0 hold names that were counted in this way, so requiring explicit names would not load them.
    """
    global_state = keras_globals()
    if global_state is None:  # names are then counted for the process, as Keras does
        yield
        return
    outer = global_state.get_global_attribute("object_name_uids")
    global_state.set_global_attribute("object_name_uids", counts)
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", outer)


class CellAdapter(keras.layers.Layer):
    """A Keras cell around a custom cell: vectors as input and output, and a flat list of states.

    Args:
        user: The custom cell.
        units: The argument of its class.

    Attributes:
        names: Names of the states.
        shapes: Shapes of the states, without the batch dimension.
        output_size: Width of the output; 0 until the cell is built.

    Raises:
        InputError: The class does not make a Keras cell.
    """

    def __init__(self, user: UserCell, units: int) -> None:
        super().__init__(name="cell")
        self.user = user
        self._own_names = partial(_automatic_names, collections.defaultdict(int))
        with self._own_names():
            self.cell = user.make_cell(units)
        shapes: list[tuple[int, ...]] = []
        size = self.cell.state_size
        self._structure = [
            self._read_shapes(entry, shapes) for entry in (size if isinstance(size, list | tuple) else [size])
        ]
        self.shapes: Shapes = tuple(shapes)
        self.state_size = self.shapes
        self.names = self._state_names()
        self.output_size = 0

    def _read_shapes(self, entry: Any, shapes: list[tuple[int, ...]]) -> Any:
        """Append the shapes in a part of `state_size` to `shapes`; return the same structure with their indices."""
        if isinstance(entry, list) or (isinstance(entry, tuple) and not all(map(_is_size, entry))):
            return [self._read_shapes(inner, shapes) for inner in entry]
        shape = (entry,) if _is_size(entry) else tuple(entry) if isinstance(entry, tuple | tf.TensorShape) else ()
        if not shape or not all(_is_size(size) and size > 0 for size in shape):
            raise self.user.refusal(
                f"state_size contains {entry!r}", "use numbers, or shapes as tuples of positive numbers"
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
            valid = isinstance(name, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)
            if not valid or name in RESERVED_NAMES:
                hint = f"use letters, digits and _, but not {' or '.join(RESERVED_NAMES)}"
                raise self.user.refusal(f"{name!r} is not a valid name in state_names", hint)
        if len(set(names)) < len(names):
            raise self.user.refusal(f"two states have the same name: {', '.join(names)}")
        return names

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the cell's variables, and try a step.

        Raises:
            InputError: The step fails, or returns states of other shapes than `state_size`.
        """
        shapes = [(None, *shape) for shape in self.user.input_shapes or (input_shape[1:],)]
        with (
            self._own_names(),
            self.user.explained("cannot read a step"),
            warnings.catch_warnings(),
        ):
            # Keras first traces a cell without `build` by itself, and warns in six lines of the error that follows
            warnings.filterwarnings("ignore", category=UserWarning, module=r"keras\.")
            if type(self.cell).build is not keras.layers.Layer.build:  # else the first step creates the variables
                self.cell.build(shapes if self.user.input_shapes else shapes[0])
            start = self.get_initial_state(2)
            self._check_states("get_initial_state returns", start)
            output, states = self._step(ops.zeros((2, *input_shape[1:])), start)
        self._check_states("a step returns", states)
        self.output_size = int(output.shape[1])
        names = [weight.path for weight in self.cell.weights]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise self.user.refusal(f"two variables have the same name, {twice.rpartition('/')[2]}")
        self.built = True

    def _check_states(self, what: str, states: Sequence[Tensor]) -> None:
        found = [tuple(state.shape[1:]) for state in states]
        if found != list(self.shapes):
            raise self.user.refusal(f"{what} states of shapes {found}, but state_size is {list(self.shapes)}")

    def get_initial_state(self, batch_size: Tensor | int | None = None) -> list[Tensor]:
        """Return the cell's initial states, by default zeros, float [batch, *shape] each."""
        if hasattr(self.cell, "get_initial_state"):
            states = tree.flatten(self.cell.get_initial_state(batch_size=batch_size))
            return [ops.cast(state, self.compute_dtype) for state in states]
        return [ops.zeros((batch_size, *shape), self.compute_dtype) for shape in self.shapes]

    def call(self, inputs: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Run a step.

        Args:
            inputs: float [batch, features].
            states: float [batch, *shape] each.

        Returns:
            The output, float [batch, output_size], and the new states.
        """
        return self._step(inputs, states)

    def _step(self, inputs: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        given = unflatten(inputs, self.user.input_shapes) if self.user.input_shapes else inputs
        output, new = self.cell(given, tree.pack_sequence_as(self._structure, list(states)))
        return flatten(tree.flatten(output)), tree.flatten(new)


def _is_size(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


class CustomRecurrent(Recurrent):
    """A recurrent layer of a custom cell; the outputs of both directions are concatenated.

    Args:
        cell: The custom cell.
        units: The argument of its class.
        choice: See `Recurrent`.
        prefix: See `Recurrent`.
        bidirectional: See `Recurrent`.
    """

    def __init__(
        self, cell: UserCell, units: int, choice: KernelChoice, prefix: str, *, bidirectional: bool = False
    ) -> None:
        def make_layer(name: str, **options: Any) -> keras.layers.RNN:
            with keras.name_scope(self.name), keras.name_scope(name):  # a cell may create variables in __init__
                adapter = CellAdapter(cell, units)
            return keras.layers.RNN(adapter, name=name, **options)

        super().__init__(make_layer, units, choice, prefix, bidirectional=bidirectional)

    @property
    def _adapter(self) -> CellAdapter:
        adapter: CellAdapter = self.directions["forward"].cell
        return adapter

    @property
    def kind(self) -> str:
        """See `Recurrent.kind`."""
        return f"RNN({type(self._adapter.cell).__name__})"

    @property
    def states(self) -> tuple[str, ...]:
        """See `Recurrent.states`."""
        return self._adapter.names

    @property
    def state_shapes(self) -> Shapes:
        """See `Recurrent.state_shapes`."""
        return self._adapter.shapes

    @property
    def width(self) -> int:
        """See `Recurrent.width`; 0 until the layer is built."""
        return self._adapter.output_size * len(self.directions)

    def final_output(self, sequence: Tensor, state: State) -> Tensor:
        """See `Recurrent.final_output`; no state need be the output, which RNN repeats on padded steps."""
        del state
        width = self._adapter.output_size
        last = [sequence[:, -1, :width], sequence[:, 0, width:]]  # the backward direction ends at the first step
        return self.merge_outputs(last[: len(self.directions)])

    def _states_after_steps(
        self, layer: keras.layers.RNN, sequence: Tensor, start: Tensors | None, mask: Tensor | None
    ) -> Tensors:
        adapter: CellAdapter = layer.cell
        first = adapter.get_initial_state(ops.shape(sequence)[0]) if start is None else list(start)
        return run_all_states(adapter, adapter.shapes, layer.go_backwards, sequence, first, mask)
