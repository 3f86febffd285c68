"""The table of pruners: which trials end early, by the metric on the held-out data after each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner

STARTUP_TRIALS = 4
"""Trials that end before the median ends any."""


class PrunerEntry(NamedTuple):
    """A pruner.

    Attributes:
        make: Returns Optuna's.
        help: What it does, in one line.
    """

    make: Callable[[], BasePruner]
    help: str


PRUNERS: Mapping[str, PrunerEntry] = {
    "none": PrunerEntry(NopPruner, "Train all trials to their end."),
    "median": PrunerEntry(
        lambda: MedianPruner(n_startup_trials=STARTUP_TRIALS),
        "End a trial whose best value so far is worse than the median of the others after as many epochs.",
    ),
    "asha": PrunerEntry(
        lambda: SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        "Keep the best third after 1, 3, 9, ... epochs (Li et al. 2020, asynchronous successive halving).",
    ),
}
