"""Fused kernels for recurrent layers on CPUs: pure functions on tensors with a gradient of their own.

A recurrence over T steps is two kinds of work: products that can be computed for all steps at once, and the chain of
steps. Keras runs both inside its time loop. Here the loop holds only the chain:

* the input projection of all steps is one product before the loop;
* the loop computes the recurrent product and the gates;
* the backward pass collects the gradients of the gates, and computes the gradient of the recurrent kernel from all
  steps in one product after its loop.

Short sequences are unrolled, long ones run in a compiled loop (`rnncli.runtime.xla.unrolls`). The gate that the
previous state is multiplied by is kept as its reciprocal, 1 + exp(-x), and the backward pass divides by it. XLA
computes a division once. A value that is only multiplied and added it recomputes for each use, and so, in unrolled
steps, all later steps again at each step.

Sequences inside are time-major, [time, batch, ...]. Gate order, equations and variables are those of Keras:

* `LSTM`: `keras.layers.LSTM`, gates i, f, c, o (Hochreiter & Schmidhuber 1997, with the forget gate of Gers,
  Schmidhuber & Cummins 2000);
* `GRU`: `keras.layers.GRU` with `reset_after=True` as in cuDNN, gates z, r, h (Cho et al. 2014);
* `SIMPLE_RNN`: `keras.layers.SimpleRNN` (Elman 1990).

To add a fused kernel, write a `FusedStep` here or in a module of its own, and name it in `rnncli.config.cells.CELLS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from rnncli.layers.tensors import beside_constant
from rnncli.runtime import xla

Tensors = tuple[tf.Tensor, ...]
Gradient = Callable[..., Any]
"""The gradient function of a `tf.custom_gradient`: upstream gradients to gradients of the arguments."""

BackwardPass = Callable[[Tensors], tuple[tf.Tensor, tf.Tensor, Tensors]]
"""Gradients of the states after every step to gradients of the projected inputs, of the recurrent products and of
the initial states."""


class FusedStep(NamedTuple):
    """One time step of a cell, forward and backward.

    Attributes:
        forward: `forward(x, inner, states) -> (states, saved)`: the projected input `x` and the recurrent product
            `inner` with its bias, float [batch, gates * units] both, and the states, float [batch, units] each, to
            the new states and the tensors that `backward` needs, [batch, units] each. The first state is the output.
        backward: `backward(d_states, saved) -> (d_x, d_inner, d_previous)`: the gradients of the new states to those
            of `x`, of `inner` and of the previous states, these without the part that flows through `inner`.
        num_states: Number of states.
        num_saved: Number of tensors in `saved`.
        additive: True if `x` and `inner` are only ever added to each other, so that `d_x` is `d_inner`.
    """

    forward: Callable[[tf.Tensor, tf.Tensor, Tensors], tuple[Tensors, Tensors]]
    backward: Callable[[Tensors, Tensors], tuple[tf.Tensor, tf.Tensor, Tensors]]
    num_states: int
    num_saved: int
    additive: bool


def _lstm_forward(x: tf.Tensor, inner: tf.Tensor, states: Tensors) -> tuple[Tensors, Tensors]:
    i, f, g, o = tf.split(x + inner, 4, axis=1)
    i, e, g, o = tf.sigmoid(i), 1 + tf.exp(-f), tf.tanh(g), tf.sigmoid(o)
    previous = states[1]
    c = previous / e + i * g
    tanh_c = tf.tanh(c)
    return (o * tanh_c, c), (i, e, g, o, previous, tanh_c)


def _lstm_backward(d_states: Tensors, saved: Tensors) -> tuple[tf.Tensor, tf.Tensor, Tensors]:
    i, e, g, o, previous, tanh_c = saved
    d_h, d_c = d_states
    d_c = d_c + d_h * o * (1 - tanh_c * tanh_c)
    d_f = d_c / e
    d_z = tf.concat(
        [
            d_c * g * i * (1 - i),
            d_f * previous * (1 - 1 / e),
            d_c * i * (1 - g * g),
            d_h * tanh_c * o * (1 - o),
        ],
        axis=1,
    )
    return d_z, d_z, (tf.zeros_like(d_h), d_f)


def _gru_forward(x: tf.Tensor, inner: tf.Tensor, states: Tensors) -> tuple[Tensors, Tensors]:
    x_z, x_r, x_h = tf.split(x, 3, axis=1)
    inner_z, inner_r, inner_h = tf.split(inner, 3, axis=1)
    previous = states[0]
    e, r = 1 + tf.exp(-(x_z + inner_z)), tf.sigmoid(x_r + inner_r)
    candidate = tf.tanh(x_h + r * inner_h)
    h = previous / e + (1 - 1 / e) * candidate
    return (h,), (e, r, candidate, previous, inner_h)


def _gru_backward(d_states: Tensors, saved: Tensors) -> tuple[tf.Tensor, tf.Tensor, Tensors]:
    e, r, candidate, previous, inner_h = saved
    (d_h,) = d_states
    d_previous, not_z = d_h / e, 1 - 1 / e
    d_candidate = d_h * not_z * (1 - candidate * candidate)
    d_z = d_previous * (previous - candidate) * not_z
    d_r = d_candidate * inner_h * r * (1 - r)
    d_x = tf.concat([d_z, d_r, d_candidate], axis=1)
    d_inner = tf.concat([d_z, d_r, d_candidate * r], axis=1)
    return d_x, d_inner, (d_previous,)


def _simple_forward(x: tf.Tensor, inner: tf.Tensor, _: Tensors) -> tuple[Tensors, Tensors]:
    h = tf.tanh(x + inner)
    return (h,), (h,)


def _simple_backward(d_states: Tensors, saved: Tensors) -> tuple[tf.Tensor, tf.Tensor, Tensors]:
    (d_h,), (h,) = d_states, saved
    d_z = d_h * (1 - h * h)
    return d_z, d_z, (tf.zeros_like(d_h),)


LSTM = FusedStep(_lstm_forward, _lstm_backward, num_states=2, num_saved=6, additive=True)
GRU = FusedStep(_gru_forward, _gru_backward, num_states=1, num_saved=5, additive=False)
SIMPLE_RNN = FusedStep(_simple_forward, _simple_backward, num_states=1, num_saved=1, additive=True)


class EmbeddingLookup(NamedTuple):
    """A sequence of vectors given as ids of rows of a table.

    Attributes:
        ids: int [batch, time].
        symbols: Number of rows of the table.
        table: float [symbols, features]; None is the identity matrix, for one-hot vectors.
        constant: Further numbers of each vector, the same at all steps, float [batch, width]; None is none.
    """

    ids: tf.Tensor
    symbols: int
    table: tf.Tensor | None
    constant: tf.Tensor | None = None

    @property
    def shape(self) -> tf.TensorShape:
        """Return the shape of the ids, [batch, time]."""
        return self.ids.shape

    def vectors(self) -> tf.Tensor:
        """Return the sequence of vectors, float32 [batch, time, features]."""
        vectors = tf.one_hot(self.ids, self.symbols) if self.table is None else tf.gather(self.table, self.ids)
        return vectors if self.constant is None else beside_constant(vectors, self.constant)


def unroll_states(
    step: FusedStep,
    layer: keras.layers.RNN,
    sequences: tf.Tensor | EmbeddingLookup,
    initial: Tensors | None = None,
    mask: tf.Tensor | None = None,
    constant: bool = False,
    recurrent_dropout_mask: tf.Tensor | None = None,
) -> Tensors:
    """Run a recurrent layer by its fused kernel and return every state after every step, in reading order.

    Args:
        step: The fused kernel of the layer's cell.
        layer: A built Keras layer with standard activations, such as `keras.layers.LSTM`. Only its variables are
            read: `cell.kernel`, `cell.recurrent_kernel` and `cell.bias`. If `go_backwards`, it reads from the end.
        sequences: float [batch, time, features], or an `EmbeddingLookup`.
        initial: Initial states, float [batch, units] each; None is zeros.
        mask: bool [batch, time]; where it is False, the states are copied from the previous step.
        constant: True if the input is the same at all steps, so that one projection serves all.
        recurrent_dropout_mask: float [batch, units]; see `recurrence`.

    Returns:
        For each state, float [batch, time, units].
    """
    cell = layer.cell
    kernel, recurrent = tf.convert_to_tensor(cell.kernel), tf.convert_to_tensor(cell.recurrent_kernel)
    bias, recurrent_bias = cell.bias, None
    if bias is not None and len(bias.shape) == 2:  # GRU with reset_after has a bias for each of the two products
        bias, recurrent_bias = tf.unstack(bias)

    projected = _projected(sequences, kernel, bias, constant)
    mask = None if mask is None else tf.transpose(mask)
    if layer.go_backwards:
        projected, mask = tf.reverse(projected, [0]), None if mask is None else tf.reverse(mask, [0])
    outputs = recurrence(step, projected, recurrent, recurrent_bias, initial, mask, recurrent_dropout_mask)
    return tuple(tf.transpose(output, [1, 0, 2]) for output in outputs)


def _projected(
    sequences: tf.Tensor | EmbeddingLookup, kernel: tf.Tensor, bias: tf.Tensor | None, constant: bool
) -> tf.Tensor:
    """Return `x @ kernel + bias` of every step x, float [time, batch, gates * units], by one product for all."""
    if isinstance(sequences, EmbeddingLookup) and sequences.table is not None:
        positions = sequences.ids.shape.num_elements()
        if positions is not None and positions < sequences.symbols:
            sequences = sequences.vectors()
    if isinstance(sequences, EmbeddingLookup):  # project each symbol once, however often it occurs
        kernel, of_constant = (kernel, None) if sequences.constant is None else _split_kernel(sequences, kernel)
        table = kernel if sequences.table is None else tf.matmul(sequences.table, kernel)
        projected = gather_rows(table if bias is None else table + bias, tf.transpose(sequences.ids))
        return projected if of_constant is None else projected + tf.matmul(sequences.constant, of_constant)
    batch, steps = tf.shape(sequences)[0], sequences.shape[1] or tf.shape(sequences)[1]
    inputs = tf.transpose(sequences[:, :1] if constant else sequences, [1, 0, 2])
    flat = tf.matmul(tf.reshape(inputs, [-1, inputs.shape[2]]), kernel)
    flat = flat if bias is None else flat + bias
    projected = tf.reshape(flat, [1 if constant else steps, batch, kernel.shape[1]])
    return tf.broadcast_to(projected, [steps, batch, kernel.shape[1]]) if constant else projected


def _split_kernel(lookup: EmbeddingLookup, kernel: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the rows of a kernel for what is looked up, and those for what is constant."""
    width = lookup.symbols if lookup.table is None else lookup.table.shape[1]
    return kernel[:width], kernel[width:]


@tf.custom_gradient
def gather_rows(table: tf.Tensor, ids: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
    """Look rows of a table up; the gradient is dense.

    Args:
        table: float [symbols, features].
        ids: int [time, batch].

    Returns:
        float [time, batch, features].
    """

    def gradient(d_rows: tf.Tensor) -> tuple[tf.Tensor, None]:
        d_flat = tf.reshape(d_rows, [-1, table.shape[1]])
        return tf.math.unsorted_segment_sum(d_flat, tf.reshape(ids, [-1]), table.shape[0]), None

    return tf.gather(table, ids), gradient


def recurrence(
    step: FusedStep,
    projected: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    recurrent_bias: tf.Tensor | None = None,
    initial: Tensors | None = None,
    mask: tf.Tensor | None = None,
    recurrent_dropout_mask: tf.Tensor | None = None,
) -> Tensors:
    """Run a cell over projected inputs.

    Args:
        step: The fused kernel of the cell.
        projected: float [time, batch, gates * units], `x @ kernel + bias` of every step.
        recurrent_kernel: float [units, gates * units].
        recurrent_bias: float [gates * units], or None.
        initial: Initial states, float [batch, units] each; None is zeros, which saves a product.
        mask: bool [time, batch]; where it is False, the states are copied from the previous step. None is all True.
        recurrent_dropout_mask: float [batch, units]; h is multiplied by it before each recurrent product, by the same
            mask at all steps (Gal & Ghahramani 2016). It gets no gradient. None is no dropout.

    Returns:
        For each state its value after every step, float [time, batch, units].
    """
    live = None if mask is None else mask[:, :, None]

    @tf.custom_gradient
    def run(projected: tf.Tensor, kernel: tf.Tensor, bias: Tensors, start: Tensors) -> tuple[Tensors, Gradient]:
        chain = _Recurrence(step, projected, kernel, bias, start, recurrent_dropout_mask)
        steps = projected.shape[0]
        if steps is not None and xla.unrolls(steps, kernel.shape[0]):
            outputs, backward_pass = _unrolled(chain, projected, live, steps)
        else:
            outputs, backward_pass = _looped(
                chain, projected, live, tf.shape(projected)[0] if steps is None else steps
            )

        def gradient(*d_outputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, Tensors, Tensors]:
            d_projected, d_inner, d_start = backward_pass(d_outputs)
            d_bias = tuple(tf.reduce_sum(d_inner, axis=[0, 1]) for _ in bias)
            return d_projected, chain.kernel_gradient(outputs[0], d_inner), d_bias, d_start if start else ()

        return outputs, gradient

    bias = () if recurrent_bias is None else (recurrent_bias,)
    return tuple(run(projected, recurrent_kernel, bias, () if initial is None else tuple(initial)))


class _Recurrence:
    """A cell with its recurrent parameters, run one step at a time.

    Attributes:
        start: The initial states.
        from_zeros: True if the initial states are zeros, so that the first step needs no recurrent product.
    """

    def __init__(
        self,
        step: FusedStep,
        projected: tf.Tensor,
        kernel: tf.Tensor,
        bias: Tensors,
        start: Tensors,
        dropout_mask: tf.Tensor | None,
    ) -> None:
        self.step, self.kernel, self.bias, self.dropout_mask = step, kernel, bias, dropout_mask
        self.from_zeros = not start
        self.zeros = tf.zeros([tf.shape(projected)[1], kernel.shape[0]], projected.dtype)
        self.start = start or (self.zeros,) * step.num_states

    def _dropped(self, h: tf.Tensor) -> tf.Tensor:
        """Apply recurrent dropout to h, or to its gradient."""
        return h if self.dropout_mask is None else h * self.dropout_mask

    def forward(
        self, x: tf.Tensor, live: tf.Tensor | None, states: Tensors, first: bool = False
    ) -> tuple[Tensors, Tensors]:
        """Run a step.

        Args:
            x: Projected input, float [batch, gates * units].
            live: bool [batch, 1]; where it is False, the states stay. None is all True.
            states: float [batch, units] each.
            first: True for the first step, if that is known while tracing.

        Returns:
            The new states, and the tensors that `backward` needs.
        """
        skip_product = self.from_zeros and first
        inner = tf.zeros_like(x) if skip_product else tf.matmul(self._dropped(states[0]), self.kernel)
        new, saved = self.step.forward(x, inner + self.bias[0] if self.bias else inner, states)
        if live is not None:
            new = tuple(tf.where(live, n, s) for n, s in zip(new, states, strict=True))
        return new, saved

    def backward(
        self, live: tf.Tensor | None, d_states: Tensors, saved: Tensors
    ) -> tuple[tf.Tensor, tf.Tensor, Tensors]:
        """Return the gradients of the projected input, of the recurrent product and of the previous states."""
        d_new = d_states
        if live is not None:
            d_new = tuple(tf.where(live, d, self.zeros) for d in d_states)
        d_x, d_inner, d_before = self.step.backward(d_new, saved)
        d_before = (d_before[0] + self._dropped(tf.matmul(d_inner, self.kernel, transpose_b=True)), *d_before[1:])
        if live is not None:
            d_before = tuple(tf.where(live, b, d) for b, d in zip(d_before, d_states, strict=True))
        return d_x, d_inner, d_before

    def kernel_gradient(self, outputs: tf.Tensor, d_inner: tf.Tensor) -> tf.Tensor:
        """Return the gradient of the recurrent kernel, by one product for all steps.

        Args:
            outputs: h after every step, float [time, batch, units].
            d_inner: Gradients of the recurrent products, float [time, batch, gates * units].
        """
        if self.from_zeros:  # the first step had no recurrent product
            before, d_inner = outputs[:-1], d_inner[1:]
        else:
            before = tf.concat([self.start[0][None], outputs[:-1]], axis=0)
        before, d_flat = (tf.reshape(x, [-1, x.shape[2]]) for x in (self._dropped(before), d_inner))
        return tf.matmul(before, d_flat, transpose_a=True)


def _stack_rows(values: list[tf.Tensor]) -> tf.Tensor:
    """Stack as `tf.stack` does, in a form that XLA reshapes to rows without a copy."""
    return tf.reshape(tf.concat(values, axis=0), [len(values), -1, values[0].shape[1]])


def _unrolled(
    chain: _Recurrence, projected: tf.Tensor, live: tf.Tensor | None, steps: int
) -> tuple[Tensors, BackwardPass]:
    """Run all steps one after another, without a loop; the arguments and results are those of `_looped`."""
    xs = tf.unstack(projected, num=steps)  # all at once: tracing time grows with the number of operations
    lives = [None] * steps if live is None else tf.unstack(live, num=steps)
    states, outputs, saved = chain.start, [], []
    for t in range(steps):
        states, needed = chain.forward(xs[t], lives[t], states, first=t == 0)
        outputs.append(states)
        saved.append(needed)

    def backward_pass(d_outputs: Tensors) -> tuple[tf.Tensor, tf.Tensor, Tensors]:
        d_outputs = tuple(tf.unstack(d, num=steps) for d in d_outputs)
        d_states: Tensors = (chain.zeros,) * len(chain.start)
        d_xs, d_inners = [tf.zeros([])] * steps, [tf.zeros([])] * steps
        for t in reversed(range(steps)):
            d_states = tuple(d[t] + s for d, s in zip(d_outputs, d_states, strict=True))
            d_xs[t], d_inners[t], d_states = chain.backward(lives[t], d_states, saved[t])
        d_x = _stack_rows(d_xs)
        # from zeros the first step of d_inner is cut off, which XLA would do row by row in the form of _stack_rows
        d_inner = d_x if chain.step.additive and not chain.from_zeros else tf.stack(d_inners)
        return d_x, d_inner, d_states

    return tuple(tf.stack(sequence) for sequence in zip(*outputs, strict=True)), backward_pass


def _looped(
    chain: _Recurrence, projected: tf.Tensor, live: tf.Tensor | None, steps: int | tf.Tensor
) -> tuple[Tensors, BackwardPass]:
    """Run all steps in a `tf.while_loop`.

    Args:
        chain: The cell.
        projected: float [time, batch, gates * units].
        live: bool [time, batch, 1], or None.
        steps: Number of steps.

    Returns:
        The states after every step, float [time, batch, units] each, and the backward pass.
    """

    def arrays(count: int, like: tf.Tensor) -> Tensors:
        shape = like.shape  # LiteRT needs to know it
        return tuple(tf.TensorArray(chain.start[0].dtype, size=steps, element_shape=shape) for _ in range(count))

    def write(to: Tensors, t: tf.Tensor, values: Tensors) -> Tensors:
        return tuple(array.write(t, value) for array, value in zip(to, values, strict=True))

    def live_at(t: tf.Tensor) -> tf.Tensor | None:
        return None if live is None else live[t]

    def forward(t: tf.Tensor, states: Tensors, outputs: Tensors, saved: Tensors) -> tuple[Any, ...]:
        states, needed = chain.forward(projected[t], live_at(t), states)
        return t + 1, states, write(outputs, t, states), write(saved, t, needed)

    loop = (
        tf.constant(0),
        chain.start,
        arrays(chain.step.num_states, chain.start[0]),
        arrays(chain.step.num_saved, chain.start[0]),
    )
    _, _, outputs, saved = tf.while_loop(lambda t, *_: t < steps, forward, loop, maximum_iterations=steps)
    saved = tuple(array.stack() for array in saved)

    def backward_pass(d_outputs: Tensors) -> tuple[tf.Tensor, tf.Tensor, Tensors]:
        def backward(t: tf.Tensor, d_states: Tensors, written: Tensors) -> tuple[Any, ...]:
            d_states = tuple(d[t] + s for d, s in zip(d_outputs, d_states, strict=True))
            *d_z, d_states = chain.backward(live_at(t), d_states, tuple(values[t] for values in saved))
            return t - 1, d_states, write(written, t, tuple(d_z[:different]))

        zeros, different = (chain.zeros,) * len(chain.start), 1 if chain.step.additive else 2
        loop = (tf.convert_to_tensor(steps) - 1, zeros, arrays(different, projected[0]))
        _, d_states, written = tf.while_loop(lambda t, *_: t >= 0, backward, loop, maximum_iterations=steps)
        d_z = [array.stack() for array in written]
        return d_z[0], d_z[-1], d_states

    return tuple(array.stack() for array in outputs), backward_pass
