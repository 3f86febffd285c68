"""Greedy decoding, sampling and beam search in NumPy, over a function `step(ids, state)`.

They compute what `rnncli.inference.sampling` and `rnncli.inference.beam_search` compute in TensorFlow, which explain
them, for models that another runtime runs step by step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncli.inference.decoding import SequenceSpec, States

Floats = NDArray[np.float32]
Ids = NDArray[np.int32]
StepFunction = Callable[[Ids, States], tuple[Floats, States]]
"""Last ids, int32 [rows], and the state to logits, float32 [rows, symbols], and the new state."""

IMPOSSIBLE = np.float32("-inf")
"""Log probability of what is never predicted."""


class DecodedRows(NamedTuple):
    """Decoded sequences with their scores and final states.

    Attributes:
        ids: Predicted ids with end-of-sequence, then padding; int32 [rows, max_length].
        score: Sum of the natural-log probabilities of the predicted ids, float32 [rows].
        state: The state after the step that predicted the last id.
    """

    ids: Ids
    score: Floats
    state: States


def greedy(step: StepFunction, state: States, spec: SequenceSpec) -> DecodedRows:
    """Predict the most probable symbol at every step, until every row has ended.

    Args:
        step: See `StepFunction`.
        state: The state before the first symbol, [rows, ...] each.
        spec: Properties of target sequences.
    """
    return _decode_rows(step, state, spec, lambda log_probability, _t: log_probability.argmax(axis=1))


def sample(
    step: StepFunction,
    state: States,
    spec: SequenceSpec,
    uniforms: Floats,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> DecodedRows:
    """Sample every symbol by inverting the cumulative distribution, until every row has ended.

    Args:
        step: See `StepFunction`.
        state: The state before the first symbol, [rows, ...] each.
        spec: Properties of target sequences.
        uniforms: Random numbers in [0, 1), float32 [rows, max_length]; one decides one symbol.
        temperature: Softmax temperature: logits are divided by it; above 0.
        top_k: Sample only from so many most probable symbols; None is all.
        top_p: Sample only from the most probable symbols that together have this probability; None is all.

    Returns:
        The samples; their scores are those of the model, as at temperature 1.
    """

    def inverse_cdf(log_probability: Floats, t: int) -> NDArray[Any]:
        highest = log_probability.max(axis=1, keepdims=True)
        scaled = (log_probability - highest) / np.float32(temperature)
        if top_k is not None or top_p is not None:
            scaled = keep_probable(scaled, top_k or scaled.shape[1], top_p or 1.0)
        cumulative = np.cumsum(np.exp(scaled), axis=1)
        point = uniforms[:, t, None] * cumulative[:, -1:]
        ids = (cumulative <= point).sum(axis=1)
        beyond = ids >= log_probability.shape[1]  # the product was rounded up to the total
        return np.where(beyond, log_probability.argmax(axis=1), ids)

    return _decode_rows(step, state, spec, inverse_cdf)


def keep_probable(logits: Floats, top_k: int, top_p: float) -> Floats:
    """Return logits in which all but the most probable symbols are `IMPOSSIBLE`; see `sampling.keep_probable`."""
    ordered = -np.sort(-logits, axis=1)
    within = np.where(np.arange(logits.shape[1]) < top_k, ordered, IMPOSSIBLE)
    probability = np.exp(within - within[:, :1])
    probability /= probability.sum(axis=1, keepdims=True)
    before = np.cumsum(probability, axis=1) - probability
    kept = (np.arange(logits.shape[1]) < top_k) & (before < np.float32(top_p))
    kept[:, 0] = True
    lowest = np.where(kept, ordered, np.float32("inf")).min(axis=1, keepdims=True)
    result: Floats = np.where(logits >= lowest, logits, IMPOSSIBLE)
    return result


def _decode_rows(
    step: StepFunction, state: States, spec: SequenceSpec, choose: Callable[[Floats, int], NDArray[Any]]
) -> DecodedRows:
    """Decode one hypothesis a row; `choose` maps log probabilities [rows, symbols] and the step to ids [rows]."""
    rows = num_rows(state)
    last, ended, score = np.full(rows, spec.begin, np.int32), np.zeros(rows, bool), np.zeros(rows, np.float32)
    written = np.zeros((rows, spec.max_length), np.int32)
    for t in range(spec.max_length):
        logits, new = step(last, state)
        state = {name: np.where(_like(ended, value), state[name], value) for name, value in new.items()}
        log_probability = log_probabilities(logits, spec.begin)
        chosen = choose(log_probability, t).astype(np.int32)
        score += np.where(ended, np.float32(0), np.take_along_axis(log_probability, chosen[:, None], axis=1)[:, 0])
        last = np.where(ended, np.int32(0), chosen)
        written[:, t] = last
        ended |= last == spec.end
        if ended.all():
            break
    return DecodedRows(written, score, state)


class _Hypotheses(NamedTuple):
    """The hypotheses of each row, best first; all arrays are [rows, hypotheses]; see `beam_search._Hypotheses`."""

    rank: Floats
    score: Floats
    length: Ids
    slot: Ids

    def merge(self, more: _Hypotheses, count: int) -> _Hypotheses:
        """Return the best `count` of both; ties go to `self`, then to the smaller index."""
        joined = [np.concatenate(pair, axis=1) for pair in zip(self, more, strict=True)]
        rank, slots = top_k(joined[0], count)
        return _Hypotheses(rank, *(np.take_along_axis(values, slots, axis=1) for values in joined[1:]))


def beam_search(
    step: StepFunction,
    state: States,
    spec: SequenceSpec,
    width: int,
    *,
    length_penalty: float = 0.0,
    n_best: int = 1,
) -> tuple[Ids, Floats]:
    """Keep the best unfinished hypotheses of each row at every step; see `rnncli.inference.beam_search`.

    Args:
        step: See `StepFunction`; its rows are [rows * width].
        state: The state before the first symbol, [rows, ...] each.
        spec: Properties of target sequences.
        width: Unfinished hypotheses kept for each row.
        length_penalty: Exponent of the length penalty; 0 ranks by score.
        n_best: Hypotheses returned, at most `width`.

    Returns:
        The best hypotheses with end-of-sequence, then padding, int32 [rows, n_best, max_length]; and their sums of
        natural-log probabilities, float32 [rows, n_best]. Where a row has fewer, ids of 0 and `IMPOSSIBLE`.
    """
    rows, longest = num_rows(state), _length_penalty(spec.max_length, length_penalty)
    none, zeros = np.full((rows, width), IMPOSSIBLE, np.float32), np.zeros((rows, width), np.int32)
    state = {name: np.repeat(value, width, axis=0) for name, value in state.items()}
    last, score = np.full((rows, width), spec.begin, np.int32), none.copy()
    score[:, 0] = 0
    finished = _Hypotheses(none, none, zeros, zeros)
    pointers: list[tuple[Ids, Ids]] = []
    for t in range(spec.max_length):
        logits, state = step(last.reshape(-1), state)
        score, parent, ids = _best_continuations(score, log_probabilities(logits, spec.begin), width)
        ended = ids == spec.end
        end_score = np.where(ended & (np.arange(score.shape[1]) < width), score, IMPOSSIBLE)
        rank = (end_score / _length_penalty(t + 1, length_penalty)).astype(np.float32)
        finished = finished.merge(_Hypotheses(rank, end_score, np.full(ids.shape, t, np.int32), parent), width)
        score, slots = top_k(np.where(ended, IMPOSSIBLE, score), width)
        last, parent = (np.take_along_axis(values, slots, axis=1) for values in (ids, parent))
        settled = finished.rank[:, n_best - 1 : n_best] >= score[:, :1] / longest
        score = np.where(settled, IMPOSSIBLE, score)
        pointers.append((last, parent))
        beam_rows = (np.arange(rows)[:, None] * width + parent).reshape(-1)
        state = {name: value[beam_rows] for name, value in state.items()}
        if not (score > IMPOSSIBLE).any():
            break
    every = np.tile(np.arange(width, dtype=np.int32), (rows, 1))
    lengths = np.full((rows, width), spec.max_length, np.int32)
    best = finished.merge(_Hypotheses((score / longest).astype(np.float32), score, lengths, every), n_best)
    return np.where(best.score[:, :, None] > IMPOSSIBLE, _trace(pointers, best, spec), 0), best.score


def _trace(pointers: list[tuple[Ids, Ids]], best: _Hypotheses, spec: SequenceSpec) -> Ids:
    """Return the ids of hypotheses with their end-of-sequence, then padding, int32 [rows, hypotheses, max_length]."""
    traced = np.zeros((*best.slot.shape, spec.max_length), np.int32)
    slot = best.slot
    for t in reversed(range(len(pointers))):
        ids, parents = (np.take_along_axis(each, slot, axis=1) for each in pointers[t])
        inside = t < best.length
        traced[:, :, t] = np.where(inside, ids, np.where(t == best.length, spec.end, 0))
        slot = np.where(inside, parents, slot)
    return traced


def _length_penalty(length: int, exponent: float) -> np.float32:
    return np.float32((5.0 + length) / 6.0) ** np.float32(exponent)


def _best_continuations(score: Floats, log_probability: Floats, width: int) -> tuple[Floats, Ids, Ids]:
    """Return the best continuations of all hypotheses of a row; see `beam_search._best_continuations`."""
    each = min(width + 1, log_probability.shape[1])
    gain, ids = top_k(log_probability, each)
    sums = score[:, :, None] + gain.reshape(-1, width, each)
    best, slots = top_k(sums.reshape(-1, width * each), min(2, each) * width)
    found = np.take_along_axis(ids.reshape(-1, width * each), slots, axis=1)
    return best, (slots // each).astype(np.int32), found.astype(np.int32)


def top_k(values: Floats, count: int) -> tuple[Floats, NDArray[np.intp]]:
    """Return the largest values of each row in falling order, and their columns; ties go to the smaller column.

    Args:
        values: float32 [rows, columns].
        count: Number of values, at most the columns.
    """
    if count < values.shape[1] and not np.isnan(values).any():
        least = -np.partition(-values, count - 1, axis=1)[:, count - 1 : count]
        above, equal = values > least, values == least
        chosen = above | (equal & (np.cumsum(equal, axis=1) <= count - above.sum(axis=1, keepdims=True)))
        columns = np.nonzero(chosen)[1].reshape(-1, count)
    else:
        columns = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    found = np.take_along_axis(values, columns, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(columns, order, axis=1)


def num_rows(state: States) -> int:
    """Return the number of rows of a state."""
    return len(next(iter(state.values())))


def log_probabilities(logits: Floats, begin: int) -> Floats:
    """Return natural-log probabilities, float32 [rows, symbols]; padding and `begin` are `IMPOSSIBLE`."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    result[:, [0, begin]] = IMPOSSIBLE
    return result


def _like(ended: NDArray[np.bool_], value: NDArray[Any]) -> NDArray[np.bool_]:
    """Return `ended`, [rows], with as many dimensions as a state."""
    return ended.reshape(-1, *[1] * (value.ndim - 1))
