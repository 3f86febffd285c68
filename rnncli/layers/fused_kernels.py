"""Fused recurrences for CPUs: pure functions on tensors, with their own gradient.

A recurrence over T steps is two kinds of work: products that need no order in time, and the chain of steps.
Keras runs both inside its time loop. Here the loop holds only what must be there:

* the input projection of all steps is one product, made by the caller before the loop (`projected`);
* the loop does the recurrent product and the gates;
* the gradient walks the loop backwards collecting what the gates give, and makes the gradient of the recurrent
  kernel from all steps in ONE product at the end.

Short sequences are unrolled, long ones run in a compiled loop (`compilation.unrolls`). The gate that a state is
carried over by is kept as its reciprocal, 1 + exp(-x), which the way back divides by: XLA computes a division once,
but what is only multiplied and added it computes again for each thing that needs it, and so, where steps are
unrolled, all later steps again at each step (the LSTM of 128 units alone: 7 steps take a sixth less, 16 two fifths).

Everything is time-major inside: sequences are [time, batch, ...]. Gate order, equations and variables are those of
`keras.layers.LSTM` (i, f, c, o; Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000),
`keras.layers.GRU` with `reset_after=True` (z, r, h; Cho et al. 2014, the cuDNN variant) and `keras.layers.SimpleRNN`
(Elman 1990).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

from rnncli.runtime import xla as compilation

Tensors = tuple[tf.Tensor, ...]
Step: TypeAlias = int | tf.Tensor


class Gates(NamedTuple):
    """The arithmetic of one step of a cell, forward and backward.

    `forward(x, inner, states) -> (states, saved)`: `x` is the projected input [batch, gates * units], `inner` the
    recurrent product with its bias, of the same shape; `saved` are the `kept` tensors that `backward` needs.
    `backward(d_states, saved) -> (d_x, d_inner, d_previous)`: `d_previous` leaves out what flows through `inner`.
    Where a cell `sums`, x and inner are only added to each other, and d_x is d_inner.
    """

    forward: Callable[[tf.Tensor, tf.Tensor, Tensors], tuple[Tensors, Tensors]]
    backward: Callable[[Tensors, Tensors], tuple[tf.Tensor, tf.Tensor, Tensors]]
    states: int
    kept: int
    sums: bool


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


LSTM = Gates(_lstm_forward, _lstm_backward, states=2, kept=6, sums=True)
GRU = Gates(_gru_forward, _gru_backward, states=1, kept=5, sums=False)
SIMPLE_RNN = Gates(_simple_forward, _simple_backward, states=1, kept=1, sums=True)


def recurrence(
    gates: Gates,
    projected: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    recurrent_bias: tf.Tensor | None = None,
    initial: Tensors | None = None,
    mask: tf.Tensor | None = None,
    keep: tf.Tensor | None = None,
) -> Tensors:
    """Run a cell over inputs that are already projected.

    Args:
        gates: The arithmetic of the cell: `LSTM`, `GRU` or `SIMPLE_RNN`.
        projected: float [time, batch, gates * units], `x @ kernel + bias` of every step.
        recurrent_kernel: float [units, gates * units].
        recurrent_bias: float [gates * units], or None.
        initial: The state before the first step, each [batch, units]; None is zeros, and saves a product.
        mask: bool [time, batch]; where false the state is carried over. None means that every step counts.
        keep: float [batch, units], what h is multiplied with before each recurrent product: recurrent dropout, the
            same at all steps (Gal & Ghahramani 2016). It gets no gradient.

    Returns:
        For each state of the cell its value after every step, [time, batch, units].
    """
    bias = () if recurrent_bias is None else (recurrent_bias,)
    start = () if initial is None else tuple(initial)
    live = None if mask is None else mask[:, :, None]

    @tf.custom_gradient
    def run(projected: tf.Tensor, kernel: tf.Tensor, *rest: tf.Tensor) -> tuple[Tensors, Any]:
        bias, start = rest[: len(rest) - len(initial or ())], rest[len(rest) - len(initial or ()) :]
        chain = _Chain(gates, projected, kernel, bias, start, live, keep)
        steps = projected.shape[0]
        loop = _unrolled if steps is not None and compilation.unrolls(steps, kernel.shape[0]) else _looped
        outputs, walk_back = loop(chain, tf.shape(projected)[0] if steps is None else steps)

        def gradient(*d_outputs: tf.Tensor) -> list[tf.Tensor]:
            d_projected, d_inner, d_start = walk_back(d_outputs)
            d_bias = [tf.reduce_sum(d_inner, axis=[0, 1])] if bias else []
            if chain.from_zeros:  # which the first product had no part in
                before, d_inner = outputs[0][:-1], d_inner[1:]
            else:
                before = tf.concat([chain.begin[0][None], outputs[0][:-1]], axis=0)
            before = before if keep is None else before * keep
            before, d_flat = (tf.reshape(x, [-1, x.shape[2]]) for x in (before, d_inner))
            d_kernel = tf.matmul(before, d_flat, transpose_a=True)
            return [d_projected, d_kernel, *d_bias, *(d_start if start else ())]

        return outputs, gradient

    return tuple(run(projected, recurrent_kernel, *bias, *start))


@tf.custom_gradient
def looked_up(table: tf.Tensor, ids: tf.Tensor) -> tuple[tf.Tensor, Any]:
    """Rows of a table, and a gradient that sums what comes back for each.

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


class _Chain:
    """The steps of one recurrence, each with what all of them share."""

    def __init__(
        self,
        gates: Gates,
        projected: tf.Tensor,
        kernel: tf.Tensor,
        bias: Tensors,
        start: Tensors,
        live: tf.Tensor | None,
        keep: tf.Tensor | None,
    ) -> None:
        self.gates, self.projected, self.kernel, self.bias, self.live = gates, projected, kernel, bias, live
        self.keep = keep
        self.from_zeros = not start
        self.zeros = tf.zeros([tf.shape(projected)[1], kernel.shape[0]], projected.dtype)
        self.begin = start or (self.zeros,) * gates.states

    def unstack(self, steps: int) -> None:
        """Take the steps apart at once, where each would be a slice: tracing takes longer the more operations."""
        self.projected = tf.unstack(self.projected, num=steps)
        self.live = None if self.live is None else tf.unstack(self.live, num=steps)

    def _kept(self, h: tf.Tensor) -> tf.Tensor:
        """What the recurrent product has of h, and of a gradient of h what goes back through it."""
        return h if self.keep is None else h * self.keep

    def forward(self, t: Step, states: Tensors) -> tuple[Tensors, Tensors]:
        """New states and what the way back needs."""
        x = self.projected[t]
        first = self.from_zeros and isinstance(t, int) and t == 0
        inner = tf.zeros_like(x) if first else tf.matmul(self._kept(states[0]), self.kernel)
        new, saved = self.gates.forward(x, inner + self.bias[0] if self.bias else inner, states)
        if self.live is not None:
            new = tuple(tf.where(self.live[t], n, s) for n, s in zip(new, states, strict=True))
        return new, saved

    def backward(self, t: Step, d_states: Tensors, saved: Tensors) -> tuple[tf.Tensor, tf.Tensor, Tensors]:
        """Gradients of the projected input, of the recurrent product and of the states before the step."""
        d_new = d_states
        if self.live is not None:
            d_new = tuple(tf.where(self.live[t], d, self.zeros) for d in d_states)
        d_x, d_inner, d_before = self.gates.backward(d_new, saved)
        d_before = (d_before[0] + self._kept(tf.matmul(d_inner, self.kernel, transpose_b=True)), *d_before[1:])
        if self.live is not None:
            d_before = tuple(tf.where(self.live[t], b, d) for b, d in zip(d_before, d_states, strict=True))
        return d_x, d_inner, d_before


def _stacked(values: list[tf.Tensor]) -> tf.Tensor:
    """As `tf.stack`, where what comes next wants rows: XLA then needs no copy to look symbols' gradients up."""
    return tf.reshape(tf.concat(values, axis=0), [len(values), -1, values[0].shape[1]])


def _unrolled(chain: _Chain, steps: int) -> tuple[Tensors, Any]:
    chain.unstack(steps)
    states, outputs, saved = chain.begin, [], []
    for t in range(steps):
        states, kept = chain.forward(t, states)
        outputs.append(states)
        saved.append(kept)

    def walk_back(d_outputs: Tensors) -> tuple[tf.Tensor, tf.Tensor, Tensors]:
        d_outputs = tuple(tf.unstack(d, num=steps) for d in d_outputs)
        d_states: Tensors = (chain.zeros,) * len(chain.begin)
        d_x, d_inner = [tf.zeros([])] * steps, [tf.zeros([])] * steps
        for t in reversed(range(steps)):
            d_states = tuple(d[t] + s for d, s in zip(d_outputs, d_states, strict=True))
            d_x[t], d_inner[t], d_states = chain.backward(t, d_states, saved[t])
        x = _stacked(d_x)
        # of d_inner the first is left out if it starts from zeros, for which XLA would cut rows out one by one
        return x, x if chain.gates.sums and not chain.from_zeros else tf.stack(d_inner), d_states

    return tuple(tf.stack(sequence) for sequence in zip(*outputs, strict=True)), walk_back


def _looped(chain: _Chain, steps: int | tf.Tensor) -> tuple[Tensors, Any]:
    def arrays(count: int) -> Tensors:
        return tuple(tf.TensorArray(chain.begin[0].dtype, size=steps) for _ in range(count))

    def write(to: Tensors, t: tf.Tensor, values: Tensors) -> Tensors:
        return tuple(array.write(t, value) for array, value in zip(to, values, strict=True))

    def step(t: tf.Tensor, states: Tensors, outputs: Tensors, saved: Tensors) -> tuple[Any, ...]:
        states, keep = chain.forward(t, states)
        return t + 1, states, write(outputs, t, states), write(saved, t, keep)

    loop = (tf.constant(0), chain.begin, arrays(chain.gates.states), arrays(chain.gates.kept))
    _, _, outputs, saved = tf.while_loop(lambda t, *_: t < steps, step, loop, maximum_iterations=steps)
    saved = tuple(array.stack() for array in saved)

    def walk_back(d_outputs: Tensors) -> tuple[tf.Tensor, tf.Tensor, Tensors]:
        def step_back(t: tf.Tensor, d_states: Tensors, written: Tensors) -> tuple[Any, ...]:
            d_states = tuple(d[t] + s for d, s in zip(d_outputs, d_states, strict=True))
            *d_z, d_states = chain.backward(t, d_states, tuple(values[t] for values in saved))
            return t - 1, d_states, write(written, t, tuple(d_z[:different]))

        zeros, different = (chain.zeros,) * len(chain.begin), 1 if chain.gates.sums else 2
        loop = (tf.convert_to_tensor(steps) - 1, zeros, arrays(different))
        _, d_states, written = tf.while_loop(lambda t, *_: t >= 0, step_back, loop, maximum_iterations=steps)
        d_z = [array.stack() for array in written]
        return d_z[0], d_z[-1], d_states

    return tuple(array.stack() for array in outputs), walk_back
