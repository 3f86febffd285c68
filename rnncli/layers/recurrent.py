"""Recurrent layers that always return `(sequence, state)`, the state by name."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from rnncli.layers.cells import CELLS, all_states
from rnncli.layers.kernel_selection import KernelChoice

MERGES: dict[str, Any] = {
    "concat": lambda forward, backward: ops.concatenate([forward, backward], axis=-1),
    "sum": ops.add,
    "mul": ops.multiply,
    "ave": lambda forward, backward: (forward + backward) / 2,
}
"""What both directions' outputs become, as in `keras.layers.Bidirectional`."""

State = dict[str, tf.Tensor]
"""Named states of a model, `{"encoder/0/forward/h": float [batch, units], ...}`; for the units a custom cell has its
states' shapes."""


class Recurrent(keras.layers.Layer):
    """One recurrent layer, in one direction or both.

    Args:
        cell: A name in `CELLS`.
        units: Width of the state in each direction.
        bidirectional: Whether a second set of weights reads the sequence from its end.
        choice: The kernel that runs it.
        prefix: What its states' names begin with, `encoder/0`; the layer's own name is this with `_`.
        merge: A name in `MERGES`.
    """

    def __init__(
        self,
        cell: Any,
        units: int,
        choice: KernelChoice,
        prefix: str,
        bidirectional: bool = False,
        merge: str = "concat",
    ) -> None:
        super().__init__(name=prefix.replace("/", "_"))
        self.cell, self.units, self.choice, self.prefix = cell, units, choice, prefix
        self.merge = merge
        self.directions = {"forward": self._keras_layer("forward")}
        if bidirectional:
            self.directions["backward"] = self._keras_layer("backward", go_backwards=True)
        for name, layer in self.directions.items():
            setattr(self, name, layer)  # so that Keras tracks it

    def _keras_layer(self, name: str, **options: Any) -> Any:
        cell, kernel = CELLS[self.cell], self.choice.kernel
        options |= {"name": name, "return_sequences": True, "return_state": True}
        if kernel == "cell":  # the cell's name is the one that the layer gives it, so that weights may be exchanged
            return keras.layers.RNN(cell.step(self.units, name=f"{self.cell}_cell"), **options)
        kind: Any = cell.fused if kernel == "fused" else cell.layer
        return kind(self.units, **options, **({"use_cudnn": kernel == "cudnn"} if cell.cudnn else {}))

    @property
    def kind(self) -> str:
        """The layer's type, as Keras calls it."""
        return str(CELLS[self.cell].layer.__name__)

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states of each direction."""
        return CELLS[self.cell].states

    @property
    def state_spec(self) -> dict[str, tuple[int, ...]]:
        """Name to shape, without the batch, of each state."""
        return {f"{self.prefix}/{d}/{s}": (self.units,) for d in self.directions for s in self.states}

    @property
    def width(self) -> int:
        """Width of the outputs: both directions stand side by side, unless they are merged otherwise."""
        return self.units * (len(self.directions) if self.merge == "concat" else 1)

    @property
    def looks_up(self) -> bool:
        """Whether `call` reads a `Lookup`."""
        return self.choice.kernel == "fused" and self.compute_dtype == "float32"

    def merged(self, outputs: list[Any]) -> Any:
        """One output of an output of each direction, float [..., units] each, to float [..., width]."""
        return MERGES[self.merge](*outputs) if len(outputs) > 1 else outputs[0]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights, in the names and shapes of Keras's own layers."""
        for layer in self.directions.values():
            layer.build(input_shape)
        self.built = True

    def call(
        self,
        sequence: Any,
        lengths: Any = None,
        initial: State | None = None,
        constant: bool = False,
        keep: dict[str, Any] | None = None,
    ) -> tuple[Any, State]:
        """Read a sequence.

        Args:
            sequence: float [batch, time, features], padded on the right; or a `Lookup`, see `looks_up`.
            lengths: int [batch], how much of each row is to be read; None is all of it.
            initial: States to start from; names of other layers are passed over. None is zeros.
            constant: Every step of the sequence is the same, so one projection may serve all.
            keep: Of the fused kernel: by direction what h is multiplied with before each recurrent product, float
                [batch, units]; see `kernels.recurrence`.

        Returns:
            The outputs, float [batch, time, width] (see `width`), and the state after the last step read.
        """
        cudnn = self.choice.kernel == "cudnn"  # which takes no row of length zero
        read = ops.maximum(lengths, 1) if cudnn and lengths is not None else lengths
        mask = None if read is None else ops.arange(sequence.shape[1])[None, :] < read[:, None]
        outputs: list[Any] = []
        final: State = {}
        for direction, layer in self.directions.items():
            names = self._names(direction)
            start = None if initial is None else tuple(initial[name] for name in names)
            output, last = self._run(layer, sequence, start, mask, constant, keep and keep[direction])
            if cudnn and lengths is not None:
                output, last = unread(lengths, start, output, last)
            outputs.append(ops.flip(output, axis=1) if layer.go_backwards else output)
            final |= dict(zip(names, last, strict=True))
        return self.merged(outputs), final

    def _run(
        self, layer: Any, sequence: Any, start: tuple[Any, ...] | None, mask: Any, constant: bool, keep: Any
    ) -> tuple[Any, list[Any]]:
        """One direction's outputs, in the order in which it reads, and its last states."""
        if self.choice.kernel == "fused":
            states = layer.all_states(sequence, start, mask, constant, keep)
            return states[0], [state[:, -1] for state in states]
        output, *last = layer(sequence, initial_state=start and list(start), mask=mask)
        return tf.identity(output), last  # Keras hung its mask on it, and warns if the next layer drops that

    def _steps(self, layer: Any, sequence: Any, start: tuple[Any, ...] | None, mask: Any) -> tuple[Any, ...]:
        """One direction's states after each step, in the order in which it reads."""
        return all_states(layer, CELLS[self.cell].fused.gates, sequence, start, mask)

    def final_output(self, sequence: Any, state: State) -> Any:
        """The output after the last step that was read, float [batch, width].

        The state, unlike the last step of the sequence, knows where each row ended.

        Args:
            sequence: As `call` gives it.
            state: As `call` gives it.
        """
        del sequence
        return self.merged([state[f"{self.prefix}/{direction}/h"] for direction in self.directions])

    def trace(
        self, sequence: Any, lengths: Any = None, initial: State | None = None
    ) -> tuple[Any, State, dict[str, tf.Tensor]]:
        """Like `call`, and also the value of every state after each step.

        The states of each step come from the fused recurrence, whatever kernel runs the layer: Keras and cuDNN give
        only h. A direction that reads backwards has at step t the state after reading from the end down to t.

        Returns:
            Outputs and final state as `call` gives them, and by name `PREFIX/output`, float [batch, time, width],
            `PREFIX/DIRECTION/STATE`, float [batch, time, units], and `PREFIX/DIRECTION/final/STATE`, [batch, units];
            for the units a custom cell has its states' shapes.
        """
        output, final = self(sequence, lengths, initial)
        arrays = {f"{self.prefix}/output": output}
        mask = None if lengths is None else ops.arange(sequence.shape[1])[None, :] < lengths[:, None]
        for direction, layer in self.directions.items():
            start = None if initial is None else tuple(initial[name] for name in self._names(direction))
            steps = self._steps(layer, sequence, start, mask)
            for name, state, values in zip(self._names(direction), self.states, steps, strict=True):
                arrays[name] = ops.flip(values, axis=1) if layer.go_backwards else values
                arrays[f"{self.prefix}/{direction}/final/{state}"] = final[name]
        return output, final, arrays

    def _names(self, direction: str) -> list[str]:
        return [f"{self.prefix}/{direction}/{state}" for state in self.states]

    def compute_output_spec(self, sequence: Any, *_: Any, **__: Any) -> tuple[Any, dict[str, Any]]:
        """Shapes of the outputs and states, for Keras's summary."""
        batch, time, _ = sequence.shape
        shape = (batch, time, self.width)
        final = {name: keras.KerasTensor((batch, *rest)) for name, rest in self.state_spec.items()}
        return keras.KerasTensor(shape), final


def unread(lengths: Any, start: tuple[Any, ...] | None, output: Any, last: list[Any]) -> tuple[Any, list[Any]]:
    """Outputs and final states as if rows of length zero had not been read; others are as they are given.

    Args:
        lengths: int [batch].
        start: The states that the rows started from, float [batch, units] each; None is zeros.
        output: float [batch, time, units]; of empty rows it becomes zeros, as behind the end of any row.
        last: float [batch, units] each; of empty rows they become those of `start`.
    """
    empty = (lengths == 0)[:, None]
    start = start or tuple(ops.zeros_like(value) for value in last)
    last = [ops.where(empty, ops.cast(a, b.dtype), b) for a, b in zip(start, last, strict=True)]
    return ops.where(empty[:, :, None], ops.zeros_like(output), output), last
