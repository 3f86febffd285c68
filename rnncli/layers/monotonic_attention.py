"""Hard monotonic attention: every target symbol is written from one source step, and all alignments are summed."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from rnncli.data.vocabulary import BOS_ID
from rnncli.layers.attention import Memory
from rnncli.layers.tensors import Tensor

NEVER = -1e30
"""Log probability of what cannot be. It is finite, so that sums over nothing have finite derivatives."""


class MonotonicAttention(keras.layers.Layer):
    """Exact hard monotonic attention.

    Orders 0 and 1 are the models 0-MONO and 1-MONO of Wu & Cotterell 2019, "Exact Hard Monotonic Attention for
    Character-Level Transduction". There the first jump of order 1 begins at the first source step; here it may go
    anywhere, since a source may begin with many features.

    Let h_t be a decoder output, k_s an encoder output, and a_t the source step that target symbol y_t is written
    from, which never goes back. The target's probability is the sum over all alignments a:

        p(y | x) = sum over a of the product over t of p(a_t | a_{t-1}, h_t) p(y_t | a_t, h_t)

    * Writing: p(y_t | a_t = s) is the softmax of the output layer over v_ts = tanh(C [h_t; k_s]).
    * The first step: p(a_1 = s) is the softmax of h_1 T k_s over all s.
    * Order 0: p(a_t = s | a_{t-1} = r) is the softmax of h_t T k_s over the steps s >= r.
    * Order 1: p(a_t = r + d | a_{t-1} = r) is the softmax over d = 0, ..., window of U [h_t; T k_r] + b, in which
      steps beyond the end of the source are left out.

    h_t does not depend on a, as the decoder reads y_<t only. So the forward algorithm sums exactly, in log space:

        alpha_t(s) = p(a_t = s | y_<t) = sum over r <= s of p(a_t = s | a_{t-1} = r) p(a_{t-1} = r | y_<t)
        p(y_t | y_<t, x) = sum over s of alpha_t(s) p(y_t | a_t = s)
        p(a_t = s | y_<=t) = alpha_t(s) p(y_t | a_t = s) / p(y_t | y_<t, x)

    The product of the second line over all t is p(y | x): the cross entropy of these probabilities is the exact
    negative log-likelihood, and a step of decoding needs alpha_t alone. Order 0 takes O(log S) operations of S
    numbers a step by cumulative sums, and order 1 takes window + 1.

    Args:
        order: 0 or 1.
        window: Source steps that order 1 goes on at most from one target step to the next.
        units: Width of the decoder outputs.
        width: Width of v_ts.
    """

    def __init__(self, order: int, window: int, units: int, width: int, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)  # its dense layers compute in the precision of the others
        self.order, self.window, self.units, self.width = order, window, units, width

        def dense(size: int, name: str, use_bias: bool = False) -> keras.layers.Dense:
            return keras.layers.Dense(size, use_bias=use_bias, name=name)

        self.key = dense(units, "key")  # T
        # C [h; k], the sum of both parts
        self.write_query, self.write_value = dense(width, "write_query"), dense(width, "write_value")
        self.jump_query: keras.layers.Dense | None = None
        self.jump_key: keras.layers.Dense | None = None
        if order == 1:  # likewise U [h; T k] + b
            self.jump_query, self.jump_key = dense(window + 1, "jump_query", True), dense(window + 1, "jump_key")

    def build(self, query_shape: tuple[int | None, ...], values_shape: tuple[int | None, ...], **_: Any) -> None:
        """Create the variables, given the shapes of decoder outputs and encoder outputs."""
        keys_shape = (*values_shape[:-1], self.units)
        for layer, shape in (
            (self.key, values_shape),
            (self.write_query, query_shape),
            (self.write_value, values_shape),
            (self.jump_query, query_shape),
            (self.jump_key, keys_shape),
        ):
            if layer is not None:
                layer.build(shape)
        self.built = True

    def memory(self, outputs: Tensor, lengths: Tensor) -> Memory:
        """Return the memory, which is the same for all steps of the decoder.

        Args:
            outputs: Encoder outputs, float [batch, source steps, width].
            lengths: int [batch], source lengths.

        Returns:
            `values`, the part of k_s in C [h_t; k_s], `keys`, T k_s, `lengths`, and with order 1 `jumps`, the part
            of T k_s in U [h_t; T k_s].
        """
        keys = self.key(outputs)
        memory = {"values": self.write_value(outputs), "keys": keys, "lengths": lengths}
        return memory if self.jump_key is None else {**memory, "jumps": self.jump_key(keys)}

    def vectors(self, query: Tensor, values: Tensor) -> Tensor:
        """Return v_ts for all pairs of steps, float [batch, target steps, source steps, width].

        Args:
            query: Decoder outputs, float [batch, target steps, units].
            values: Of the memory.
        """
        return ops.tanh(ops.expand_dims(self.write_query(query), 2) + ops.expand_dims(values, 1))

    def call(
        self,
        logits: Tensor,
        query: Tensor,
        before: Tensor,
        keys: Tensor,
        lengths: Tensor,
        jumps: Tensor | None = None,
        start: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Sum over all alignments.

        Args:
            logits: Of the output layer for all pairs of steps, float [batch, target steps, source steps, symbols].
            query: Decoder outputs, float [batch, target steps, units].
            before: The previous symbol of each step, int [batch, target steps].
            keys: Of the memory.
            lengths: Of the memory.
            jumps: Of the memory.
            start: See `forward`.

        Returns:
            log p(y_t | y_<t, x) of all symbols, float32 [batch, target steps, symbols], and log alpha_t, float32
            [batch, target steps, source steps].
        """
        symbols = tf.nn.log_softmax(tf.cast(logits, tf.float32))
        alphas = self.forward(log_written(symbols[:, :-1], before[:, 1:]), query, keys, lengths, jumps, start)
        return tf.reduce_logsumexp(symbols + alphas[..., None], axis=2), alphas

    def compute_output_spec(self, logits: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Return the symbolic log probabilities, for Keras's functional models."""
        batch, steps, source_steps, symbols = logits.shape
        return keras.KerasTensor((batch, steps, symbols)), keras.KerasTensor((batch, steps, source_steps))

    def forward(
        self,
        written: tf.Tensor,
        query: tf.Tensor,
        keys: tf.Tensor,
        lengths: tf.Tensor,
        jumps: tf.Tensor | None = None,
        start: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Run the forward algorithm.

        Args:
            written: log p(y_t | a_t = s) of all target steps but the last, float32 [batch, target steps - 1, source
                steps].
            query: See `call`.
            keys: See `call`.
            lengths: See `call`.
            jumps: See `call`.
            start: log p(a_0 = s | y_<=0), where the target goes on from symbols before, float32 [batch, source
                steps]; all are `NEVER` in rows that begin. None is all rows.

        Returns:
            log alpha_t, float32 [batch, target steps, source steps]; at most about `NEVER` where it cannot be.
        """
        within = tf.range(keys.shape[1]) < lengths[:, None]
        read = query if self.order == 0 else query[:, :1]
        scores = tf.where(within[:, None], tf.cast(tf.matmul(read, keys, transpose_b=True), tf.float32), NEVER)
        moves = (scores, tails(scores)) if jumps is None else (self._jumps(query, jumps, lengths),)
        advance = advance_anywhere if jumps is None else advance_by_jumps
        now, later = zip(*(tf.split(each, [1, query.shape[1] - 1], axis=1) for each in moves), strict=True)
        alpha = tf.nn.log_softmax(scores[:, 0] if jumps is not None else now[0][:, 0])
        if start is not None:
            begins = tf.reduce_max(start, axis=-1, keepdims=True) <= NEVER
            alpha = tf.where(begins, alpha, advance(start, *(each[:, 0] for each in now)))
        if query.shape[1] == 1:
            return alpha[:, None]

        def go_on(alpha: tf.Tensor, given: tuple[tf.Tensor, ...]) -> tf.Tensor:
            return advance(tf.nn.log_softmax(alpha + given[0]), *given[1:])

        alphas = tf.scan(go_on, tuple(map(_swap, (written, *later))), alpha)
        return _swap(tf.concat([alpha[None], alphas], axis=0))

    def _jumps(self, query: tf.Tensor, jumps: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """Return log p(a_t = r + d | a_{t-1} = r), float32 [batch, target steps, source steps r, window + 1]."""
        assert self.jump_query is not None, "which order 1 has"
        scores = tf.cast(self.jump_query(query)[:, :, None], tf.float32) + tf.cast(jumps[:, None], tf.float32)
        to = tf.range(jumps.shape[1])[:, None] + tf.range(self.window + 1)
        return tf.nn.log_softmax(tf.where(to < lengths[:, None, None, None], scores, NEVER))

    def posterior(
        self,
        logits: tf.Tensor,
        query: tf.Tensor,
        target: tf.Tensor,
        counted: tf.Tensor,
        keys: tf.Tensor,
        lengths: tf.Tensor,
        jumps: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Return p(a_t = s | y, x), the alignment given the whole target.

        It is the derivative of log p(y | x) with respect to log p(y_t | a_t = s): what the backward algorithm
        computes (Eisner 2016, "Inside-Outside and Forward-Backward Algorithms Are Just Backprop").

        Args:
            logits: See `call`.
            query: See `call`.
            target: int [batch, target steps].
            counted: True for the steps of the target, bool [batch, target steps]; the others write nothing.
            keys: See `call`.
            lengths: See `call`.
            jumps: See `call`.

        Returns:
            float32 [batch, target steps, source steps].
        """
        written = log_written(tf.nn.log_softmax(tf.cast(logits, tf.float32)), target)
        written = tf.where(counted[:, :, None], written, 0.0)
        with tf.GradientTape() as tape:
            tape.watch(written)
            alphas = self.forward(written[:, :-1], query, keys, lengths, jumps)
            likelihood = tf.reduce_sum(tf.reduce_logsumexp(alphas + written, axis=-1))
        found: tf.Tensor = tape.gradient(likelihood, written)
        return found


def known(alpha: tf.Tensor, logits: tf.Tensor, symbols: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Return log p(a_t = s | y_<=t) from alpha_t and the symbols that were written.

    Args:
        alpha: alpha_t, float32 [batch, source steps]; zeros in rows that have not begun.
        logits: Of the output layer at step t, float [batch, source steps, symbols].
        symbols: y_t, int [batch].
        lengths: Source lengths, int [batch].

    Returns:
        float32 [batch, source steps]; `NEVER` in rows that have not begun.
    """
    written = log_written(tf.nn.log_softmax(tf.cast(logits, tf.float32)), symbols)
    alpha = tf.where(tf.range(alpha.shape[1]) < lengths[:, None], tf.maximum(alpha, 0.0), 0.0)
    begun = tf.reduce_max(alpha, axis=-1, keepdims=True) > 0
    return tf.where(begun, tf.maximum(tf.nn.log_softmax(tf.math.log(alpha) + written), NEVER), NEVER)


def log_written(log_probabilities: tf.Tensor, symbols: tf.Tensor) -> tf.Tensor:
    """Return log p(y_t | a_t = s), float32 [..., source steps].

    Args:
        log_probabilities: Of all symbols, float32 [..., source steps, symbols].
        symbols: y_t, int [...]; begin-of-sequence, which is read but never written, tells nothing.
    """
    # by a product: the derivative of a gather adds in any order on GPUs
    only = tf.one_hot(tf.where(symbols == BOS_ID, -1, symbols), log_probabilities.shape[-1])
    return tf.reduce_sum(log_probabilities * only[..., None, :], axis=-1)


def advance_anywhere(before: tf.Tensor, scores: tf.Tensor, tail: tf.Tensor) -> tf.Tensor:
    """Return log alpha_t of order 0.

    Args:
        before: log p(a_{t-1} = r | y_<t), float32 [batch, source steps].
        scores: h_t T k_s, float32 [batch, source steps]; `NEVER` in padding.
        tail: Their `tails`.
    """
    shares = tf.where(scores > NEVER, before - tail, NEVER)
    return scores + cumulative_logsumexp(shares)


def advance_by_jumps(before: tf.Tensor, jumps: tf.Tensor) -> tf.Tensor:
    """Return log alpha_t of order 1.

    Args:
        before: log p(a_{t-1} = r | y_<t), float32 [batch, source steps].
        jumps: log p(a_t = r + d | a_{t-1} = r), float32 [batch, source steps r, jumps d].
    """
    # no slice a jump: without XLA, three or more gradients of a tensor are added in an order that depends on timing
    joint = tf.transpose(before[:, :, None] + jumps, [0, 2, 1])  # of all r in row d, which is then moved by d places
    count, steps = joint.shape[1:]
    flat = tf.reshape(
        tf.pad(joint, [[0, 0], [0, 0], [0, count]], constant_values=NEVER), [-1, count * (steps + count)]
    )
    moved = tf.reshape(flat[:, : count * (steps + count - 1)], [-1, count, steps + count - 1])
    return tf.reduce_logsumexp(moved[:, :, :steps], axis=1)


def tails(scores: tf.Tensor) -> tf.Tensor:
    """Return log of the sum over s' >= s of exp(score), float32, the shape of scores [..., source steps]."""
    return cumulative_logsumexp(scores[..., ::-1])[..., ::-1]


def cumulative_logsumexp(values: tf.Tensor) -> tf.Tensor:
    """Return log of the sums of exp(value) from the first to each, along the last axis of float32 [..., steps].

    By sums over 2, 4, 8, ... values, as XLA runs `tf.math.cumulative_logsumexp` many times slower.
    """
    distance = 1
    while distance < values.shape[-1]:
        values = tf.reduce_logsumexp([values, _shift(values, distance)], axis=0)
        distance *= 2
    return values


def _shift(values: tf.Tensor, distance: int) -> tf.Tensor:
    """Move values along the last axis by some places to the right, and fill with `NEVER`."""
    lead = [[0, 0]] * (len(values.shape) - 1)
    return tf.pad(values[..., :-distance], [*lead, [distance, 0]], constant_values=NEVER)


def _swap(values: tf.Tensor) -> tf.Tensor:
    """Exchange the first two axes."""
    return tf.transpose(values, [1, 0, *range(2, len(values.shape))])
