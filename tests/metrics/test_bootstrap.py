"""Bootstrap intervals against resamples drawn one example at a time."""

import numpy as np
import pytest

from rnncli.metrics.base import Counts, complement, ratio
from rnncli.metrics.bootstrap import bootstrap_interval


def error_counts(n=50):
    rng = np.random.default_rng(1)
    symbols = rng.integers(1, 12, n)
    return Counts(np.minimum(rng.poisson(0.8, n), symbols), symbols)


def test_interval_equals_that_of_examples_drawn_one_by_one():
    edits, symbols = counts = error_counts()
    drawn = np.random.default_rng(2).integers(len(edits), size=(20_000, len(edits)))
    expected = np.percentile(edits[drawn].sum(axis=1) / symbols[drawn].sum(axis=1), [2.5, 97.5])
    low, high = bootstrap_interval(counts)
    assert [low, high] == pytest.approx(expected, abs=0.1 * (expected[1] - expected[0]))
    assert low < ratio(edits.sum(), symbols.sum()) < high


def test_interval_depends_on_the_seed_and_not_on_the_order_of_examples():
    edits, symbols = counts = error_counts()
    assert bootstrap_interval(counts) == bootstrap_interval(Counts(edits[::-1], symbols[::-1]))
    assert bootstrap_interval(counts) != bootstrap_interval(counts, seed=1)


def test_interval_does_not_depend_on_the_counts_held_at_once():
    assert bootstrap_interval(error_counts(), max_counts=3000) == bootstrap_interval(error_counts())


def test_interval_of_the_complement_is_mirrored():
    low, high = bootstrap_interval(error_counts())
    assert bootstrap_interval(error_counts(), complement) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(
    ("numerators", "denominators", "interval"),
    [([1] * 9, [1] * 9, (1, 1)), ([0] * 9, [3] * 9, (0, 0)), ([2], [8], (0.25, 0.25)), ([0, 0], [0, 0], (0, 0))],
)
def test_interval_of_equal_examples_is_a_point(numerators, denominators, interval):
    assert bootstrap_interval(Counts(np.array(numerators), np.array(denominators))) == interval


def test_interval_is_half_as_wide_with_four_times_the_examples():
    counts = error_counts()
    low, high = bootstrap_interval(counts)
    narrow_low, narrow_high = bootstrap_interval(Counts(*(np.tile(values, 4) for values in counts)))
    assert (narrow_high - narrow_low) / (high - low) == pytest.approx(0.5, abs=0.05)
