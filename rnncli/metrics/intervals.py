"""Confidence intervals of metrics: Wilson's where examples are right or wrong, else the bootstrap's."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np

from rnncli.metrics.base import Counts, ratio
from rnncli.metrics.bootstrap import bootstrap_interval

_Z = NormalDist().inv_cdf(0.975)


def confidence_interval(counts: Counts, aggregate: Callable[[Any, Any], Any] = ratio) -> tuple[float, float]:
    """Return the 95% confidence interval of a metric.

    Resamples of examples that are all right, or all wrong, are all alike, so that the bootstrap says nothing about
    how sure the metric is. A share of examples therefore has Wilson's interval. So has any other metric whose
    resamples are all 0 or all 1, with the number of examples as that of the trials.

    Args:
        counts: Of at least one example.
        aggregate: As in `Metric`.
    """
    right, trials = counts.numerators, counts.denominators
    if right.ndim == 1 and bool(((right == 0) | (right == 1)).all()) and bool((trials == 1).all()):
        bounds = wilson_interval(float(right.sum()), len(right))
        low, high = sorted(float(aggregate(np.float64(bound), np.float64(1))) for bound in bounds)
        return low, high
    low, high = bootstrap_interval(counts, aggregate)
    return wilson_interval(low * len(right), len(right)) if low == high and low in (0.0, 1.0) else (low, high)


def wilson_interval(successes: float, trials: int) -> tuple[float, float]:
    """Return the 95% score interval of a proportion.

    Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".

    Args:
        successes: From 0 to `trials`.
        trials: At least 1.
    """
    share, square = successes / trials, _Z * _Z
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    half = _Z / (1 + square / trials) * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    return (centre - half if successes else 0.0), (centre + half if successes < trials else 1.0)
