"""Beam search against sequences known by hand, exhaustive search, a plain loop, and greedy decoding."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from fake_steps import BEGIN, END, GARDEN_PATH, PAD, A, B, recording, spec, step_counts, table_step, until_end

from rnncli.config import EncoderDecoderModel
from rnncli.data.examples import Sizes
from rnncli.inference.beam_search import beam_search
from rnncli.inference.sampling import greedy
from rnncli.layers import KernelChoice
from rnncli.models.encoder_decoder import EncoderDecoder

pytestmark = [pytest.mark.usefixtures("runtime"), pytest.mark.xla(unroll=False)]


def search(step, state, width, max_length, length_penalty=0.0, n_best=1):
    ids, score = beam_search(step, state, spec(max_length), width, length_penalty=length_penalty, n_best=n_best)
    assert ids.dtype == tf.int32
    assert score.dtype == tf.float32
    return ids.numpy().tolist(), score.numpy()


def search_table(table, width, max_length, **options):
    return search(table_step(table), step_counts(1), width, max_length, **options)


def test_beam_search_finds_a_sequence_that_greedy_decoding_misses():
    found = greedy(table_step(GARDEN_PATH), step_counts(1), spec(4))
    assert found.ids.numpy()[0, 0] == A
    ids, score = search_table(GARDEN_PATH, 2, 4)
    assert ids == [[[B, END, 0, 0]]]
    np.testing.assert_allclose(score, [[math.log(0.4 * 0.9)]], rtol=1e-5)
    assert score[0, 0] > found.score.numpy()[0]


def test_n_best_hypotheses_are_ordered_by_score():
    ids, score = search_table(GARDEN_PATH, 3, 4, n_best=3)
    # A END, of 0.548 * 0.298, is only the fourth best continuation of the second step
    assert ids == [[[B, END, 0, 0], [A, B, END, 0], [A, A, B, END]]]
    expected = [0.4 * 0.9, 0.548 * 0.34 * 0.9, 0.548 * 0.36 * 0.34 * 0.9]
    np.testing.assert_allclose(score, np.log([expected]), rtol=1e-5)


def test_length_penalty_prefers_longer_hypotheses():
    table = np.log(
        [
            [0.2] * 5,
            [0.001, 0.001, 0.42, 0.288, 0.29],  # after BEGIN
            [0.2] * 5,
            [0.2] * 5,
            [0.001, 0.001, 0.99, 0.004, 0.004],  # after B
        ]
    )
    assert search_table(table, 2, 4)[0] == [[[END, 0, 0, 0]]]
    ids, score = search_table(table, 2, 4, length_penalty=3.0)
    assert ids == [[[B, END, 0, 0]]]  # log(0.29 * 0.99) / (7 / 6) ** 3 is more than log 0.42
    np.testing.assert_allclose(score, [[math.log(0.29 * 0.99)]], rtol=1e-5, err_msg="scores have no penalty")


def test_unfinished_hypotheses_of_the_maximum_length_compete():
    ids, score = search_table(GARDEN_PATH, 2, 1, n_best=2)
    assert ids == [[[A], [B]]]
    np.testing.assert_allclose(score, np.log([[0.548, 0.4]]), rtol=1e-5)


def test_missing_hypotheses_are_empty():
    ids, score = search_table(GARDEN_PATH, 4, 1, n_best=4)
    assert ids == [[[A], [B], [END], [0]]]
    np.testing.assert_allclose(score, [[*np.log([0.548, 0.4, 0.05]), -np.inf]], rtol=1e-5)


def test_ties_go_to_the_hypothesis_that_finished_first_then_to_smaller_ids():
    ids, _ = search_table(np.zeros((5, 5)), 3, 2, n_best=3)
    # the best three of the second step, all equal, are A END, A A and A B
    assert ids == [[[END, 0], [A, END], [A, A]]]


def test_beam_search_never_predicts_padding_or_begin():
    ids, score = search_table(np.log([[0.5, 0.3, 0.1, 0.06, 0.04]] * 5), 2, 3, n_best=2)
    assert ids == [[[END, 0, 0], [A, END, 0]]]
    np.testing.assert_allclose(score, np.log([[0.1, 0.006]]), rtol=1e-5)


def test_beam_search_stops_when_no_hypothesis_can_improve():
    calls = []
    search(recording(table_step(GARDEN_PATH), calls), step_counts(2), 2, 50)
    assert len(calls) == 2  # B END has 0.36; the best unfinished one then has 0.548 * 0.36
    assert calls[1] == [A, B] * 2


def random_rnn(symbols, seed, spread=2.0):
    """Return a step whose logits depend, through a state, on all previous ids and on the row."""
    rng = np.random.default_rng(seed)
    inputs, recurrent, outputs = (
        tf.constant(rng.normal(0, spread, (n, 4)), tf.float32) for n in (symbols, 4, symbols)
    )

    def step(ids, state):
        h = tf.tanh(tf.gather(inputs, ids) + tf.matmul(state["h"], recurrent))
        return tf.matmul(h, outputs, transpose_b=True), {"h": h}

    return step


def initial_state(rows, seed=0):
    return {"h": tf.constant(np.random.default_rng(seed).normal(size=(rows, 4)), tf.float32)}


def log_probability_of(step, state, sequence):
    """Return the log probability of a sequence of one row."""
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


@pytest.mark.parametrize(("alpha", "seed"), [(0.0, 1), (0.6, 2), (2.0, 3)])
def test_beam_as_wide_as_all_sequences_equals_exhaustive_search(alpha, seed):
    steps, symbols = 4, 6
    step, state = random_rnn(symbols, seed), initial_state(1, seed)
    scores = {s: log_probability_of(step, state, s) for s in every_sequence(symbols, steps)}
    assert sum(math.exp(score) for score in scores.values()) < 1, "the rest is padding and BEGIN"
    ranked = sorted(scores, key=lambda s: scores[s] / ((5 + len(s)) / 6) ** alpha, reverse=True)
    ids, found = search(step, state, len(scores), steps, alpha, n_best=len(scores))
    assert [until_end(row) for row in ids[0]] == ranked
    np.testing.assert_allclose(found[0], [scores[s] for s in ranked], atol=1e-4)
    best, score = search(step, state, len(scores), steps, alpha)
    assert until_end(best[0][0]) == ranked[0]
    assert score[0, 0] == pytest.approx(scores[ranked[0]], abs=1e-4)


def plain_beam_search(step, state, width, steps, alpha, n_best):
    """Search one row with lists of hypotheses, `width` unfinished and `width` finished ones."""

    def rank(score, length):
        return score / ((5 + length) / 6) ** alpha

    live, finished = [(0.0, (), state)], []
    for t in range(steps):
        found = []
        for score, ids, state in live:
            logits, new = step(tf.constant([ids[-1] if ids else BEGIN]), state)
            gains = tf.nn.log_softmax(logits)[0].numpy()
            found += [(score + gains[s], (*ids, s), new) for s in range(len(gains)) if s not in (PAD, BEGIN)]
        found.sort(key=lambda h: -h[0])
        ended = [(rank(score, t + 1), score, ids) for score, ids, _ in found[:width] if ids[-1] == END]
        finished = sorted(finished + ended, key=lambda h: -h[0])[:width]
        live = [h for h in found if h[1][-1] != END][:width]
        if len(finished) >= n_best and finished[n_best - 1][0] >= rank(live[0][0], steps):
            live = []
            break
    finished += [(rank(score, steps), score, ids) for score, ids, _ in live]
    return [(ids, score) for _, score, ids in sorted(finished, key=lambda h: -h[0])[:n_best]]


@pytest.mark.parametrize("n_best", [1, 3])
@pytest.mark.parametrize("alpha", [0.0, 0.6])
@pytest.mark.parametrize("width", [3, 5])
def test_beam_search_equals_a_plain_loop_whatever_the_other_rows(width, alpha, n_best):
    rows, steps = 24, 7
    step, state = random_rnn(9, 5, 1.2), initial_state(rows)
    ids, score = search(step, state, width, steps, alpha, n_best)
    lengths = set()
    for row in range(rows):
        expected = plain_beam_search(step, {"h": state["h"][row : row + 1]}, width, steps, alpha, n_best)
        assert [until_end(found) for found in ids[row]] == [sequence for sequence, _ in expected]
        np.testing.assert_allclose(score[row], [s for _, s in expected], atol=1e-4)
        lengths.add(len(expected[0][0]))
    assert len(lengths) > 2, "rows must end at different steps"


def test_smaller_n_best_gives_the_first_hypotheses_of_a_larger_one():
    step, state = random_rnn(9, 6, 1.2), initial_state(16)
    for alpha in (0.0, 0.8):
        all_ids, all_scores = search(step, state, 5, 6, alpha, n_best=5)
        for n_best in (1, 2, 4):
            ids, scores = search(step, state, 5, 6, alpha, n_best)
            assert ids == [row[:n_best] for row in all_ids]
            assert (scores == all_scores[:, :n_best]).all()
    assert all(len({until_end(hypothesis) for hypothesis in row}) == 5 for row in all_ids), "no duplicates"


@pytest.mark.parametrize("seed", range(4))
def test_beam_of_one_equals_greedy_decoding_bit_for_bit(seed):
    step, state = random_rnn(12, seed, 0.8), initial_state(64, seed)
    ids, score = search(step, state, 1, 8)
    expected = greedy(step, state, spec(8))
    assert [row[0] for row in ids] == expected.ids.numpy().tolist()
    assert (score[:, 0] == expected.score.numpy()).all()


def test_scores_that_rounding_makes_equal_are_ordered_as_in_greedy_decoding():
    table = np.zeros((5, 5), np.float32)
    table[:, A] = -20
    table[B, A], table[B, B] = 0, 1e-7  # less than the resolution of a score of -20
    ids, _ = search_table(table, 1, 3)
    expected = greedy(table_step(table), step_counts(1), spec(3)).ids
    assert ids[0] == expected.numpy().tolist()


@pytest.mark.long
def test_compiled_beam_search_with_a_model_equals_exhaustive_search():
    section = {
        "type": "encoder_decoder",
        "cell": "lstm",
        "encoder": {"units": 4},
        "decoder": {"units": 4, "layers": 1},
    }
    model = EncoderDecoder(
        EncoderDecoderModel.model_validate(section), Sizes(6, 5, 5, 4), "lstm", KernelChoice("fused", "a test")
    )
    rng = np.random.default_rng(12)
    model.assign({name: rng.normal(0, 1.5, a.shape).astype(np.float32) for name, a in model.arrays().items()})
    source, lengths = rng.integers(1, 6, (6, 5)).astype(np.int32), rng.integers(1, 6, 6).astype(np.int32)
    sequences = list(every_sequence(5, 4))

    @tf.function(jit_compile=True)
    def run(source, lengths):
        state, memory = model.encode(source, lengths)
        return beam_search(lambda i, s: model.step(i, s, memory), state, spec(4), len(sequences), n_best=3)

    ids, score = run(tf.constant(source), tf.constant(lengths))
    target = np.zeros((len(sequences), 4), np.int32)
    for row, sequence in enumerate(sequences):
        target[row, : len(sequence)] = sequence
    counted = target != PAD
    for row in range(6):
        many = (np.repeat(values[row : row + 1], len(sequences), axis=0) for values in (source, lengths))
        logits = model.logits(*map(tf.constant, many), tf.constant(target))  # teacher forcing
        gains = tf.gather(tf.nn.log_softmax(logits), target, axis=2, batch_dims=2).numpy()
        scores = (gains * counted).sum(axis=1)
        best = np.argsort(-scores)[:3]
        assert ids[row].numpy().tolist() == target[best].tolist()
        np.testing.assert_allclose(score[row], scores[best], atol=1e-4)


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_compiled_beam_search_gives_the_same(compiled):
    step, state = random_rnn(9, 6, 1.2), initial_state(8)
    run = tf.function(lambda s: beam_search(step, s, spec(6), 4, length_penalty=0.6, n_best=2), jit_compile=compiled)
    ids, score = run(state)
    expected, expected_score = search(step, state, 4, 6, 0.6, 2)
    assert ids.numpy().tolist() == expected
    np.testing.assert_allclose(score, expected_score, atol=1e-5)
