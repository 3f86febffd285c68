"""Beam search over `step(ids, state)`; knows no model. Ids are as in `rnncli.decoding`."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rnncli.inference.sampling import NEVER, State, StepFunction, Waits, log_probabilities, rows_a_step


class _Hypotheses(NamedTuple):
    """Hypotheses of each row, the best first: all are [batch, hypotheses].

    Attributes:
        rank: What they are ordered by: the score over the length penalty, float32.
        score: The sum of the log probabilities, float32; `NEVER` where there is no hypothesis.
        length: Symbols without the end, int32.
        place: Of its last symbol among those that were written at that step, int32.
    """

    rank: tf.Tensor
    score: tf.Tensor
    length: tf.Tensor
    place: tf.Tensor

    def and_best_of(self, more: _Hypotheses, count: int) -> _Hypotheses:
        """The best of both; of equal ones those of `self` come first, and then those that came first."""
        joined = [tf.concat(pair, axis=1) for pair in zip(self, more, strict=True)]
        rank, places = tf.math.top_k(joined[0], count)
        return _Hypotheses(rank, *(tf.gather(values, places, axis=1, batch_dims=1) for values in joined[1:]))


class _Trail(NamedTuple):
    """What was written at each step by the hypotheses that went on, and which of the step before each continued.

    Attributes:
        ids: Symbols, int32 [batch, width] a step.
        parents: Places among the hypotheses of the step before, likewise.
    """

    ids: tf.TensorArray
    parents: tf.TensorArray

    def back_from(self, best: _Hypotheses, taken: tf.Tensor, end: int, steps: int) -> tf.Tensor:
        """What hypotheses wrote, with their ends and 0 behind them, int32 [batch, hypotheses, steps].

        Args:
            best: The hypotheses.
            taken: Steps that were taken.
            end: Id that ends a hypothesis.
            steps: Of the result.
        """

        def one(t: tf.Tensor, place: tf.Tensor, written: tf.TensorArray) -> tuple[object, ...]:
            ids, parents = (
                tf.gather(trail.read(t), place, axis=1, batch_dims=1) for trail in (self.ids, self.parents)
            )
            inside = t < best.length
            written = written.write(t, tf.where(inside, ids, tf.where(t == best.length, end, 0)))
            return t - 1, tf.where(inside, parents, place), written

        start = taken - 1, best.place, rows_a_step(steps, best.place)
        _, _, written = tf.while_loop(lambda t, *_: t >= 0, one, start, maximum_iterations=steps)
        return tf.transpose(written.stack(), [1, 2, 0])


def beam(
    step: StepFunction,
    state: State,
    batch: int,
    width: int,
    begin: int,
    end: int,
    steps: int,
    length_penalty: float = 0.0,
    n_best: int = 1,
    leave: int | tf.Tensor = 0,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Keep the best few unfinished hypotheses of each row at every step, and beside them the best finished ones.

    A hypothesis finishes where its end is among the `width` best continuations of its row, and gathers nothing more.
    Those that have `steps` symbols count as they stand. Hypotheses are ranked by their score over
    ((5 + n) / 6) ** length_penalty, n their symbols (Wu et al. 2016, "Google's Neural Machine Translation System",
    equation 14). A row stops when no unfinished hypothesis can become better than the n_best best finished ones:
    scores only fall, and no penalty is larger than that of the longest. Of equals comes first what finished first,
    then what continues the better hypothesis, then the smaller id.

    Args:
        step: Symbols written last, int32 [batch * width], and the state, to logits and the new state.
        state: The state before the first symbol, of each row once, [batch, ...].
        batch: Rows.
        width: Unfinished hypotheses a row; with one, it is `greedy` wherever `length_penalty` is 0.
        begin: Id that is read first.
        end: Id that ends a hypothesis.
        steps: Most symbols a hypothesis may have, its end included.
        length_penalty: 0 ranks by the score itself.
        n_best: Hypotheses wanted, at most `width`.
        leave: As for `greedy`.

    Returns:
        The best hypotheses with their ends, 0 behind them, int32 [batch, n_best, steps], and the sums of their
        natural-log probabilities, float32 [batch, n_best]; where a row has fewer, only 0 and `NEVER`. And whether the
        search for a row's best has come to its end, bool [batch]; else the rest of it means nothing.
    """

    def more(t: tf.Tensor, waits: Waits, *_: object) -> tf.Tensor:
        return (t < steps) & waits.on(t)

    def one(
        t: tf.Tensor,
        waits: Waits,
        ids: tf.Tensor,
        score: tf.Tensor,
        finished: _Hypotheses,
        trail: _Trail,
        state: State,
    ) -> tuple[object, ...]:
        logits, state = step(tf.reshape(ids, [-1]), state)
        score, parent, ids = _continued(score, log_probabilities(logits, begin), width)
        ended = ids == end
        ending = tf.where(ended & (tf.range(score.shape[1]) < width), score, NEVER)
        ends = _Hypotheses(ending / _penalty(t + 1, length_penalty), ending, tf.fill(ids.shape, t), parent)
        finished = finished.and_best_of(ends, width)
        score, places = tf.math.top_k(tf.where(ended, NEVER, score), width)
        ids, parent = (tf.gather(values, places, axis=1, batch_dims=1) for values in (ids, parent))
        settled = finished.rank[:, n_best - 1 : n_best] >= score[:, :1] / _penalty(steps, length_penalty)
        score = tf.where(settled, NEVER, score)
        trail = _Trail(trail.ids.write(t, ids), trail.parents.write(t, parent))
        rows = tf.reshape(tf.range(batch)[:, None] * width + parent, [-1])
        state = {name: tf.gather(value, rows) for name, value in state.items()}
        return t + 1, waits.after(t, _searched(score), leave), ids, score, finished, trail, state

    start = _start(state, batch, width, begin, steps)
    taken, _, _, score, finished, trail, _ = tf.while_loop(more, one, start, maximum_iterations=steps)
    places = tf.tile(tf.range(width)[None], [batch, 1])
    live = _Hypotheses(score / _penalty(steps, length_penalty), score, tf.fill([batch, width], steps), places)
    best = finished.and_best_of(live, n_best)
    ids = tf.where(best.score[:, :, None] > NEVER, trail.back_from(best, taken, end, steps), 0)
    return ids, best.score, ~_searched(score) | (taken == steps)


def _start(state: State, batch: int, width: int, begin: int, steps: int) -> tuple[object, ...]:
    """What the search begins with: one hypothesis a row, which is empty."""
    none, nothing = tf.fill([batch, width], NEVER), tf.zeros([batch, width], tf.int32)
    return (
        tf.constant(0),
        Waits.begin(),
        tf.fill([batch, width], begin),
        tf.concat([tf.zeros([batch, 1]), none[:, 1:]], axis=1),
        _Hypotheses(none, none, nothing, nothing),
        _Trail(rows_a_step(steps, nothing), rows_a_step(steps, nothing)),
        {name: tf.repeat(value, width, axis=0) for name, value in state.items()},
    )


def _penalty(length: int | tf.Tensor, weight: float) -> tf.Tensor:
    return ((5.0 + tf.cast(length, tf.float32)) / 6.0) ** weight if weight else tf.constant(1.0)


def _searched(score: tf.Tensor) -> tf.Tensor:
    """Whether a row has hypotheses that may become better than its best finished ones."""
    return tf.reduce_any(score > NEVER, axis=1)


def _continued(score: tf.Tensor, log_probability: tf.Tensor, width: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The best continuations of all hypotheses of a row, so many that `width` of them do not end.

    Each hypothesis gives its own best first: one more than `width`, since only one can be the end. So the
    continuations of one hypothesis are in the order of their probabilities, even where sums are rounded to equals.

    Args:
        score: float32 [batch, width].
        log_probability: float32 [batch * width, symbols].
        width: Hypotheses.

    Returns:
        Scores, float32 [batch, continuations], falling; the hypothesis that each continues, and by which id, int32.
    """
    each = min(width + 1, log_probability.shape[-1])
    gain, ids = tf.math.top_k(log_probability, each)
    sums = score[:, :, None] + tf.reshape(gain, [-1, width, each])
    sums, places = tf.math.top_k(tf.reshape(sums, [-1, width * each]), min(2, each) * width)
    ids = tf.gather(tf.reshape(ids, [-1, width * each]), places, axis=1, batch_dims=1)
    return sums, places // each, ids
