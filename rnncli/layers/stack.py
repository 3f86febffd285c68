"""Stacked recurrent layers."""

from __future__ import annotations

import zlib
from typing import TypeAlias

import tensorflow as tf

from rnncli.config import Stack
from rnncli.layers.custom_cell import UserCell
from rnncli.layers.custom_recurrent import CustomRecurrent
from rnncli.layers.fused_kernels import EmbeddingLookup
from rnncli.layers.kernel_selection import KernelChoice
from rnncli.layers.recurrent import BuiltInRecurrent, Recurrent, State, StateSpec
from rnncli.layers.tensors import Shapes, Tensor

AnyCell: TypeAlias = str | list[str] | UserCell
"""A key of `CELLS`, one for each layer, or a custom cell."""


class RecurrentStack:
    """Stacked recurrent layers, with dropout before each layer and on its recurrent connections.

    Args:
        prefix: `encoder`, `decoder` or `rnn`; the states of the second layer are `encoder/1/...`.
        cell: The cell.
        config: Sizes, directions and dropout rates.
        choice: The kernel; recurrent dropout needs the fused one.
        input_shapes: For a custom cell, the shapes of the structured inputs of the first layer; see `Sizes.parts`.
    """

    def __init__(
        self, prefix: str, cell: AnyCell, config: Stack, choice: KernelChoice, input_shapes: Shapes = ()
    ) -> None:
        self.dropout, self.recurrent_dropout = config.dropout, config.recurrent_dropout
        bidirectional = config.directions > 1
        self.layers: list[Recurrent] = []
        for i, units in enumerate(config.layer_units):
            name = f"{prefix}/{i}"
            if isinstance(cell, UserCell):
                user = cell.with_input_shapes(input_shapes if i == 0 else ())
                self.layers.append(CustomRecurrent(user, units, choice, name, bidirectional=bidirectional))
            else:
                own, merge = cell[i] if isinstance(cell, list) else cell, config.merge_mode
                self.layers.append(
                    BuiltInRecurrent(own, units, choice, name, bidirectional=bidirectional, merge=merge)
                )

    @property
    def state_spec(self) -> StateSpec:
        """Return name and shape of each state of all layers."""
        return {name: shape for layer in self.layers for name, shape in layer.state_spec.items()}

    @property
    def width(self) -> int:
        """Return the width of the last layer's outputs."""
        return self.layers[-1].width

    def __call__(
        self,
        sequence: Tensor | EmbeddingLookup,
        lengths: Tensor | None = None,
        initial: State | None = None,
        seed: tf.Tensor | None = None,
        constant: bool = False,
    ) -> tuple[Tensor, State]:
        """Read a sequence by every layer; see `Recurrent.call`.

        Args:
            sequence: float [batch, time, features], or an `EmbeddingLookup` as of `TokenEmbedding.read`.
            lengths: int [batch]; None is no padding.
            initial: Initial states by name; None is zeros.
            seed: int32 [2], which alone decides the dropout masks; None is no dropout.
            constant: True if the input is the same at all steps.

        Returns:
            The last layer's outputs, float [batch, time, width], and the final states of all layers by name.
        """
        state: State = {}
        for index, layer in enumerate(self.layers):
            rate = self.dropout if seed is not None else 0.0
            if isinstance(sequence, EmbeddingLookup) and (rate or not layer.reads_lookups):
                sequence = sequence.vectors()
            if seed is not None and rate:
                sequence = dropout(sequence, rate, seed, layer.prefix)
                constant = False
            lookup = isinstance(sequence, EmbeddingLookup)
            rows = tf.shape(sequence.ids if lookup else sequence)[0] if seed is not None else 0
            masks = self.recurrent_dropout_masks(layer, rows, seed)
            read = layer.call if lookup else layer  # Keras's __call__ takes tensors only
            sequence, final = read(
                sequence, lengths, initial, constant=constant and index == 0, recurrent_dropout_masks=masks
            )
            state |= final
        return sequence, state

    def recurrent_dropout_masks(
        self, layer: Recurrent, rows: Tensor | int, seed: tf.Tensor | None
    ) -> dict[str, tf.Tensor] | None:
        """Return the recurrent dropout mask of each direction of a layer, float32 [rows, units]; None without."""
        if seed is None or not self.recurrent_dropout:
            return None
        ones = tf.ones([rows, layer.units])
        rate, names = self.recurrent_dropout, layer.directions
        return {direction: dropout(ones, rate, seed, f"{layer.prefix}/{direction}") for direction in names}

    def final_output(self, sequence: Tensor, state: State) -> Tensor:
        """Return the last layer's output after the last step without padding; see `Recurrent.final_output`."""
        return self.layers[-1].final_output(sequence, state)

    def trace(
        self, sequence: Tensor | EmbeddingLookup, lengths: Tensor | None = None, initial: State | None = None
    ) -> tuple[Tensor, State, dict[str, tf.Tensor]]:
        """Read a sequence without dropout, and return also every state after every step; see `Recurrent.trace`."""
        sequence = sequence.vectors() if isinstance(sequence, EmbeddingLookup) else sequence
        state: State = {}
        arrays: dict[str, tf.Tensor] = {}
        for layer in self.layers:
            sequence, final, more = layer.trace(sequence, lengths, initial)
            state |= final
            arrays |= more
        return sequence, state, arrays


def dropout(values: tf.Tensor, rate: float, seed: tf.Tensor, name: str) -> tf.Tensor:
    """Apply inverted dropout (Srivastava et al. 2014): set values to zero at a rate, and scale the others up.

    Args:
        values: float, any shape.
        rate: Probability that a value is dropped.
        seed: int32 [2].
        name: Of the layer. Seed and name alone decide the mask.

    Returns:
        float, the shape of the values.
    """
    return _dropout(values, rate, tf.stack([seed[0] ^ name_hash(name), seed[1]]))


# compiled by XLA even beside a cuDNN kernel: TensorFlow itself has no Threefry generator
@tf.function(jit_compile=True, autograph=False)
def _dropout(values: tf.Tensor, rate: float, seed: tf.Tensor) -> tf.Tensor:
    return tf.nn.experimental.stateless_dropout(values, rate, seed=seed, rng_alg="threefry")


def name_hash(name: str) -> int:
    """Return a hash of a name, below 2^31, that is the same in every process (unlike `hash`)."""
    return zlib.crc32(name.encode()) & 0x7FFFFFFF
