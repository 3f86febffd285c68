"""Beam search over a function `step(ids, state)` instead of a model; ids are as in `rnncli.inference.sampling`."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rnncli.inference.decoding import SequenceSpec
from rnncli.inference.sampling import (
    IMPOSSIBLE,
    State,
    StepFunction,
    decoding_loop,
    empty_token_array,
    log_probabilities,
    num_rows,
)


class _Hypotheses(NamedTuple):
    """The hypotheses of each row, best first; all tensors are [rows, hypotheses].

    Attributes:
        rank: Score over length penalty, which orders them; float32.
        score: Sum of the natural-log probabilities, float32; `IMPOSSIBLE` where there is no hypothesis.
        length: Symbols without end-of-sequence, int32.
        slot: Index of its last symbol among those of that step, int32.
    """

    rank: tf.Tensor
    score: tf.Tensor
    length: tf.Tensor
    slot: tf.Tensor

    def merge(self, more: _Hypotheses, count: int) -> _Hypotheses:
        """Return the best `count` of both; ties go to `self`, then to the smaller index."""
        joined = [tf.concat(pair, axis=1) for pair in zip(self, more, strict=True)]
        rank, slots = tf.math.top_k(joined[0], count)
        return _Hypotheses(rank, *(tf.gather(values, slots, axis=1, batch_dims=1) for values in joined[1:]))


class _BackPointers(NamedTuple):
    """The symbols of each step's unfinished hypotheses, and the hypotheses that they continue.

    Attributes:
        ids: int32 [rows, width] a step.
        parents: Slots in the step before, int32 [rows, width] a step.
    """

    ids: tf.TensorArray
    parents: tf.TensorArray

    def trace(self, best: _Hypotheses, taken: tf.Tensor, spec: SequenceSpec) -> tf.Tensor:
        """Return the ids of hypotheses with their end-of-sequence, then padding.

        Args:
            best: The hypotheses.
            taken: Number of steps taken, int32 [].
            spec: Properties of target sequences.

        Returns:
            int32 [rows, hypotheses, max_length].
        """

        def back(t: tf.Tensor, slot: tf.Tensor, traced: tf.TensorArray) -> tuple[object, ...]:
            ids, parents = (tf.gather(each.read(t), slot, axis=1, batch_dims=1) for each in (self.ids, self.parents))
            inside = t < best.length
            traced = traced.write(t, tf.where(inside, ids, tf.where(t == best.length, spec.end, 0)))
            return t - 1, tf.where(inside, parents, slot), traced

        steps = spec.max_length
        start = taken - 1, best.slot, empty_token_array(steps, best.slot)
        _, _, traced = tf.while_loop(lambda t, *_: t >= 0, back, start, maximum_iterations=steps)
        return tf.transpose(traced.stack(), [1, 2, 0])


class _Beam(NamedTuple):
    """The loop variables of `beam_search`.

    Attributes:
        last: Ids that the unfinished hypotheses predicted last, int32 [rows, width].
        score: Scores of the unfinished hypotheses, float32 [rows, width]; `IMPOSSIBLE` for none.
        finished: The best `width` finished hypotheses.
        pointers: Back-pointers.
        state: The state of each hypothesis, [rows * width, ...].
    """

    last: tf.Tensor
    score: tf.Tensor
    finished: _Hypotheses
    pointers: _BackPointers
    state: State


def beam_search(
    step: StepFunction,
    state: State,
    spec: SequenceSpec,
    width: int,
    *,
    length_penalty: float | tf.Tensor = 0.0,
    n_best: int = 1,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Keep the best unfinished hypotheses of each row at every step, and the best finished ones beside them.

    A hypothesis finishes if its end-of-sequence is among the `width` best continuations of its row. Unfinished
    hypotheses of `max_length` symbols compete as they are. Hypotheses of n symbols are ranked by
    score / ((5 + n) / 6) ** length_penalty (Wu et al. 2016, "Google's Neural Machine Translation System", equation
    14). A row stops when no unfinished hypothesis can still outrank its `n_best` finished ones: scores only fall, and
    the penalty of the maximum length is the largest. Ties go to the hypothesis that finished first, then to the
    continuation of the better hypothesis, then to the smaller id.

    Args:
        step: See `StepFunction`; its rows are [rows * width].
        state: The state before the first symbol, [rows, ...] each.
        spec: Properties of target sequences.
        width: Unfinished hypotheses kept for each row; 1 with `length_penalty` 0 equals `greedy`.
        length_penalty: Exponent of the length penalty, float32 []; 0 ranks by score.
        n_best: Hypotheses returned, at most `width`.

    Returns:
        The best hypotheses with end-of-sequence, then padding, int32 [rows, n_best, max_length]; and their sums of
        natural-log probabilities, float32 [rows, n_best]. Where a row has fewer, ids of 0 and `IMPOSSIBLE`.
    """
    rows, longest = num_rows(state), _length_penalty(spec.max_length, length_penalty)

    def advance(t: tf.Tensor, now: _Beam) -> _Beam:
        logits, state = step(tf.reshape(now.last, [-1]), now.state)
        score, parent, ids = _best_continuations(now.score, log_probabilities(logits, spec.begin), width)
        ended = ids == spec.end
        end_score = tf.where(ended & (tf.range(score.shape[1]) < width), score, IMPOSSIBLE)
        rank = end_score / _length_penalty(t + 1, length_penalty)
        finished = now.finished.merge(_Hypotheses(rank, end_score, tf.fill(ids.shape, t), parent), width)
        score, slots = tf.math.top_k(tf.where(ended, IMPOSSIBLE, score), width)
        ids, parent = (tf.gather(values, slots, axis=1, batch_dims=1) for values in (ids, parent))
        settled = finished.rank[:, n_best - 1 : n_best] >= score[:, :1] / longest
        score = tf.where(settled, IMPOSSIBLE, score)
        pointers = _BackPointers(now.pointers.ids.write(t, ids), now.pointers.parents.write(t, parent))
        beam_rows = tf.reshape(tf.range(rows)[:, None] * width + parent, [-1])
        state = {name: tf.gather(value, beam_rows) for name, value in state.items()}
        return _Beam(ids, score, finished, pointers, state)

    def unfinished(now: _Beam) -> tf.Tensor:
        return tf.reduce_any(now.score > IMPOSSIBLE)

    taken, done = decoding_loop(advance, unfinished, _start(state, spec, width), spec.max_length)
    slots = tf.tile(tf.range(width)[None], [rows, 1])
    full_length = tf.fill([rows, width], spec.max_length)
    best = done.finished.merge(_Hypotheses(done.score / longest, done.score, full_length, slots), n_best)
    traced = done.pointers.trace(best, taken, spec)
    return tf.where(best.score[:, :, None] > IMPOSSIBLE, traced, 0), best.score


def _start(state: State, spec: SequenceSpec, width: int) -> _Beam:
    """Return the beam before the first step: one empty hypothesis a row."""
    rows = num_rows(state)
    none, zeros = tf.fill([rows, width], IMPOSSIBLE), tf.zeros([rows, width], tf.int32)
    return _Beam(
        last=tf.fill([rows, width], spec.begin),
        score=tf.concat([tf.zeros([rows, 1]), none[:, 1:]], axis=1),
        finished=_Hypotheses(none, none, zeros, zeros),
        pointers=_BackPointers(empty_token_array(spec.max_length, zeros), empty_token_array(spec.max_length, zeros)),
        state={name: tf.repeat(value, width, axis=0) for name, value in state.items()},
    )


def _length_penalty(length: int | tf.Tensor, exponent: float | tf.Tensor) -> tf.Tensor:
    return ((5.0 + tf.cast(length, tf.float32)) / 6.0) ** exponent


def _best_continuations(
    score: tf.Tensor, log_probability: tf.Tensor, width: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the best continuations of all hypotheses of a row, enough that `width` of them do not end.

    Each hypothesis contributes its best `width` + 1 continuations, since only one of them can end. So the
    continuations of one hypothesis stay in the order of their probabilities, even where rounding makes sums equal.

    Args:
        score: float32 [rows, width].
        log_probability: float32 [rows * width, symbols].
        width: Hypotheses of a row.

    Returns:
        Scores in falling order, the hypotheses that are continued, and the ids that continue them; float32, int32 and
        int32 [rows, continuations].
    """
    each = min(width + 1, log_probability.shape[-1])
    gain, ids = tf.math.top_k(log_probability, each)
    sums = score[:, :, None] + tf.reshape(gain, [-1, width, each])
    sums, slots = tf.math.top_k(tf.reshape(sums, [-1, width * each]), min(2, each) * width)
    ids = tf.gather(tf.reshape(ids, [-1, width * each]), slots, axis=1, batch_dims=1)
    return sums, slots // each, ids
