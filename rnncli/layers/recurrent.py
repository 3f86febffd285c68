"""Recurrent layers that return `(sequence, state)`, with states by name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from keras import ops, tree

from rnncli.config import CELLS
from rnncli.layers import cells
from rnncli.layers.fused_kernels import EmbeddingLookup, Tensors, unroll_states
from rnncli.layers.kernel_selection import KernelChoice
from rnncli.layers.tensors import Shapes, Tensor, flatten, unflatten

MERGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "concat": lambda forward, backward: ops.concatenate([forward, backward], axis=-1),
    "sum": ops.add,
    "mul": ops.multiply,
    "ave": lambda forward, backward: (forward + backward) / 2,
}
"""Ways to combine the outputs of both directions, as in `keras.layers.Bidirectional`."""

State = dict[str, Tensor]
"""The states of a model by name, `{"encoder/0/forward/h": float [batch, units], ...}`. States of a custom cell have
shapes of their own in place of `[units]`."""

StateSpec = dict[str, tuple[int, ...]]
"""Name to shape of each state, without the batch dimension."""


class Recurrent(keras.layers.Layer):
    """A recurrent layer in one or both directions; the base of built-in and custom cells.

    Attributes:
        units: State size, per direction.
        choice: The kernel.
        prefix: Prefix of the names of states, `encoder/0`. The layer's own name is the prefix with `_` for `/`.
        merge: A key of `MERGES`.
        directions: The Keras layer of each direction, `forward` and `backward`.
    """

    def __init__(
        self,
        make_layer: Callable[..., keras.layers.RNN],
        units: int,
        choice: KernelChoice,
        prefix: str,
        *,
        bidirectional: bool = False,
        merge: str = "concat",
    ) -> None:
        """Make the Keras layers.

        Args:
            make_layer: Makes the Keras layer of a direction from its keyword arguments.
            units: See the class.
            choice: See the class.
            prefix: See the class.
            bidirectional: True for a second layer, with parameters of its own, that reads from the end.
            merge: See the class.
        """
        super().__init__(name=prefix.replace("/", "_"))
        self.units, self.choice, self.prefix, self.merge = units, choice, prefix, merge
        options = {"return_sequences": True, "return_state": True}
        self.directions = {"forward": make_layer(name="forward", **options)}
        if bidirectional:
            self.directions["backward"] = make_layer(name="backward", go_backwards=True, **options)
        for name, layer in self.directions.items():
            setattr(self, name, layer)  # Keras tracks attributes, not the values of a dictionary

    @property
    @abstractmethod
    def kind(self) -> str:
        """Return the name of the Keras layer, for summaries."""

    @property
    @abstractmethod
    def states(self) -> tuple[str, ...]:
        """Return the names of the states of each direction."""

    @property
    @abstractmethod
    def state_shapes(self) -> Shapes:
        """Return the shape of each state of a direction, without the batch dimension."""

    @property
    def state_spec(self) -> StateSpec:
        """Return name and shape of each state of both directions."""
        shapes = self.state_shapes
        return {name: shape for d in self.directions for name, shape in zip(self._names(d), shapes, strict=True)}

    @property
    def width(self) -> int:
        """Return the width of the outputs."""
        return self.units * (len(self.directions) if self.merge == "concat" else 1)

    @property
    def reads_lookups(self) -> bool:
        """Return True if `call` accepts an `EmbeddingLookup`."""
        return self.choice.kernel == "fused" and self.compute_dtype == "float32"

    def merge_outputs(self, outputs: list[Tensor]) -> Tensor:
        """Combine the outputs of the directions, float [..., units] each, to float [..., width]."""
        return MERGES[self.merge](*outputs) if len(outputs) > 1 else outputs[0]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the variables of the Keras layers."""
        for layer in self.directions.values():
            layer.build(input_shape)
        self.built = True

    def call(
        self,
        sequence: Tensor | EmbeddingLookup,
        lengths: Tensor | None = None,
        initial: State | None = None,
        constant: bool = False,
        recurrent_dropout_masks: dict[str, Tensor] | None = None,
    ) -> tuple[Tensor, State]:
        """Read a sequence.

        Args:
            sequence: float [batch, time, features], padded on the right; or an `EmbeddingLookup`, see
                `reads_lookups`.
            lengths: int [batch], number of steps of each row without padding; None is no padding.
            initial: Initial states by name; names of other layers are ignored. None is zeros.
            constant: True if the input is the same at all steps.
            recurrent_dropout_masks: For the fused kernel, the mask of each direction, float [batch, units]; see
                `fused_kernels.recurrence`. None is no dropout.

        Returns:
            The outputs, float [batch, time, width], and the states after the last step without padding.
        """
        cudnn = self.choice.kernel == "cudnn"  # cuDNN refuses rows of length zero
        read = ops.maximum(lengths, 1) if cudnn and lengths is not None else lengths
        mask = None if read is None else ops.arange(sequence.shape[1])[None, :] < read[:, None]
        outputs: list[Tensor] = []
        final: State = {}
        for direction, layer in self.directions.items():
            names = self._names(direction)
            start = None if initial is None else tuple(initial[name] for name in names)
            dropout_mask = None if recurrent_dropout_masks is None else recurrent_dropout_masks[direction]
            output, last = self._run(layer, sequence, start, mask, constant, dropout_mask)
            if cudnn and lengths is not None:
                output, last = restore_empty_rows(lengths, start, output, last)
            outputs.append(ops.flip(output, axis=1) if layer.go_backwards else output)
            final |= dict(zip(names, last, strict=True))
        return self.merge_outputs(outputs), final

    def _run(
        self,
        layer: keras.layers.RNN,
        sequence: Tensor | EmbeddingLookup,
        start: Tensors | None,
        mask: Tensor | None,
        constant: bool,
        dropout_mask: Tensor | None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the outputs of a direction, in reading order, and its final states."""
        del constant, dropout_mask  # for the fused kernel
        output, *last = layer(sequence, initial_state=None if start is None else list(start), mask=mask)
        # identity drops the mask that Keras attached, about which the next layer would warn
        return tf.identity(output), last

    @abstractmethod
    def _states_after_steps(
        self, layer: keras.layers.RNN, sequence: Tensor, start: Tensors | None, mask: Tensor | None
    ) -> Tensors:
        """Return each state of a direction after every step, float [batch, time, *shape], in reading order."""

    def final_output(self, sequence: Tensor, state: State) -> Tensor:
        """Return the output after the last step without padding, float [batch, width].

        Args:
            sequence: The outputs of `call`.
            state: The states of `call`, which are those of each row's last step without padding.
        """
        del sequence
        return self.merge_outputs([state[self._names(direction)[0]] for direction in self.directions])

    def trace(
        self, sequence: Tensor, lengths: Tensor | None = None, initial: State | None = None
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """Read a sequence as `call` does, and return also every state after every step.

        Keras and cuDNN return only the output of each step. The other states come from the fused kernel, or from
        `keras.layers.RNN` over a cell without one. At step t a backward direction has the state after reading from
        the end to t.

        Returns:
            Outputs and final states as of `call`, and arrays by name: `PREFIX/output`, float [batch, time, width],
            `PREFIX/DIRECTION/STATE`, float [batch, time, *shape], and `PREFIX/DIRECTION/final/STATE`, float
            [batch, *shape].
        """
        output, final = self(sequence, lengths, initial)
        arrays = {f"{self.prefix}/output": output}
        mask = None if lengths is None else ops.arange(sequence.shape[1])[None, :] < lengths[:, None]
        for direction, layer in self.directions.items():
            start = None if initial is None else tuple(initial[name] for name in self._names(direction))
            steps = self._states_after_steps(layer, sequence, start, mask)
            for name, state, values in zip(self._names(direction), self.states, steps, strict=True):
                arrays[name] = ops.flip(values, axis=1) if layer.go_backwards else values
                arrays[f"{self.prefix}/{direction}/final/{state}"] = final[name]
        return output, final, arrays

    def _names(self, direction: str) -> list[str]:
        return [f"{self.prefix}/{direction}/{state}" for state in self.states]

    def compute_output_spec(self, sequence: Tensor, *_: Any, **__: Any) -> tuple[Tensor, State]:
        """Return the symbolic outputs and states, for Keras's functional models."""
        batch, time, _ = sequence.shape
        shape = (batch, time, self.width)
        final = {name: keras.KerasTensor((batch, *rest)) for name, rest in self.state_spec.items()}
        return keras.KerasTensor(shape), final


class BuiltInRecurrent(Recurrent):
    """A recurrent layer of a built-in cell.

    Args:
        cell: A key of `CELLS`.
        units: See `Recurrent`.
        choice: See `Recurrent`.
        prefix: See `Recurrent`.
        bidirectional: See `Recurrent`.
        merge: See `Recurrent`.
    """

    def __init__(
        self,
        cell: str,
        units: int,
        choice: KernelChoice,
        prefix: str,
        *,
        bidirectional: bool = False,
        merge: str = "concat",
    ) -> None:
        make_layer = partial(_built_in_layer, cell, units, choice.kernel)
        super().__init__(make_layer, units, choice, prefix, bidirectional=bidirectional, merge=merge)
        self.cell = cell

    @property
    def kind(self) -> str:
        """See `Recurrent.kind`."""
        layer = cells.keras_layer(self.cell)
        return f"RNN({cells.keras_cell(self.cell).__name__})" if layer is None else str(layer.__name__)

    @property
    def states(self) -> tuple[str, ...]:
        """See `Recurrent.states`."""
        return CELLS[self.cell].states

    @property
    def state_shapes(self) -> Shapes:
        """See `Recurrent.state_shapes`."""
        return ((self.units,),) * len(self.states)

    def _run(
        self,
        layer: keras.layers.RNN,
        sequence: Tensor | EmbeddingLookup,
        start: Tensors | None,
        mask: Tensor | None,
        constant: bool,
        dropout_mask: Tensor | None,
    ) -> tuple[Tensor, list[Tensor]]:
        step = cells.fused_kernel(self.cell)
        if self.choice.kernel != "fused" or step is None:
            return super()._run(layer, sequence, start, mask, constant, dropout_mask)
        states = unroll_states(step, layer, sequence, start, mask, constant, dropout_mask)
        return states[0], [state[:, -1] for state in states]

    def _states_after_steps(
        self, layer: keras.layers.RNN, sequence: Tensor, start: Tensors | None, mask: Tensor | None
    ) -> Tensors:
        step = cells.fused_kernel(self.cell)
        if step is not None:
            return unroll_states(step, layer, sequence, start, mask)
        first = tree.flatten(layer.get_initial_state(ops.shape(sequence)[0])) if start is None else list(start)
        return run_all_states(layer.cell, self.state_shapes, layer.go_backwards, sequence, first, mask)


def _built_in_layer(cell: str, units: int, kernel: str, **options: Any) -> keras.layers.RNN:
    """Make the Keras layer of a direction."""
    layer = cells.keras_layer(cell)
    if kernel == "cell" or layer is None:
        # the name that the Keras layer gives to its cell, so that variables have the same names
        return keras.layers.RNN(cells.keras_cell(cell)(units, name=f"{cell}_cell"), **options)
    return layer(units, **options, **({"use_cudnn": kernel == "cudnn"} if CELLS[cell].cudnn else {}))


class _StatesAsOutput(keras.layers.Layer):
    """A Keras cell whose output is all new states of another cell, flat and concatenated."""

    def __init__(self, cell: keras.layers.Layer, shapes: Shapes) -> None:
        super().__init__()
        self.cell, self.state_size = cell, shapes

    def call(self, inputs: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Run a step of the cell."""
        _, new = self.cell(inputs, states)
        new = tree.flatten(new)
        return flatten(new), new


def run_all_states(
    cell: keras.layers.Layer,
    shapes: Shapes,
    go_backwards: bool,
    sequence: Tensor,
    first: list[Tensor],
    mask: Tensor | None,
) -> Tensors:
    """Run a Keras cell by `keras.layers.RNN` and return every state after every step, in reading order.

    Args:
        cell: The cell, built.
        shapes: Shapes of its states.
        go_backwards: True to read from the end.
        sequence: float [batch, time, features].
        first: Initial states, float [batch, *shape] each.
        mask: bool [batch, time]; where it is False, the states stay. None is all True.

    Returns:
        For each state, float [batch, time, *shape].
    """
    rnn = keras.layers.RNN(_StatesAsOutput(cell, shapes), return_sequences=True, go_backwards=go_backwards)
    values = unflatten(tf.identity(rnn(sequence, initial_state=first, mask=mask)), shapes)
    if mask is None:
        return tuple(values)
    # RNN returns zeros before the first step without padding, where the state is still the initial one
    read = ops.cumsum(ops.cast(ops.flip(mask, axis=1) if go_backwards else mask, "int32"), axis=1) > 0
    filled = []
    for value, state in zip(values, first, strict=True):
        begun = ops.reshape(read, (-1, sequence.shape[1], *[1] * (len(state.shape) - 1)))
        filled.append(ops.where(begun, value, state[:, None]))
    return tuple(filled)


def restore_empty_rows(
    lengths: Tensor, start: Tensors | None, output: Tensor, last: list[Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """Undo the step that cuDNN took on rows of length zero.

    Args:
        lengths: int [batch].
        start: The initial states, float [batch, units] each; None is zeros.
        output: float [batch, time, units].
        last: The final states, float [batch, units] each.

    Returns:
        The outputs, zeros in empty rows, and the final states, the initial ones in empty rows.
    """
    empty = (lengths == 0)[:, None]
    start = start or tuple(ops.zeros_like(value) for value in last)
    last = [ops.where(empty, ops.cast(a, b.dtype), b) for a, b in zip(start, last, strict=True)]
    return ops.where(empty[:, :, None], ops.zeros_like(output), output), last
