"""Greedy search over steps whose best sequence is known by hand, and over a tiny model."""

import numpy as np
import pytest
import tensorflow as tf

from rnncli.config import EncoderDecoderModel
from rnncli.data.examples import Sizes
from rnncli.inference import sampling as decoding
from rnncli.layers import KernelChoice
from rnncli.models import AutoregressiveModel
from rnncli.models.encoder_decoder import EncoderDecoder

pytestmark = pytest.mark.usefixtures("runtime")

BEGIN, END = 1, 2
A, B = 3, 4

FOLLOWS = np.log(
    [  # the probability of each symbol after the one that was written; each row sums to 1
        [0.96, 0.01, 0.01, 0.01, 0.01],
        [0.00001, 0.1, 0.19999, 0.6, 0.1],  # A begins
        [0.96, 0.01, 0.01, 0.01, 0.01],
        [0.00001, 0.1, 0.29999, 0.1, 0.5],  # B follows A
        [0.00001, 0.2, 0.7, 0.09999, 0.00001],  # the end follows B
    ]
)


def by_table(ids, state):
    """Logits of the table, shifted, since a shift changes no probability; counts its steps in the state."""
    return tf.gather(tf.constant(FOLLOWS + 3.0, tf.float32), ids), {"steps": state["steps"] + 1}


def counting(rows):
    return {"steps": tf.zeros([rows])}


def greedy(step, state, rows, steps):
    ids, score, *_ = decoding.greedy(step, state, rows, BEGIN, END, steps)
    assert ids.dtype == tf.int32
    assert score.dtype == tf.float32
    return ids.numpy().tolist(), score.numpy()


def test_the_likeliest_symbol_is_taken_at_each_step_and_the_end_is_written():
    ids, score = greedy(by_table, counting(1), 1, 6)
    assert ids == [[A, B, END, 0, 0, 0]]
    np.testing.assert_allclose(score, [np.log(0.6 * 0.5 * 0.7)], rtol=1e-5)


def test_no_row_is_longer_than_allowed():
    ids, score = greedy(by_table, counting(1), 1, 2)
    assert ids == [[A, B]]
    np.testing.assert_allclose(score, [np.log(0.6 * 0.5)], rtol=1e-5)


def test_a_row_keeps_the_state_it_ended_with():
    *_, state, _ = decoding.greedy(ends_after, {"left": tf.constant([2, 0, 9, 1])}, 4, BEGIN, END, 4)
    assert state["left"].numpy().tolist() == [-1, -1, 5, -1]  # counts down a step; the third row never ended


@pytest.mark.parametrize("steps", [7, 20])
def test_so_many_rows_are_not_waited_for_and_say_so(steps):
    start = {"left": tf.constant([2, 0, 9, 1])}
    ids, score, state, done = decoding.greedy(ends_after, start, 4, BEGIN, END, steps, leave=1)
    assert done.numpy().tolist() == [True, True, False, True]
    assert state["left"].numpy().tolist() == [-1, -1, 3, -1]  # twice the three steps, and no more
    whole = decoding.greedy(ends_after, start, 4, BEGIN, END, steps)
    assert whole.done.numpy().all()
    for row in (0, 1, 3):
        assert (ids[row].numpy().tolist(), score[row]) == (whole.ids[row].numpy().tolist(), whole.score[row])


def ends_after(_, state):
    """Writes A, of probability 1/2, until the row's own number of steps is up; then the end, of probability 3/4."""
    going_on, stopping = np.log([[0.1, 0.1, 0.1, 0.5, 0.2], [0.05, 0.05, 0.75, 0.05, 0.1]])
    ending = (state["left"] == 0)[:, None]
    return tf.where(ending, *(tf.constant(x, tf.float32) for x in (stopping, going_on))), {"left": state["left"] - 1}


def test_rows_end_at_different_times_and_an_ended_row_gathers_nothing_more():
    ids, score = greedy(ends_after, {"left": tf.constant([2, 0, 9, 1])}, 4, 4)
    assert ids == [[A, A, END, 0], [END, 0, 0, 0], [A, A, A, A], [A, END, 0, 0]]
    np.testing.assert_allclose(score, np.log([0.5 * 0.5 * 0.75, 0.75, 0.5**4, 0.5 * 0.75]), rtol=1e-5)


def test_search_stops_when_all_rows_have_ended():
    calls = []

    def step(ids, state):
        calls.append(ids.numpy().tolist())
        return by_table(ids, state)

    greedy(step, counting(2), 2, 50)
    assert calls == [[BEGIN, BEGIN], [A, A], [B, B]]


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_compiled_it_is_the_same(compiled):
    run = tf.function(lambda: decoding.greedy(by_table, counting(2), 2, BEGIN, END, 5), jit_compile=compiled)
    ids, score, *_ = run()
    assert ids.numpy().tolist() == [[A, B, END, 0, 0]] * 2
    np.testing.assert_allclose(score, [np.log(0.6 * 0.5 * 0.7)] * 2, rtol=1e-5)


def by_loop(model, source, length):
    """One row, one symbol at a time, in plain Python."""
    state, memory = model.encode(tf.constant([source]), tf.constant([length]))
    last, written, score = model.begin, [], 0.0
    while len(written) < model.steps and last != model.end:
        logits, state = model.step(tf.constant([last]), state, memory)
        probabilities = np.exp(logits[0]) / np.exp(logits[0]).sum()
        last = int(probabilities[2:].argmax()) + 2  # neither padding nor the begin symbol
        score += np.log(probabilities[last])
        written.append(last)
    return written + [0] * (model.steps - len(written)), score


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_over_a_model_it_writes_what_a_plain_loop_writes(cell):
    section = {"type": "encoder_decoder", "cell": cell, "encoder": {"units": 4}, "decoder": {"units": 4}}
    model = EncoderDecoder(
        EncoderDecoderModel.model_validate(section), Sizes(6, 5, 5, 6), KernelChoice("fused", "a test")
    )
    assert isinstance(model, AutoregressiveModel)
    rng = np.random.default_rng(12)
    model.assign({name: rng.normal(0, 1.5, a.shape).astype(np.float32) for name, a in model.arrays().items()})
    source, lengths = rng.integers(1, 6, (12, 5)).astype(np.int32), rng.integers(1, 6, 12).astype(np.int32)
    state, memory = model.encode(tf.constant(source), tf.constant(lengths))

    def step(ids, state):
        return model.step(ids, state, memory)

    ids, score, *_ = decoding.greedy(step, state, 12, model.begin, model.end, model.steps)
    wanted = [by_loop(model, *row) for row in zip(source, lengths, strict=True)]
    assert ids.numpy().tolist() == [written for written, _ in wanted]
    np.testing.assert_allclose(score, [score for _, score in wanted], atol=1e-4)
    ends = {written.index(END) if END in written else None for written, _ in wanted}
    assert len(ends) > 1, "a test in which all rows end together shows little"


def test_best_each_takes_each_step_by_itself():
    probabilities = np.array([[[0.2, 0.5, 0.3], [0.7, 0.2, 0.1]], [[0.1, 0.1, 0.8], [0.25, 0.25, 0.5]]])
    ids, score = decoding.best_each(tf.constant(np.log(probabilities) - 1.0, tf.float32))
    assert ids.dtype == tf.int32
    assert ids.numpy().tolist() == [[1, 0], [2, 2]]
    np.testing.assert_allclose(score, np.log([0.5 * 0.7, 0.8 * 0.5]), rtol=1e-5)


def test_best_each_takes_no_padding_for_a_symbol_and_nothing_behind_the_length():
    probabilities = np.array([[[0.9, 0.02, 0.08], [0.1, 0.7, 0.2]], [[0.1, 0.1, 0.8], [0.25, 0.25, 0.5]]])
    ids, score = decoding.best_each(tf.constant(np.log(probabilities), tf.float32), tf.constant([2, 1]))
    assert ids.numpy().tolist() == [[2, 1], [2, 0]]
    np.testing.assert_allclose(score, np.log([0.08 * 0.7, 0.8]), rtol=1e-5)
