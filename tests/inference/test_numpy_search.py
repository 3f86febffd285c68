"""Searches in NumPy against those in TensorFlow, over the same tables of probabilities."""

import numpy as np
import pytest
import tensorflow as tf
from fake_steps import GARDEN_PATH, spec, step_counts, table_step

from rnncli.inference import beam_search, numpy_search, sampling

pytestmark = pytest.mark.usefixtures("runtime")

STEPS, ROWS, SYMBOLS = 5, 8, 7


def numpy_step(table):
    """Return a step over log probabilities [previous symbol, symbol] in NumPy; see `table_step`."""
    logits = (table + 3.0).astype(np.float32)
    return lambda ids, state: (logits[ids], {"steps": state["steps"] + np.float32(1)})


def tables():
    rng = np.random.default_rng(2)
    drawn = [np.log(rng.dirichlet(np.full(SYMBOLS, 0.6), SYMBOLS)) for _ in range(6)]
    return [GARDEN_PATH, *drawn, np.round(drawn[0])]  # the last one has ties


def counts(rows):
    return {"steps": np.zeros(rows, np.float32)}


@pytest.mark.parametrize("table", tables(), ids=range(8))
def test_greedy_decoding_and_samples_are_equal(table):
    uniforms = np.random.default_rng(1).random((ROWS, STEPS), np.float32)
    pairs = [
        (numpy_search.greedy(numpy_step(table), counts(ROWS), spec(STEPS)),
         sampling.greedy(table_step(table), step_counts(ROWS), spec(STEPS))),
        (numpy_search.sample(numpy_step(table), counts(ROWS), spec(STEPS), uniforms, 0.7),
         sampling.sample(table_step(table), step_counts(ROWS), spec(STEPS), uniforms, 0.7)),
        (numpy_search.sample(numpy_step(table), counts(ROWS), spec(STEPS), uniforms, 0.7, 3, 0.8),
         sampling.sample(table_step(table), step_counts(ROWS), spec(STEPS), uniforms, 0.7, tf.constant(3), 0.8)),
    ]  # fmt: skip
    for found, wanted in pairs:
        np.testing.assert_array_equal(found.ids, wanted.ids.numpy())
        np.testing.assert_allclose(found.score, wanted.score.numpy(), rtol=1e-5)
        np.testing.assert_array_equal(found.state["steps"], wanted.state["steps"].numpy())


@pytest.mark.parametrize("table", tables(), ids=range(8))
@pytest.mark.parametrize(("width", "n_best", "penalty"), [(1, 1, 0.0), (2, 2, 0.0), (3, 2, 0.8), (9, 9, 1.0)])
def test_beams_are_equal(table, width, n_best, penalty):
    options = {"length_penalty": penalty, "n_best": n_best}
    ids, score = numpy_search.beam_search(numpy_step(table), counts(2), spec(STEPS), width, **options)
    wanted, wanted_score = beam_search.beam_search(table_step(table), step_counts(2), spec(STEPS), width, **options)
    np.testing.assert_array_equal(ids, wanted.numpy())
    np.testing.assert_allclose(score, wanted_score.numpy(), rtol=1e-5)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_the_largest_values_come_in_order_and_ties_by_column(count):
    values = np.array([[1, 3, 3, 0, 3, 1], [-np.inf, -np.inf, 2, -np.inf, 2, 5]], np.float32)
    found, columns = numpy_search.top_k(values, count)
    wanted = [[1, 2, 4, 0, 5, 3], [5, 2, 4, 0, 1, 3]]
    assert columns.tolist() == [row[:count] for row in wanted]
    np.testing.assert_array_equal(found, np.take_along_axis(values, columns, axis=1))


def test_values_that_are_no_numbers_come_last():
    assert numpy_search.top_k(np.array([[np.nan, 1, 2]], np.float32), 2)[1].tolist() == [[2, 1]]
