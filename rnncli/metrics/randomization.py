"""Approximate randomization: a paired test of two models on the same examples (Noreen 1989; Yeh 2000)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnncli.metrics.base import Counts, ratio

TRIALS = 10_000
MAX_TRIAL_COUNTS = 2**22
"""Numbers held at once; bounds memory for any number of examples."""


def randomization_test(
    first: Counts,
    second: Counts,
    aggregate: Callable[[Any, Any], Any] = ratio,
    seed: int = 0,
    trials: int = TRIALS,
    max_counts: int = MAX_TRIAL_COUNTS,
) -> float:
    """Return the p-value of the difference of a metric between two models.

    If both were equally good, each example's two results could as well be exchanged. p is the share of random
    exchanges whose difference is at least as large as the observed one, either way; the observed one counts as one of
    them, so that p is never 0. Examples with equal changes are interchangeable, so the number of those that are
    exchanged is drawn, which is binomial.

    Args:
        first: Counts of one model on each example.
        second: Those of the other on the same examples.
        aggregate: As in `Metric`.
        seed: Of the exchanges.
        trials: Their number.
        max_counts: Numbers held at once.
    """
    ours, theirs = (np.stack(counts).astype(np.float64) for counts in (first, second))
    totals = ours.sum(axis=1), theirs.sum(axis=1)
    observed = abs(aggregate(*totals[0]) - aggregate(*totals[1]))
    changes, sizes = np.unique(theirs - ours, axis=1, return_counts=True)
    generator = np.random.default_rng(seed)
    chunk, reached = max(1, max_counts // len(sizes)), 0
    tolerance = 1e-12 * max(1.0, float(abs(observed)))  # sums in another order differ by rounding
    for begin in range(0, trials, chunk):
        exchanged = generator.binomial(sizes, 0.5, (min(chunk, trials - begin), len(sizes))).astype(np.float64)
        moved = np.stack([np.tensordot(exchanged, each, axes=(1, 0)) for each in changes])
        swapped = aggregate(*(totals[0][:, None] + moved)) - aggregate(*(totals[1][:, None] - moved))
        reached += int((np.abs(swapped) >= observed - tolerance).sum())
    return (reached + 1) / (trials + 1)
