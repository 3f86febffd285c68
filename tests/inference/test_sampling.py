"""Sampling: symbols as frequent as they are likely, with the model's own probabilities."""

import numpy as np
import pytest
import tensorflow as tf
from fake_steps import BEGIN, END, GARDEN, by_table, counting, cut

from rnncli.inference import sampling as decoding

pytestmark = pytest.mark.usefixtures("runtime")


def draw(table, rows, steps, temperature=1.0, seed=0):
    noise = np.random.default_rng(seed).random((rows, steps), np.float32)
    run = tf.function(
        lambda n: decoding.sample(by_table(table), counting(rows), n, BEGIN, END, temperature), jit_compile=True
    )
    ids, score, *_ = run(tf.constant(noise))
    return ids.numpy(), score.numpy()


@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
def test_samples_are_as_frequent_as_they_are_likely(temperature):
    ids, score = draw(GARDEN, 20_000, 1, temperature)
    weights = np.exp(GARDEN[BEGIN, 2:] / temperature)
    counts = np.bincount(ids[:, 0], minlength=5)
    assert counts[:2].tolist() == [0, 0], "neither padding nor the begin symbol"
    np.testing.assert_allclose(counts[2:] / 20_000, weights / weights.sum(), atol=0.015)
    np.testing.assert_allclose(score, GARDEN[BEGIN][ids[:, 0]], rtol=1e-4, err_msg="not the model's own")


def test_samples_end_and_their_scores_are_those_of_the_sequences():
    ids, score = draw(GARDEN, 50, 5)
    assert len({tuple(row) for row in ids.tolist()}) > 5
    for row, found in zip(ids.tolist(), score, strict=True):
        written = cut(row)
        assert set(row[len(written) :]) <= {0}
        before = (BEGIN, *written[:-1])
        assert found == pytest.approx(sum(GARDEN[a, b] for a, b in zip(before, written, strict=True)), abs=1e-4)


def test_a_low_temperature_is_greedy_and_extreme_noise_draws_real_symbols():
    ids, _ = draw(GARDEN, 50, 4, temperature=1e-3)
    greedy = decoding.greedy(by_table(GARDEN), counting(1), 1, BEGIN, END, 4)[0].numpy()
    assert (ids == greedy).all()
    for noise in (0.0, np.nextafter(np.float32(1), np.float32(0))):
        ids, score, *_ = decoding.sample(by_table(GARDEN), counting(3), tf.fill([3, 4], noise), BEGIN, END)
        assert (ids.numpy()[:, 0] >= END).all()
        assert np.isfinite(score).all()
