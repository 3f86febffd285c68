"""Search for the best target over `step(ids, state)`; knows no model."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

State = dict[str, tf.Tensor]
StepFunction = Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]


def greedy(
    step: StepFunction, state: State, batch: int | tf.Tensor, begin: int, end: int, steps: int
) -> tuple[tf.Tensor, tf.Tensor, State]:
    """Take the likeliest symbol at every step, until every row has ended.

    Args:
        step: Symbols written last, int32 [batch], and the state, to logits [batch, symbols] and the new state.
        state: The state before the first symbol.
        batch: Rows.
        begin: Id that is read first.
        end: Id that ends a row.
        steps: Most symbols a row may have, its end included.

    Returns:
        The symbols with the end, 0 behind it, int32 [batch, steps]; the sum of their natural-log probabilities,
        float32 [batch]; and each row's state after the step that wrote its last symbol.
    """

    def more(t: tf.Tensor, _ids: tf.Tensor, ended: tf.Tensor, *_: object) -> tf.Tensor:
        return (t < steps) & ~tf.reduce_all(ended)

    def one(
        t: tf.Tensor, ids: tf.Tensor, ended: tf.Tensor, score: tf.Tensor, written: tf.Tensor, state: State
    ) -> tuple[tf.Tensor, ...]:
        logits, new = step(ids, state)
        state = {name: _kept(ended, state[name], value) for name, value in new.items()}
        log_probability = tf.nn.log_softmax(tf.cast(logits, tf.float32))
        best = tf.argmax(log_probability, axis=-1, output_type=tf.int32)
        gain = tf.reduce_max(log_probability, axis=-1)
        ids = tf.where(ended, 0, best)
        score = score + tf.where(ended, 0.0, gain)
        written = tf.where(tf.range(steps)[None, :] == t, ids[:, None], written)
        return t + 1, ids, ended | (ids == end), score, written, state

    start = (
        tf.constant(0),
        tf.fill([batch], begin),
        tf.zeros([batch], tf.bool),
        tf.zeros([batch]),
        tf.zeros([batch, steps], tf.int32),
        state,
    )
    _, _, _, score, written, state = tf.while_loop(more, one, start, maximum_iterations=steps)
    return written, score, state


def _kept(ended: tf.Tensor, old: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
    """The new state, but of rows that have ended the old one."""
    return tf.where(tf.reshape(ended, [-1] + [1] * (len(new.shape) - 1)), old, new)


def best_each(logits: tf.Tensor, lengths: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """The likeliest symbol of each step, where steps do not depend on what was written.

    Args:
        logits: float [batch, steps, symbols].
        lengths: int [batch], how many steps of each row count, where id 0 is padding and no symbol; None is all.

    Returns:
        Symbols, int32 [batch, steps], 0 at steps that do not count, and the sum of their natural-log probabilities,
        float32 [batch].
    """
    log_probability = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    first = 0 if lengths is None else 1
    best = tf.argmax(log_probability[..., first:], axis=-1, output_type=tf.int32) + first
    gain = tf.reduce_max(log_probability[..., first:], axis=-1)
    if lengths is not None:
        counted = tf.sequence_mask(lengths, tf.shape(logits)[1])
        best, gain = tf.where(counted, best, 0), tf.where(counted, gain, 0.0)
    return best, tf.reduce_sum(gain, axis=-1)
