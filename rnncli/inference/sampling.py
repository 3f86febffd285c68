"""Greedy decoding and sampling, symbol by symbol, over a function `step(ids, state)` instead of a model.

Id 0 is padding, behind a row's end-of-sequence. Neither padding nor beginning-of-sequence is ever predicted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import tensorflow as tf

from rnncli.inference.decoding import SequenceSpec

State = dict[str, tf.Tensor]
StepFunction = Callable[[tf.Tensor, State], tuple[tf.Tensor, State]]
"""Last ids, int32 [rows], and the state to logits, float [rows, symbols], and the new state."""
Carry = TypeVar("Carry")

IMPOSSIBLE = float("-inf")
"""Log probability of what is never predicted."""


class DecodedRows(NamedTuple):
    """Decoded sequences with their scores and final states.

    Attributes:
        ids: Predicted ids with end-of-sequence, then padding; int32 [rows, max_length].
        score: Sum of the natural-log probabilities of the predicted ids, float32 [rows].
        state: The state after the step that predicted the last id.
    """

    ids: tf.Tensor
    score: tf.Tensor
    state: State


class _Progress(NamedTuple):
    """The loop variables of `_decode_rows`.

    Attributes:
        last: Ids predicted last, int32 [rows].
        ended: bool [rows].
        score: As in `DecodedRows`.
        ids: Ids predicted at each step, int32 [rows] each.
        state: As in `DecodedRows`.
    """

    last: tf.Tensor
    ended: tf.Tensor
    score: tf.Tensor
    ids: tf.TensorArray
    state: State


def greedy(step: StepFunction, state: State, spec: SequenceSpec) -> DecodedRows:
    """Predict the most probable symbol at every step, until every row has ended.

    Args:
        step: See `StepFunction`.
        state: The state before the first symbol, [rows, ...] each.
        spec: Properties of target sequences.
    """

    def most_probable(log_probability: tf.Tensor, _t: tf.Tensor) -> tf.Tensor:
        return tf.argmax(log_probability, axis=-1, output_type=tf.int32)

    return _decode_rows(step, state, spec, most_probable)


def sample(
    step: StepFunction,
    state: State,
    spec: SequenceSpec,
    uniforms: tf.Tensor,
    temperature: float | tf.Tensor = 1.0,
    top_k: tf.Tensor | None = None,
    top_p: float | tf.Tensor = 1.0,
) -> DecodedRows:
    """Sample every symbol by inverting the cumulative distribution, until every row has ended.

    Args:
        step: See `StepFunction`.
        state: The state before the first symbol, [rows, ...] each.
        spec: Properties of target sequences.
        uniforms: Random numbers in [0, 1), float32 [rows, max_length]; one decides one symbol.
        temperature: Softmax temperature, float32 []: logits are divided by it; above 0.
        top_k: Number of most probable symbols to sample from, int32 []; None samples from all, whatever `top_p` is.
        top_p: As for `keep_probable`.

    Returns:
        The samples; their scores are those of the model, as at temperature 1.
    """

    def choose(log_probability: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
        highest = tf.reduce_max(log_probability, axis=-1, keepdims=True)
        scaled = (log_probability - highest) / temperature
        kept = scaled if top_k is None else keep_probable(scaled, top_k, top_p)
        return inverse_cdf(kept, tf.gather(uniforms, t, axis=1))

    return _decode_rows(step, state, spec, choose)


def inverse_cdf(logits: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Sample ids by inverting the cumulative distribution.

    Args:
        logits: float32 [rows, symbols], of any scale; `IMPOSSIBLE` is never sampled.
        uniform: A random number in [0, 1) for each row, float32 [rows].

    Returns:
        int32 [rows].
    """
    highest = tf.reduce_max(logits, axis=-1, keepdims=True)
    cumulative = tf.cumsum(tf.exp(logits - highest), axis=-1)
    point = uniform[:, None] * cumulative[:, -1:]
    ids = tf.reduce_sum(tf.cast(cumulative <= point, tf.int32), axis=-1)
    beyond = ids >= logits.shape[-1]  # the product was rounded up to the total
    return tf.where(beyond, tf.argmax(logits, axis=-1, output_type=tf.int32), ids)


def keep_probable(logits: tf.Tensor, top_k: tf.Tensor, top_p: float | tf.Tensor) -> tf.Tensor:
    """Return logits in which all but the most probable symbols are `IMPOSSIBLE`; symbols equal to the last one stay.

    Args:
        logits: float32 [rows, symbols].
        top_k: Number of symbols to keep, int32 [] from 1 to `symbols` (Fan et al. 2018).
        top_p: Of these keep the smallest set whose probability is at least this, float32 [] above 0 (nucleus
            sampling, Holtzman et al. 2020).
    """
    ordered = tf.sort(logits, axis=-1, direction="DESCENDING")
    places = tf.range(tf.shape(logits)[-1])
    within = tf.where(places < top_k, ordered, IMPOSSIBLE)
    before = tf.cumsum(tf.nn.softmax(within), axis=-1, exclusive=True)
    kept = (places < top_k) & ((before < top_p) | (places == 0))
    lowest = tf.reduce_min(tf.where(kept, ordered, float("inf")), axis=-1, keepdims=True)
    return tf.where(logits >= lowest, logits, IMPOSSIBLE)


def _decode_rows(
    step: StepFunction, state: State, spec: SequenceSpec, choose: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
) -> DecodedRows:
    """Decode one hypothesis a row; `choose` maps log probabilities [rows, symbols] and the step to int32 [rows]."""

    def advance(t: tf.Tensor, now: _Progress) -> _Progress:
        logits, new = step(now.last, now.state)
        state = {name: _select(now.ended, now.state[name], value) for name, value in new.items()}
        log_probability = log_probabilities(logits, spec.begin)
        chosen = choose(log_probability, t)
        gain = tf.gather(log_probability, chosen, axis=1, batch_dims=1)
        last = tf.where(now.ended, 0, chosen)
        score = now.score + tf.where(now.ended, 0.0, gain)
        return _Progress(last, now.ended | (last == spec.end), score, now.ids.write(t, last), state)

    rows = num_rows(state)
    start = _Progress(
        last=tf.fill([rows], spec.begin),
        ended=tf.zeros([rows], tf.bool),
        score=tf.zeros([rows]),
        ids=empty_token_array(spec.max_length, tf.fill([rows], 0)),
        state=state,
    )
    _, done = decoding_loop(advance, lambda now: tf.reduce_any(~now.ended), start, spec.max_length)
    return DecodedRows(tf.transpose(done.ids.stack()), done.score, done.state)


def decoding_loop(
    advance: Callable[[tf.Tensor, Carry], Carry], unfinished: Callable[[Carry], tf.Tensor], start: Carry, steps: int
) -> tuple[tf.Tensor, Carry]:
    """Advance the loop variables step by step while some row is unfinished.

    Args:
        advance: Takes the step, int32 [] from 0, and the loop variables to the new ones.
        unfinished: Takes the loop variables to a bool [].
        start: The loop variables before the first step.
        steps: Maximum steps.

    Returns:
        The number of steps taken, int32 [], and the loop variables after them.
    """

    def more(t: tf.Tensor, now: Carry) -> tf.Tensor:
        return (t < steps) & unfinished(now)

    def one(t: tf.Tensor, now: Carry) -> tuple[tf.Tensor, Carry]:
        return t + 1, advance(t, now)

    taken, done = tf.while_loop(more, one, (tf.constant(0), start), maximum_iterations=steps)
    return taken, done


def num_rows(state: State) -> int | tf.Tensor:
    """Return the number of rows of a state, an int where it is static."""
    first = next(iter(state.values()))
    return tf.shape(first)[0] if first.shape[0] is None else first.shape[0]


def log_probabilities(logits: tf.Tensor, begin: int) -> tf.Tensor:
    """Return natural-log probabilities, float32 [rows, symbols]; padding and `begin` are `IMPOSSIBLE`."""
    ids = tf.range(tf.shape(logits)[-1])
    possible = (ids != 0) & (ids != begin)
    return tf.where(possible, tf.nn.log_softmax(tf.cast(logits, tf.float32)), IMPOSSIBLE)


def _select(ended: tf.Tensor, old: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
    """Return the old state of rows that have ended, and the new state of the others."""
    return tf.where(tf.reshape(ended, [-1] + [1] * (len(new.shape) - 1)), old, new)


def empty_token_array(steps: int, like: tf.Tensor) -> tf.TensorArray:
    """Return an array of `steps` int32 tensors of zeros with the shape of `like`; written in place, step by step."""
    array = tf.TensorArray(tf.int32, steps, element_shape=like.shape)
    return array.unstack(tf.zeros(tf.concat([[steps], tf.shape(like)], axis=0), tf.int32))


def argmax_per_step(logits: tf.Tensor, lengths: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """Predict the most probable symbol of each step, for models that predict all steps at once.

    Args:
        logits: float [rows, steps, symbols].
        lengths: Steps of each row that count, int [rows], where id 0 is padding; None if all steps and ids count.

    Returns:
        Ids, int32 [rows, steps], 0 at steps that do not count; and the sums of their natural-log probabilities,
        float32 [rows].
    """
    log_probability = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    first = 0 if lengths is None else 1
    best = tf.argmax(log_probability[..., first:], axis=-1, output_type=tf.int32) + first
    gain = tf.reduce_max(log_probability[..., first:], axis=-1)
    if lengths is not None:
        counted = tf.sequence_mask(lengths, tf.shape(logits)[1])
        best, gain = tf.where(counted, best, 0), tf.where(counted, gain, 0.0)
    return best, tf.reduce_sum(gain, axis=-1)
