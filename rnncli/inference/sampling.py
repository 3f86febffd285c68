"""Targets written symbol by symbol over `step(ids, state)`; knows no model. See also `rnncli.beam`.

Id 0 fills what stands behind a row's end, and `begin` what stands before its first symbol; neither is ever written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

State = dict[str, tf.Tensor]
StepFunction = Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]
Choice = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

NEVER = float("-inf")
"""The log probability of what cannot be."""

PATIENCE = 2
"""How much longer than all others the rows may take that need not be waited for."""


class Written(NamedTuple):
    """What was written to each row.

    Attributes:
        ids: The symbols with the end, 0 behind it, int32 [batch, steps].
        score: The sum of their natural-log probabilities, float32 [batch].
        state: The state after the step that wrote the last symbol.
        done: Whether the row has ended, or has all its steps, bool [batch]; else the rest of it means nothing.
    """

    ids: tf.Tensor
    score: tf.Tensor
    state: State
    done: tf.Tensor


class Waits(NamedTuple):
    """How long a batch is kept together.

    Attributes:
        rows: Whether rows are waited for that have not ended, bool [].
        until: `PATIENCE` times the steps in which all had ended but those that may be left, int32 []; these are not
            waited for any longer.
    """

    rows: tf.Tensor
    until: tf.Tensor

    @classmethod
    def begin(cls) -> Waits:
        """For rows none of which has ended."""
        return cls(tf.constant(True), tf.constant(PATIENCE))

    def after(self, t: tf.Tensor, going: tf.Tensor, leave: int | tf.Tensor) -> Waits:
        """After step t, int32 [] from 0; `going` are rows that have not ended, bool [batch], `leave` may be left."""
        count = tf.math.count_nonzero(going, dtype=tf.int32)
        return Waits(count > 0, tf.where(count > leave, PATIENCE * (t + 2), self.until))

    def on(self, t: tf.Tensor) -> tf.Tensor:
        """Whether step t is to be done."""
        return self.rows & (t < self.until)


def greedy(
    step: StepFunction,
    state: State,
    batch: int | tf.Tensor,
    begin: int,
    end: int,
    steps: int,
    leave: int | tf.Tensor = 0,
) -> Written:
    """Take the likeliest symbol at every step, until every row has ended.

    Args:
        step: Symbols written last, int32 [batch], and the state, to logits [batch, symbols] and the new state.
        state: The state before the first symbol.
        batch: Rows.
        begin: Id that is read first.
        end: Id that ends a row.
        steps: Most symbols a row may have, its end included.
        leave: So many rows, int32 [], are not waited for once `PATIENCE` times the steps are done in which the others
            ended.
    """

    def likeliest(log_probability: tf.Tensor, _t: tf.Tensor) -> tf.Tensor:
        return tf.argmax(log_probability, axis=-1, output_type=tf.int32)

    return _one_by_one(step, state, batch, begin, end, steps, likeliest, leave)


def sample(
    step: StepFunction,
    state: State,
    noise: tf.Tensor,
    begin: int,
    end: int,
    temperature: float = 1.0,
    leave: int | tf.Tensor = 0,
) -> Written:
    """Draw every symbol from what the model thinks of it, until every row has ended.

    Args:
        step: As for `greedy`.
        state: As for `greedy`.
        noise: What chance says, uniform in [0, 1), float32 [batch, steps]: one number decides one symbol.
        begin: As for `greedy`.
        end: As for `greedy`.
        temperature: Probabilities are raised to the power of 1 over it; above 0.
        leave: As for `greedy`.

    Returns:
        As `greedy`; the log probabilities are the model's own, as at temperature 1.
    """

    def drawn(log_probability: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
        likeliest = tf.reduce_max(log_probability, axis=-1, keepdims=True)
        up_to = tf.cumsum(tf.exp((log_probability - likeliest) / temperature), axis=-1)
        point = tf.gather(noise, t, axis=1)[:, None] * up_to[:, -1:]
        ids = tf.reduce_sum(tf.cast(up_to <= point, tf.int32), axis=-1)
        beyond = ids >= log_probability.shape[-1]  # the product was rounded up to the sum itself
        return tf.where(beyond, tf.argmax(log_probability, axis=-1, output_type=tf.int32), ids)

    batch, steps = noise.shape
    return _one_by_one(step, state, batch, begin, end, steps, drawn, leave)


def _one_by_one(
    step: StepFunction,
    state: State,
    batch: int | tf.Tensor,
    begin: int,
    end: int,
    steps: int,
    choose: Choice,
    leave: int | tf.Tensor,
) -> Written:
    """One hypothesis a row; `choose` takes log probabilities [batch, symbols] and the step to ids, int32 [batch]."""

    def more(t: tf.Tensor, waits: Waits, *_: object) -> tf.Tensor:
        return (t < steps) & waits.on(t)

    def one(
        t: tf.Tensor,
        waits: Waits,
        ids: tf.Tensor,
        ended: tf.Tensor,
        score: tf.Tensor,
        written: tf.TensorArray,
        state: State,
    ) -> tuple[object, ...]:
        logits, new = step(ids, state)
        state = {name: _kept(ended, state[name], value) for name, value in new.items()}
        log_probability = log_probabilities(logits, begin)
        chosen = choose(log_probability, t)
        gain = tf.gather(log_probability, chosen, axis=1, batch_dims=1)
        ids = tf.where(ended, 0, chosen)
        score = score + tf.where(ended, 0.0, gain)
        written = written.write(t, ids)  # in place, so that the cost of a step is that of a step
        ended |= ids == end
        return t + 1, waits.after(t, ~ended, leave), ids, ended, score, written, state

    start = (
        tf.constant(0),
        Waits.begin(),
        tf.fill([batch], begin),
        tf.zeros([batch], tf.bool),
        tf.zeros([batch]),
        rows_a_step(steps, tf.fill([batch], 0)),
        state,
    )
    t, _, _, ended, score, written, state = tf.while_loop(more, one, start, maximum_iterations=steps)
    return Written(tf.transpose(written.stack()), score, state, ended | (t == steps))


def log_probabilities(logits: tf.Tensor, begin: int) -> tf.Tensor:
    """Natural logs of the probabilities of all symbols, float32, but `NEVER` of those that are not written."""
    symbols = tf.range(tf.shape(logits)[-1])
    written = (symbols != 0) & (symbols != begin)
    return tf.where(written, tf.nn.log_softmax(tf.cast(logits, tf.float32)), NEVER)


def _kept(ended: tf.Tensor, old: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
    """The new state, but of rows that have ended the old one."""
    return tf.where(tf.reshape(ended, [-1] + [1] * (len(new.shape) - 1)), old, new)


def rows_a_step(steps: int, like: tf.Tensor) -> tf.TensorArray:
    """Zeros of so many steps, each to be replaced in place, so that the cost of a step does not grow with them."""
    array = tf.TensorArray(tf.int32, steps, element_shape=like.shape)
    return array.unstack(tf.zeros(tf.concat([[steps], tf.shape(like)], axis=0), tf.int32))


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
