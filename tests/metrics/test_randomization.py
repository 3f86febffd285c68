"""Approximate randomization against the exact sign test, and what it promises."""

from math import comb

import numpy as np
import pytest

from rnncli.metrics import METRICS
from rnncli.metrics.base import Counts
from rnncli.metrics.randomization import randomization_test


def shares(right):
    right = np.asarray(right, np.int64)
    return Counts(right, np.ones_like(right))


@pytest.mark.parametrize(("first", "second", "both"), [(20, 10, 70), (9, 0, 3), (3, 4, 0)])
def test_p_is_that_of_the_exact_sign_test(first, second, both):
    ours = shares([1] * first + [0] * second + [1] * both)
    theirs = shares([0] * first + [1] * second + [1] * both)
    n, distance = first + second, abs(first - second)
    exact = sum(comb(n, k) for k in range(n + 1) if abs(2 * k - n) >= distance) / 2**n
    assert randomization_test(ours, theirs) == pytest.approx(exact, abs=0.015)


def test_equal_models_differ_by_chance_for_sure():
    counts = Counts(np.array([0.1, 2.5, 3.0]), np.array([3, 3, 3]))
    assert randomization_test(counts, counts) == 1


def test_p_does_not_depend_on_the_order_of_examples_or_models():
    rng = np.random.default_rng(1)
    ours, theirs = (Counts(rng.integers(0, 4, 50), rng.integers(4, 6, 50)) for _ in range(2))
    p = randomization_test(ours, theirs)
    order = rng.permutation(50)
    assert randomization_test(ours.of(order), theirs.of(order)) == p
    assert randomization_test(theirs, ours) == pytest.approx(p, abs=0.02)


def test_chunks_bound_memory_and_change_the_draws_only():
    rng = np.random.default_rng(2)
    ours, theirs = (Counts(rng.normal(size=40), np.ones(40)) for _ in range(2))
    assert randomization_test(ours, theirs, max_counts=100) == pytest.approx(
        randomization_test(ours, theirs), abs=0.02
    )


def test_metrics_of_classes_are_tested_too():
    counts = Counts(np.tile([[2, 0], [0, 0]], (20, 1)), np.tile([[2, 0], [1, 1]], (20, 1)))
    perfect = Counts(np.tile([[2, 0], [0, 2]], (20, 1)), np.tile([[2, 0], [0, 2]], (20, 1)))
    assert randomization_test(counts, perfect, METRICS["macro_f1"].aggregate) < 0.001
