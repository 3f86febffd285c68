"""Sampling: tokens as frequent as they are probable, with the model's own scores."""

import numpy as np
import pytest
import tensorflow as tf
from fake_steps import BEGIN, END, GARDEN_PATH, spec, step_counts, table_step, until_end

from rnncli.inference.sampling import greedy, sample

pytestmark = [pytest.mark.usefixtures("runtime"), pytest.mark.xla(unroll=False)]


def draw(rows, max_length, temperature=1.0, seed=0):
    uniforms = np.random.default_rng(seed).random((rows, max_length), np.float32)
    run = tf.function(
        lambda u: sample(table_step(GARDEN_PATH), step_counts(rows), spec(max_length), u, temperature),
        jit_compile=True,
    )
    ids, score, _ = run(tf.constant(uniforms))
    return ids.numpy(), score.numpy()


@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
def test_samples_have_the_frequencies_of_the_softmax(temperature):
    ids, score = draw(20_000, 1, temperature)
    weights = np.exp(GARDEN_PATH[BEGIN, 2:] / temperature)
    counts = np.bincount(ids[:, 0], minlength=5)
    assert counts[:2].tolist() == [0, 0], "neither padding nor BEGIN"
    np.testing.assert_allclose(counts[2:] / 20_000, weights / weights.sum(), atol=0.015)
    np.testing.assert_allclose(score, GARDEN_PATH[BEGIN][ids[:, 0]], rtol=1e-4, err_msg="scores at temperature 1")


def test_samples_end_and_have_the_scores_of_their_sequences():
    ids, score = draw(50, 5)
    assert len({tuple(row) for row in ids.tolist()}) > 5
    for row, found in zip(ids.tolist(), score, strict=True):
        predicted = until_end(row)
        assert set(row[len(predicted) :]) <= {0}
        previous = (BEGIN, *predicted[:-1])
        expected = sum(GARDEN_PATH[a, b] for a, b in zip(previous, predicted, strict=True))
        assert found == pytest.approx(expected, abs=1e-4)


def test_sampling_at_a_low_temperature_is_greedy():
    ids, _ = draw(50, 4, temperature=1e-3)
    expected = greedy(table_step(GARDEN_PATH), step_counts(1), spec(4)).ids.numpy()
    assert (ids == expected).all()


@pytest.mark.parametrize("uniform", [0.0, np.nextafter(np.float32(1), np.float32(0))])
def test_extreme_random_numbers_sample_possible_tokens(uniform):
    ids, score, _ = sample(table_step(GARDEN_PATH), step_counts(3), spec(4), tf.fill([3, 4], uniform))
    assert (ids.numpy()[:, 0] >= END).all()
    assert np.isfinite(score).all()
