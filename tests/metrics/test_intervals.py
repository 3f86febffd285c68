"""Confidence intervals of metrics."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.metrics.base import Counts, complement
from rnncli.metrics.bootstrap import bootstrap_interval
from rnncli.metrics.intervals import confidence_interval, wilson_interval


def shares(right, examples):
    return Counts(np.arange(examples) < right, np.ones(examples, int))


def test_wilson_has_the_published_values():
    """Newcombe 1998, "Two-Sided Confidence Intervals for the Single Proportion", table I, method 3."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.integers(1, 400).flatmap(lambda examples: st.tuples(st.integers(0, examples), st.just(examples))))
def test_share_of_examples_lies_within_an_interval_of_some_width(case):
    right, examples = case
    low, high = confidence_interval(shares(right, examples))
    assert 0 <= low <= right / examples <= high <= 1
    assert high - low > 1 / (examples + 4)
    errors = confidence_interval(shares(right, examples), complement)
    assert errors == pytest.approx((1 - high, 1 - low))


def test_agrees_with_the_bootstrap_where_that_says_something():
    counts = shares(900, 1000)
    assert confidence_interval(counts) == pytest.approx(bootstrap_interval(counts), abs=0.003)


def test_no_symbol_wrong_is_no_certainty():
    examples = 20
    errors = Counts(np.zeros(examples, int), np.arange(1, examples + 1))
    assert confidence_interval(errors) == wilson_interval(0, examples)


def test_metrics_of_classes_that_are_all_right_are_no_certainty():
    hits = np.eye(2, dtype=int)[np.arange(20) % 2]
    counts = Counts(hits, hits)
    low, high = confidence_interval(counts, lambda right, total: (right / np.maximum(total, 1)).mean(axis=-1))
    assert low < 0.9
    assert high == 1
