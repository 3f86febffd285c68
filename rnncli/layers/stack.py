"""Recurrent layers one above the other."""

from __future__ import annotations

import zlib
from typing import Any

import tensorflow as tf

from rnncli.layers.cells import Lookup
from rnncli.layers.custom_cell import Shapes, UserCell
from rnncli.layers.custom_recurrent import CustomRecurrent
from rnncli.layers.kernel_selection import KernelChoice
from rnncli.layers.recurrent import Recurrent, State


class RecurrentStack:
    """Recurrent layers one above the other, with dropout before and inside each.

    Args:
        prefix: `encoder` or `decoder`; layer 1's states are `encoder/1/...`.
        cell: A name in `CELLS`, or a class of the user's own.
        dropout: Rate at which parts of each layer's input are dropped where a seed is given.
        recurrent_dropout: Rate at which parts of h are dropped from its products where a seed is given; the kernel
            must be the fused one.
        parts: Of a cell of the user's own, the shapes of the first layer's structured inputs; see `Sizes`.
    """

    def __init__(
        self,
        prefix: str,
        cell: str | UserCell,
        units: int,
        layers: int,
        choice: KernelChoice,
        bidirectional: bool = False,
        dropout: float = 0.0,
        merge: str = "concat",
        parts: Shapes = (),
        recurrent_dropout: float = 0.0,
    ) -> None:
        self.dropout, self.recurrent_dropout = dropout, recurrent_dropout
        self.layers: list[Recurrent] = []
        for i in range(layers):
            if isinstance(cell, UserCell):
                reading = cell.reading(parts if i == 0 else ())
                self.layers.append(CustomRecurrent(reading, units, choice, f"{prefix}/{i}", bidirectional))
            else:
                self.layers.append(Recurrent(cell, units, choice, f"{prefix}/{i}", bidirectional, merge))

    @property
    def state_spec(self) -> dict[str, tuple[int, ...]]:
        """Name to shape, without the batch, of each state of all layers."""
        return {name: shape for layer in self.layers for name, shape in layer.state_spec.items()}

    @property
    def width(self) -> int:
        """Width of the last layer's outputs."""
        return self.layers[-1].width

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
            sequence: A tensor, or a `Lookup` where `Symbols.read` gave one.
            seed: int32 [2]; what is dropped depends on it alone. None drops nothing.
        """
        state: State = {}
        for index, layer in enumerate(self.layers):
            rate = self.dropout if seed is not None else 0.0
            if isinstance(sequence, Lookup) and (rate or not layer.looks_up):
                sequence = sequence.vectors()
            if seed is not None and rate:
                sequence = dropped(sequence, rate, seed, layer.prefix)
                constant = False
            rows = tf.shape(sequence.ids if isinstance(sequence, Lookup) else sequence)[0] if seed is not None else 0
            keep = self._keep(layer, rows, seed)
            read = layer.call if isinstance(sequence, Lookup) else layer  # Keras's __call__ takes tensors
            sequence, final = read(sequence, lengths, initial, constant=constant and index == 0, keep=keep)
            state |= final
        return sequence, state

    def _keep(self, layer: Recurrent, rows: Any, seed: tf.Tensor | None) -> dict[str, tf.Tensor] | None:
        if seed is None or not self.recurrent_dropout:
            return None
        ones = tf.ones([rows, layer.units])
        rate, names = self.recurrent_dropout, layer.directions
        return {direction: dropped(ones, rate, seed, f"{layer.prefix}/{direction}") for direction in names}

    def final_output(self, sequence: Any, state: State) -> Any:
        """The last layer's output after the last step that it read; see `Recurrent.final_output`."""
        return self.layers[-1].final_output(sequence, state)

    def trace(
        self, sequence: Any, lengths: Any = None, initial: State | None = None
    ) -> tuple[Any, State, dict[str, tf.Tensor]]:
        """Read a sequence by every layer without dropout, and keep every state; see `Recurrent.trace`."""
        sequence = sequence.vectors() if isinstance(sequence, Lookup) else sequence
        state: State = {}
        arrays: dict[str, tf.Tensor] = {}
        for layer in self.layers:
            sequence, final, more = layer.trace(sequence, lengths, initial)
            state |= final
            arrays |= more
        return sequence, state, arrays


def dropped(values: tf.Tensor, rate: float, seed: tf.Tensor, name: str) -> tf.Tensor:
    """Values, a share of them dropped and the others scaled up (Srivastava et al. 2014).

    Args:
        values: float, any shape.
        rate: The share.
        seed: int32 [2].
        name: Of what drops; with the seed it decides alone what is dropped.
    """
    return _dropped(values, rate, tf.stack([seed[0] ^ salt_of(name), seed[1]]))


@tf.function(
    jit_compile=True, autograph=False
)  # outside of XLA, as beside a cuDNN kernel, TensorFlow has no threefry
def _dropped(values: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
    return tf.nn.experimental.stateless_dropout(values, rate, seed=seed, rng_alg="threefry")


def salt_of(name: str) -> int:
    """A number below 2^31 that a name always gives (unlike `hash`)."""
    return zlib.crc32(name.encode()) & 0x7FFFFFFF
