"""Beam search against exhaustive search, a plain loop, greedy search, and answers known by hand."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from fake_steps import BEGIN, END, GARDEN, PAD, A, B, by_table, counting, cut

from rnncli.config import EncoderDecoderModel
from rnncli.data.examples import Sizes
from rnncli.inference import sampling as decoding
from rnncli.inference.beam_search import beam as beam_search
from rnncli.layers import KernelChoice
from rnncli.models.encoder_decoder import EncoderDecoder

pytestmark = pytest.mark.usefixtures("runtime")


def beam(step, state, rows, width, steps, length_penalty=0.0, n_best=1):
    ids, score, _ = beam_search(step, state, rows, width, BEGIN, END, steps, length_penalty, n_best)
    assert ids.dtype == tf.int32
    assert score.dtype == tf.float32
    return ids.numpy().tolist(), score.numpy()


def test_it_finds_what_greedy_search_misses():
    greedy, low, *_ = decoding.greedy(by_table(GARDEN), counting(1), 1, BEGIN, END, 4)
    assert greedy.numpy()[0, 0] == A
    ids, score = beam(by_table(GARDEN), counting(1), 1, 2, 4)
    assert ids == [[[B, END, 0, 0]]]
    np.testing.assert_allclose(score, [[math.log(0.4 * 0.9)]], rtol=1e-5)
    assert score[0, 0] > low.numpy()[0]


def test_the_best_few_come_in_order_each_with_its_own_probability():
    ids, score = beam(by_table(GARDEN), counting(1), 1, 3, 4, n_best=3)
    # the end after A, of 0.548 * 0.298, is only the fourth best of the second step
    assert ids == [[[B, END, 0, 0], [A, B, END, 0], [A, A, B, END]]]
    wanted = [0.4 * 0.9, 0.548 * 0.34 * 0.9, 0.548 * 0.36 * 0.34 * 0.9]
    np.testing.assert_allclose(score, np.log([wanted]), rtol=1e-5)


def test_a_length_penalty_prefers_longer_ones():
    table = np.log(
        [
            [0.2] * 5,
            [0.001, 0.001, 0.42, 0.288, 0.29],  # the end at once, or B
            [0.2] * 5,
            [0.2] * 5,
            [0.001, 0.001, 0.99, 0.004, 0.004],  # the end follows B
        ]
    )
    assert beam(by_table(table), counting(1), 1, 2, 4)[0] == [[[END, 0, 0, 0]]]
    ids, score = beam(by_table(table), counting(1), 1, 2, 4, length_penalty=3.0)
    assert ids == [[[B, END, 0, 0]]]  # log(0.29 * 0.99) / (7 / 6) ** 3 is more than log 0.42
    np.testing.assert_allclose(score, [[math.log(0.29 * 0.99)]], rtol=1e-5, err_msg="not the penalized one")


def test_hypotheses_as_long_as_allowed_count_as_they_stand():
    ids, score = beam(by_table(GARDEN), counting(1), 1, 2, 1, n_best=2)
    assert ids == [[[A], [B]]]
    np.testing.assert_allclose(score, np.log([[0.548, 0.4]]), rtol=1e-5)


def test_where_there_are_fewer_hypotheses_than_wanted_the_rest_is_empty():
    ids, score = beam(by_table(GARDEN), counting(1), 1, 4, 1, n_best=4)
    assert ids == [[[A], [B], [END], [0]]]
    np.testing.assert_allclose(score, [[*np.log([0.548, 0.4, 0.05]), -np.inf]], rtol=1e-5)


def test_of_equals_comes_first_what_finished_first_then_smaller_ids():
    ids, _ = beam(by_table(np.zeros((5, 5))), counting(1), 1, 3, 2, n_best=3)
    # the best three of the second step, all equal, are A END, A A and A B
    assert ids == [[[END, 0], [A, END], [A, A]]]


def test_padding_and_the_begin_symbol_are_never_written():
    tempting = np.log([[0.5, 0.3, 0.1, 0.06, 0.04]] * 5)
    ids, score = beam(by_table(tempting), counting(1), 1, 2, 3, n_best=2)
    assert ids == [[[END, 0, 0], [A, END, 0]]]
    np.testing.assert_allclose(score, np.log([[0.1, 0.006]]), rtol=1e-5)
    greedy, score, *_ = decoding.greedy(by_table(tempting), counting(1), 1, BEGIN, END, 3)
    assert greedy.numpy().tolist() == [[END, 0, 0]]
    np.testing.assert_allclose(score, np.log([0.1]), rtol=1e-5)


def test_search_stops_when_no_row_can_get_better():
    calls = []

    def step(ids, state):
        calls.append(ids.numpy().tolist())
        return by_table(GARDEN)(ids, state)

    beam(step, counting(2), 2, 2, 50)
    assert len(calls) == 2  # B END has 0.36; the best unfinished one then has 0.548 * 0.36
    assert calls[1] == [A, B] * 2


def markov(symbols, seed, spread=2.0):
    """A step whose logits follow from all that was written, through a state, and from the row."""
    rng = np.random.default_rng(seed)
    reads, goes_on, says = (tf.constant(rng.normal(0, spread, (n, 4)), tf.float32) for n in (symbols, 4, symbols))

    def step(ids, state):
        h = tf.tanh(tf.gather(reads, ids) + tf.matmul(state["h"], goes_on))
        return tf.matmul(h, says, transpose_b=True), {"h": h}

    return step


def started(rows, seed=0):
    return {"h": tf.constant(np.random.default_rng(seed).normal(size=(rows, 4)), tf.float32)}


def probabilities_of(step, state, sequence):
    """The log probability of a sequence of one row, written symbol by symbol."""
    last, total = BEGIN, 0.0
    for symbol in sequence:
        logits, state = step(tf.constant([last]), state)
        total += float(tf.nn.log_softmax(logits)[0, symbol])
        last = symbol
    return total


def every_sequence(symbols, steps):
    inner = [s for s in range(symbols) if s not in (PAD, BEGIN, END)]
    for length in range(1, steps + 1):
        for body in itertools.product(inner, repeat=length - 1):
            yield (*body, END)
    yield from itertools.product(inner, repeat=steps)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_as_wide_as_everything_it_is_exhaustive_search(alpha, seed):
    steps, symbols = 4, 6
    step, state = markov(symbols, seed), started(1, seed)
    scores = {s: probabilities_of(step, state, s) for s in every_sequence(symbols, steps)}
    assert sum(math.exp(score) for score in scores.values()) < 1, "what is left is padding and the begin symbol"
    ranked = sorted(scores, key=lambda s: scores[s] / ((5 + len(s)) / 6) ** alpha, reverse=True)
    ids, found = beam(step, state, 1, len(scores), steps, alpha, n_best=len(scores))
    assert [cut(row) for row in ids[0]] == ranked
    np.testing.assert_allclose(found[0], [scores[s] for s in ranked], atol=1e-4)
    best, score = beam(step, state, 1, len(scores), steps, alpha)
    assert cut(best[0][0]) == ranked[0]
    assert score[0, 0] == pytest.approx(scores[ranked[0]], abs=1e-4)


def by_loop(step, state, width, steps, alpha, n_best):
    """Beam search of one row with lists of hypotheses; as wide for what is unfinished as for what has finished."""

    def rank(score, length):
        return score / ((5 + length) / 6) ** alpha

    live, finished = [(0.0, (), state)], []
    for t in range(steps):
        found = []
        for score, written, state in live:
            logits, new = step(tf.constant([written[-1] if written else BEGIN]), state)
            gains = tf.nn.log_softmax(logits)[0].numpy()
            found += [(score + gains[s], (*written, s), new) for s in range(len(gains)) if s not in (PAD, BEGIN)]
        found.sort(key=lambda h: -h[0])
        ended = [(rank(score, t + 1), score, written) for score, written, _ in found[:width] if written[-1] == END]
        finished = sorted(finished + ended, key=lambda h: -h[0])[:width]
        live = [h for h in found if h[1][-1] != END][:width]
        if len(finished) >= n_best and finished[n_best - 1][0] >= rank(live[0][0], steps):
            live = []
            break
    finished += [(rank(score, steps), score, written) for score, written, _ in live]
    return [(written, score) for _, score, written in sorted(finished, key=lambda h: -h[0])[:n_best]]


@pytest.mark.parametrize("n_best", [1, 3])
@pytest.mark.parametrize("alpha", [0.0, 0.6])
@pytest.mark.parametrize("width", [3, 5])
def test_it_is_what_a_plain_loop_finds_and_neighbours_change_nothing(width, alpha, n_best):
    rows, steps = 24, 7
    step, state = markov(9, 5, 1.2), started(rows)
    ids, score = beam(step, state, rows, width, steps, alpha, n_best)
    lengths = set()
    for row in range(rows):
        wanted = by_loop(step, {"h": state["h"][row : row + 1]}, width, steps, alpha, n_best)
        assert [cut(found) for found in ids[row]] == [written for written, _ in wanted]
        np.testing.assert_allclose(score[row], [s for _, s in wanted], atol=1e-4)
        lengths.add(len(wanted[0][0]))
    assert len(lengths) > 2, "a test in which all rows end together shows little"


def test_the_best_is_the_best_however_many_are_wanted():
    step, state = markov(9, 6, 1.2), started(16)
    for alpha in (0.0, 0.8):
        all_ids, all_scores = beam(step, state, 16, 5, 6, alpha, n_best=5)
        for n_best in (1, 2, 4):
            ids, scores = beam(step, state, 16, 5, 6, alpha, n_best)
            assert ids == [row[:n_best] for row in all_ids]
            assert (scores == all_scores[:, :n_best]).all()
    assert all(len({cut(hypothesis) for hypothesis in row}) == 5 for row in all_ids), "none is there twice"


@pytest.mark.parametrize("seed", range(4))
def test_a_beam_of_one_is_greedy_search_bit_for_bit(seed):
    step, state = markov(12, seed, 0.8), started(64, seed)
    ids, score = beam(step, state, 64, 1, 8)
    wanted, log_probability, *_ = decoding.greedy(step, state, 64, BEGIN, END, 8)
    assert [row[0] for row in ids] == wanted.numpy().tolist()
    assert (score[:, 0] == log_probability.numpy()).all()


def test_near_ties_that_rounding_makes_equal_are_told_apart_as_greedy_search_does():
    table = np.zeros((5, 5), np.float32)
    table[:, A] = -20
    table[B, A], table[B, B] = 0, 1e-7  # far less than what a score of -20 can tell apart
    ids, _ = beam(by_table(table), counting(1), 1, 1, 3)
    greedy = decoding.greedy(by_table(table), counting(1), 1, BEGIN, END, 3)[0]
    assert ids[0] == greedy.numpy().tolist()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_over_a_model_compiled_it_finds_the_best_of_all(cell):
    section = {"type": "encoder_decoder", "cell": cell, "encoder": {"units": 4}, "decoder": {"units": 4, "layers": 1}}
    model = EncoderDecoder(
        EncoderDecoderModel.model_validate(section), Sizes(6, 5, 5, 4), KernelChoice("fused", "a test")
    )
    rng = np.random.default_rng(12)
    model.assign({name: rng.normal(0, 1.5, a.shape).astype(np.float32) for name, a in model.arrays().items()})
    source, lengths = rng.integers(1, 6, (6, 5)).astype(np.int32), rng.integers(1, 6, 6).astype(np.int32)
    sequences = list(every_sequence(5, 4))

    @tf.function(jit_compile=True)
    def search(source, lengths):
        state, memory = model.encode(source, lengths)
        return beam_search(lambda i, s: model.step(i, s, memory), state, 6, len(sequences), BEGIN, END, 4, n_best=3)

    ids, score, _ = search(tf.constant(source), tf.constant(lengths))
    target = np.zeros((len(sequences), 4), np.int32)
    for row, sequence in enumerate(sequences):
        target[row, : len(sequence)] = sequence
    counted = target != PAD
    for row in range(6):
        many = (np.repeat(values[row : row + 1], len(sequences), axis=0) for values in (source, lengths))
        logits = model.logits(*map(tf.constant, many), tf.constant(target))  # with the targets given
        gains = tf.gather(tf.nn.log_softmax(logits), target, axis=2, batch_dims=2).numpy()
        scores = (gains * counted).sum(axis=1)
        best = np.argsort(-scores)[:3]
        assert ids[row].numpy().tolist() == target[best].tolist()
        np.testing.assert_allclose(score[row], scores[best], atol=1e-4)


def test_so_many_rows_are_not_waited_for_and_say_so(monkeypatch):
    monkeypatch.setattr(decoding, "PATIENCE", 1)
    step, state = markov(9, 6, 1.2), started(8)
    wanted, log_probability, every = beam_search(step, state, 8, 4, BEGIN, END, 30, 0.6, 2)
    assert every.numpy().all()
    for leave in (1, 3, 7):
        ids, score, done = beam_search(step, state, 8, 4, BEGIN, END, 30, 0.6, 2, leave)
        assert 1 <= (~done.numpy()).sum() <= leave
        assert ids.numpy()[done].tolist() == wanted.numpy()[done].tolist()
        assert score.numpy()[done].tolist() == log_probability.numpy()[done].tolist()


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_compiled_it_is_the_same(compiled):
    step, state = markov(9, 6, 1.2), started(8)
    run = tf.function(lambda s: beam_search(step, s, 8, 4, BEGIN, END, 6, 0.6, 2), jit_compile=compiled)
    ids, score, *_ = run(state)
    wanted, log_probability = beam(step, state, 8, 4, 6, 0.6, 2)
    assert ids.numpy().tolist() == wanted
    np.testing.assert_allclose(score, log_probability, atol=1e-5)
