"""The cells as data: each one's Keras layer, the names of its states, and its fused form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from rnncli.layers import fused_kernels as kernels


class Lookup(NamedTuple):
    """A sequence of vectors given by their numbers in a table.

    Attributes:
        ids: int [batch, time].
        symbols: Rows of the table.
        table: float [symbols, features]; None is one-hot vectors.
    """

    ids: tf.Tensor
    symbols: int
    table: tf.Tensor | None

    @property
    def shape(self) -> Any:
        """[batch, time]."""
        return self.ids.shape

    def vectors(self) -> tf.Tensor:
        """The sequence itself, float32 [batch, time, features]."""
        return tf.one_hot(self.ids, self.symbols) if self.table is None else tf.gather(self.table, self.ids)


def all_states(
    layer: Any,
    gates: kernels.Gates,
    sequences: tf.Tensor | Lookup,
    initial: tuple[tf.Tensor, ...] | None = None,
    mask: tf.Tensor | None = None,
    constant: bool = False,
    keep: tf.Tensor | None = None,
) -> tuple[tf.Tensor, ...]:
    """Every state of the cell after every step, in the order of the steps read.

    Args:
        layer: A Keras LSTM, GRU (reset_after) or SimpleRNN with the standard activations, built; whatever kernel runs
            it otherwise.
        gates: The arithmetic of its cell.
        sequences: float [batch, time, features], or by numbers in a table.
        initial: The states to start from, each float [batch, units]; None is zeros.
        mask: bool [batch, time], false where the state is carried over a step.
        constant: All steps have the same input, so one projection serves all.
        keep: float [batch, units], for recurrent dropout; see `kernels.recurrence`.

    Returns:
        For each state, float [batch, time, units].
    """
    cell: Any = layer.cell
    kernel, recurrent = tf.convert_to_tensor(cell.kernel), tf.convert_to_tensor(cell.recurrent_kernel)
    bias, recurrent_bias = cell.bias, None
    if bias is not None and len(bias.shape) == 2:  # GRU with reset_after: one bias for each product
        bias, recurrent_bias = tf.unstack(bias)

    projected = _projected(sequences, kernel, bias, constant)
    mask = None if mask is None else tf.transpose(mask)
    if layer.go_backwards:
        projected, mask = tf.reverse(projected, [0]), None if mask is None else tf.reverse(mask, [0])
    outputs = kernels.recurrence(gates, projected, recurrent, recurrent_bias, initial, mask, keep)
    return tuple(tf.transpose(output, [1, 0, 2]) for output in outputs)


def _projected(sequences: tf.Tensor | Lookup, kernel: tf.Tensor, bias: tf.Tensor | None, constant: bool) -> tf.Tensor:
    """`x @ kernel + bias` of every step x, float [time, batch, gates * units]: one product for all of them."""
    if isinstance(sequences, Lookup) and sequences.table is not None:
        places = sequences.ids.shape.num_elements()
        if places is not None and places < sequences.symbols:
            sequences = sequences.vectors()
    if isinstance(sequences, Lookup):  # every symbol once, however often it occurs
        table = kernel if sequences.table is None else tf.matmul(sequences.table, kernel)
        return kernels.looked_up(table if bias is None else table + bias, tf.transpose(sequences.ids))
    batch, steps = tf.shape(sequences)[0], sequences.shape[1] or tf.shape(sequences)[1]
    inputs = tf.transpose(sequences[:, :1] if constant else sequences, [1, 0, 2])
    flat = tf.matmul(tf.reshape(inputs, [-1, inputs.shape[2]]), kernel)
    flat = flat if bias is None else flat + bias
    projected = tf.reshape(flat, [1 if constant else steps, batch, kernel.shape[1]])
    return tf.broadcast_to(projected, [steps, batch, kernel.shape[1]]) if constant else projected


class Fused:
    """Runs a Keras recurrent layer by the fused kernel: same variables, same results, another inner loop.

    Mixed in before the Keras layer, whose activations must be the standard ones.
    """

    gates: kernels.Gates

    def all_states(self, *arguments: Any, **options: Any) -> tuple[tf.Tensor, ...]:
        """See the function of this name."""
        return all_states(self, self.gates, *arguments, **options)

    def inner_loop(
        self, sequences: tf.Tensor, initial_state: Any, mask: tf.Tensor | None, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """What Keras asks of a recurrent layer: last output, all outputs, last states."""
        initial = initial_state if isinstance(initial_state, list | tuple) else [initial_state]
        mask = mask[0] if isinstance(mask, list | tuple) else mask
        if training and self.dropout:  # type: ignore[attr-defined]
            sequences = sequences * self.cell.get_dropout_mask(sequences[:, 0, :])[:, None, :]  # type: ignore[attr-defined]
        states = self.all_states(sequences, tuple(initial), mask)
        return states[0][:, -1], states[0], [state[:, -1] for state in states]


class FusedLSTM(Fused, keras.layers.LSTM):
    """`keras.layers.LSTM` with the fused kernel."""

    gates = kernels.LSTM


class FusedGRU(Fused, keras.layers.GRU):
    """`keras.layers.GRU(reset_after=True)` with the fused kernel."""

    gates = kernels.GRU


class FusedSimpleRNN(Fused, keras.layers.SimpleRNN):
    """`keras.layers.SimpleRNN` with the fused kernel."""

    gates = kernels.SIMPLE_RNN


@dataclass(frozen=True)
class Cell:
    """A kind of recurrent layer.

    Attributes:
        layer: The Keras layer.
        fused: The same layer with the fused kernel.
        step: The Keras cell that the layer steps through.
        states: Names of its states, in the layer's order.
        cudnn: Whether cuDNN has a kernel for it.
    """

    layer: type
    fused: type[Fused]
    step: type
    states: tuple[str, ...]
    cudnn: bool


CELLS: dict[str, Cell] = {
    "lstm": Cell(keras.layers.LSTM, FusedLSTM, keras.layers.LSTMCell, ("h", "c"), cudnn=True),
    "gru": Cell(keras.layers.GRU, FusedGRU, keras.layers.GRUCell, ("h",), cudnn=True),
    "simple_rnn": Cell(keras.layers.SimpleRNN, FusedSimpleRNN, keras.layers.SimpleRNNCell, ("h",), cudnn=False),
}
