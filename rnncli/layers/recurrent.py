"""Recurrent layers that always return `(sequence, state)`, the state by name."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from rnncli.layers.cells import CELLS
from rnncli.layers.kernel_choice import KernelChoice

State = dict[str, tf.Tensor]
"""Named states of a model, `{"encoder/0/forward/h": float [batch, units], ...}`."""


class Recurrent(keras.layers.Layer):
    """One recurrent layer, in one direction or both.

    Args:
        cell: A name in `CELLS`.
        units: Width of the state in each direction.
        bidirectional: Whether a second set of weights reads the sequence from its end.
        choice: The kernel that runs it.
        prefix: What its states' names begin with, `encoder/0`; the layer's own name is this with `_`.
    """

    def __init__(self, cell: str, units: int, choice: KernelChoice, prefix: str, bidirectional: bool = False) -> None:
        super().__init__(name=prefix.replace("/", "_"))
        self.cell_name, self.units, self.choice, self.prefix = cell, units, choice, prefix
        self.states = CELLS[cell].states
        kind = CELLS[cell].fused if choice.kernel == "fused" else CELLS[cell].layer
        options: dict[str, Any] = {"return_sequences": True, "return_state": True}
        if CELLS[cell].cudnn:
            options["use_cudnn"] = choice.kernel == "cudnn"
        self.directions = {"forward": kind(units, name="forward", **options)}
        if bidirectional:
            self.directions["backward"] = kind(units, name="backward", go_backwards=True, **options)
        for name, layer in self.directions.items():
            setattr(self, name, layer)  # so that Keras tracks it

    @property
    def state_spec(self) -> dict[str, tuple[int, ...]]:
        """Name to shape, without the batch, of each state."""
        return {f"{self.prefix}/{d}/{s}": (self.units,) for d in self.directions for s in self.states}

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights, in the names and shapes of Keras's own layers."""
        for layer in self.directions.values():
            layer.build(input_shape)
        self.built = True

    def call(
        self, sequence: Any, lengths: Any = None, initial: State | None = None, constant: bool = False
    ) -> tuple[Any, State]:
        """Read a sequence.

        Args:
            sequence: float [batch, time, features], padded on the right.
            lengths: int [batch], how much of each row is to be read; None is all of it.
            initial: States to start from; names of other layers are passed over. None is zeros.
            constant: Every step of the sequence is the same, so one projection may serve all.

        Returns:
            The outputs, float [batch, time, units x directions], and the state after the last step read.
        """
        mask = None if lengths is None else ops.arange(sequence.shape[1])[None, :] < lengths[:, None]
        outputs: list[Any] = []
        final: State = {}
        for direction, layer in self.directions.items():
            names = [f"{self.prefix}/{direction}/{state}" for state in self.states]
            start = None if initial is None else tuple(initial[name] for name in names)
            if self.choice.kernel == "fused":
                states = layer.all_states(sequence, start, mask, constant)
                output, last = states[0], [state[:, -1] for state in states]
            else:
                output, *last = layer(sequence, initial_state=start and list(start), mask=mask)
            outputs.append(ops.flip(output, axis=1) if layer.go_backwards else output)
            final |= dict(zip(names, last, strict=True))
        return ops.concatenate(outputs, axis=-1) if len(outputs) > 1 else outputs[0], final

    def compute_output_spec(self, sequence: Any, *_: Any, **__: Any) -> tuple[Any, dict[str, Any]]:
        """Shapes of the outputs and states, for Keras's summary."""
        batch, time, _ = sequence.shape
        shape = (batch, time, self.units * len(self.directions))
        final = {name: keras.KerasTensor((batch, *rest)) for name, rest in self.state_spec.items()}
        return keras.KerasTensor(shape), final


class RecurrentStack:
    """Recurrent layers one above the other, with dropout before each.

    Args:
        prefix: `encoder` or `decoder`; layer 1's states are `encoder/1/...`.
        dropout: Rate at which parts of each layer's input are dropped where a seed is given.
    """

    def __init__(
        self,
        prefix: str,
        cell: str,
        units: int,
        layers: int,
        choice: KernelChoice,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        self.dropout = dropout
        self.layers = [Recurrent(cell, units, choice, f"{prefix}/{i}", bidirectional) for i in range(layers)]

    @property
    def state_spec(self) -> dict[str, tuple[int, ...]]:
        """Name to shape, without the batch, of each state of all layers."""
        return {name: shape for layer in self.layers for name, shape in layer.state_spec.items()}

    def __call__(
        self,
        sequence: Any,
        lengths: Any = None,
        initial: State | None = None,
        seed: tf.Tensor | None = None,
        constant: bool = False,
    ) -> tuple[Any, State]:
        """Read a sequence by every layer; see `Recurrent.call`.

        Args:
            seed: int32 [2]; what is dropped depends on it alone. None drops nothing.
        """
        state: State = {}
        for index, layer in enumerate(self.layers):
            if seed is not None and self.dropout:
                salt = tf.stack([seed[0] ^ hash_name(layer.prefix), seed[1]])
                sequence = _dropped(sequence, self.dropout, salt)
                constant = False
            sequence, final = layer(sequence, lengths, initial, constant=constant and index == 0)
            state |= final
        return sequence, state


@tf.function(jit_compile=True)  # outside of XLA, as beside a cuDNN kernel, TensorFlow has no threefry
def _dropped(sequence: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
    return tf.nn.experimental.stateless_dropout(sequence, rate, seed=seed, rng_alg="threefry")


def hash_name(name: str) -> int:
    """A number below 2^31 that a name always gives (unlike `hash`)."""
    value = 0
    for byte in name.encode():
        value = (value * 31 + byte) % (2**31)
    return value
