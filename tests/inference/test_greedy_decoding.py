"""Greedy decoding with steps whose best sequence is known by hand, and with a tiny model."""

import numpy as np
import pytest
import tensorflow as tf
from fake_steps import BEGIN, END, A, B, recording, spec, step_counts, table_step

from rnncli.config import EncoderDecoderModel
from rnncli.data.examples import Sizes
from rnncli.inference.sampling import argmax_per_step, greedy
from rnncli.layers import KernelChoice
from rnncli.models.encoder_decoder import EncoderDecoder

pytestmark = [pytest.mark.usefixtures("runtime"), pytest.mark.xla(unroll=False)]

A_B_END = np.log(
    [  # probability of each symbol after the previous one
        [0.96, 0.01, 0.01, 0.01, 0.01],
        [0.00001, 0.1, 0.19999, 0.6, 0.1],  # A after BEGIN
        [0.96, 0.01, 0.01, 0.01, 0.01],
        [0.00001, 0.1, 0.29999, 0.1, 0.5],  # B after A
        [0.00001, 0.2, 0.7, 0.09999, 0.00001],  # END after B
    ]
)


def decoded(step, state, max_length):
    ids, score, _ = greedy(step, state, spec(max_length))
    assert ids.dtype == tf.int32
    assert score.dtype == tf.float32
    return ids.numpy().tolist(), score.numpy()


def countdown(_, state):
    """Predict A with probability 1/2 until the row's counter is 0, then END with probability 3/4."""
    continuing, ending = np.log([[0.1, 0.1, 0.1, 0.5, 0.2], [0.05, 0.05, 0.75, 0.05, 0.1]])
    at_zero = (state["left"] == 0)[:, None]
    return tf.where(at_zero, *(tf.constant(x, tf.float32) for x in (ending, continuing))), {"left": state["left"] - 1}


def test_greedy_predicts_the_most_probable_token_at_each_step():
    ids, score = decoded(table_step(A_B_END), step_counts(1), 6)
    assert ids == [[A, B, END, 0, 0, 0]]
    np.testing.assert_allclose(score, [np.log(0.6 * 0.5 * 0.7)], rtol=1e-5)


def test_greedy_stops_at_the_maximum_length():
    ids, score = decoded(table_step(A_B_END), step_counts(1), 2)
    assert ids == [[A, B]]
    np.testing.assert_allclose(score, [np.log(0.6 * 0.5)], rtol=1e-5)


def test_greedy_never_predicts_padding_or_begin():
    table = np.log([[0.5, 0.3, 0.1, 0.06, 0.04]] * 5)
    ids, score = decoded(table_step(table), step_counts(1), 3)
    assert ids == [[END, 0, 0]]
    np.testing.assert_allclose(score, np.log([0.1]), rtol=1e-5)


def test_rows_that_end_early_keep_their_score():
    ids, score = decoded(countdown, {"left": tf.constant([2, 0, 9, 1])}, 4)
    assert ids == [[A, A, END, 0], [END, 0, 0, 0], [A, A, A, A], [A, END, 0, 0]]
    np.testing.assert_allclose(score, np.log([0.5 * 0.5 * 0.75, 0.75, 0.5**4, 0.5 * 0.75]), rtol=1e-5)


def test_rows_that_end_early_keep_their_state():
    state = greedy(countdown, {"left": tf.constant([2, 0, 9, 1])}, spec(4)).state
    assert state["left"].numpy().tolist() == [-1, -1, 5, -1]  # the third row never ends


def test_greedy_stops_when_all_rows_have_ended():
    calls = []
    decoded(recording(table_step(A_B_END), calls), step_counts(2), 50)
    assert calls == [[BEGIN, BEGIN], [A, A], [B, B]]


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
def test_compiled_greedy_gives_the_same(compiled):
    run = tf.function(lambda: greedy(table_step(A_B_END), step_counts(2), spec(5)), jit_compile=compiled)
    ids, score, _ = run()
    assert ids.numpy().tolist() == [[A, B, END, 0, 0]] * 2
    np.testing.assert_allclose(score, [np.log(0.6 * 0.5 * 0.7)] * 2, rtol=1e-5)


def plain_loop(model, source, length):
    """Decode one row greedily in plain Python."""
    state, memory = model.encode(tf.constant([source]), tf.constant([length]))
    last, predicted, score = model.begin, [], 0.0
    while len(predicted) < model.steps and last != model.end:
        logits, state = model.step(tf.constant([last]), state, memory)
        probabilities = np.exp(logits[0]) / np.exp(logits[0]).sum()
        last = int(probabilities[2:].argmax()) + 2  # neither padding nor BEGIN
        score += np.log(probabilities[last])
        predicted.append(last)
    return predicted + [0] * (model.steps - len(predicted)), score


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_greedy_with_a_model_equals_a_plain_loop(cell):
    section = {"type": "encoder_decoder", "cell": cell, "encoder": {"units": 4}, "decoder": {"units": 4}}
    sizes, choice = Sizes(6, 5, 5, 6), KernelChoice("fused", "a test")
    model = EncoderDecoder(EncoderDecoderModel.model_validate(section), sizes, cell, choice)
    rng = np.random.default_rng(12)
    model.assign({name: rng.normal(0, 1.5, a.shape).astype(np.float32) for name, a in model.arrays().items()})
    source, lengths = rng.integers(1, 6, (12, 5)).astype(np.int32), rng.integers(1, 6, 12).astype(np.int32)
    state, memory = model.encode(tf.constant(source), tf.constant(lengths))

    def step(ids, state):
        return model.step(ids, state, memory)

    ids, score, _ = greedy(step, state, spec(model.steps))
    expected = [plain_loop(model, *row) for row in zip(source, lengths, strict=True)]
    assert ids.numpy().tolist() == [predicted for predicted, _ in expected]
    np.testing.assert_allclose(score, [score for _, score in expected], atol=1e-4)
    ends = {predicted.index(END) if END in predicted else None for predicted, _ in expected}
    assert len(ends) > 1, "rows must end at different steps"


def test_argmax_per_step_takes_each_step_by_itself():
    probabilities = np.array([[[0.2, 0.5, 0.3], [0.7, 0.2, 0.1]], [[0.1, 0.1, 0.8], [0.25, 0.25, 0.5]]])
    ids, score = argmax_per_step(tf.constant(np.log(probabilities) - 1.0, tf.float32))
    assert ids.dtype == tf.int32
    assert ids.numpy().tolist() == [[1, 0], [2, 2]]
    np.testing.assert_allclose(score, np.log([0.5 * 0.7, 0.8 * 0.5]), rtol=1e-5)


def test_argmax_per_step_skips_padding_and_steps_behind_the_length():
    probabilities = np.array([[[0.9, 0.02, 0.08], [0.1, 0.7, 0.2]], [[0.1, 0.1, 0.8], [0.25, 0.25, 0.5]]])
    ids, score = argmax_per_step(tf.constant(np.log(probabilities), tf.float32), tf.constant([2, 1]))
    assert ids.numpy().tolist() == [[2, 1], [2, 0]]
    np.testing.assert_allclose(score, np.log([0.08 * 0.7, 0.8]), rtol=1e-5)
