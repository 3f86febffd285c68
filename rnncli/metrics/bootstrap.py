"""Bootstrap intervals of metrics (Efron 1979, "Bootstrap Methods: Another Look at the Jackknife")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.metrics.base import Counts, ratio

RESAMPLES = 1000
MAX_RESAMPLE_COUNTS = 2**20
"""Counts of resamples held at once; bounds memory for any number of examples."""


def bootstrap_interval(
    counts: Counts,
    aggregate: Callable[[Any, Any], Any] = ratio,
    seed: int = 0,
    max_counts: int = MAX_RESAMPLE_COUNTS,
) -> tuple[float, float]:
    """Return the 95% percentile interval of a metric over resamples of the examples.

    The number of times that a resample has each of n examples is multinomial. Examples with equal counts are
    interchangeable, so they are drawn together, with their share of n.

    Args:
        counts: Of at least one example.
        aggregate: As in `Metric`.
        seed: Of the resamples, which do not depend on the order of the examples.
        max_counts: Counts held at once.
    """
    kinds, sizes = np.unique(np.stack(counts), axis=1, return_counts=True)
    generator = np.random.default_rng(seed)
    examples, chunk = len(counts.numerators), max(1, max_counts // len(sizes))
    values: list[NDArray[np.float64]] = []
    for begin in range(0, RESAMPLES, chunk):
        drawn = generator.multinomial(examples, sizes / examples, size=min(chunk, RESAMPLES - begin))
        values.append(aggregate(*(drawn @ each for each in kinds)))
    low, high = np.percentile(np.concatenate(values), [2.5, 97.5]).tolist()
    return low, high
