"""The results of a sweep: its points with the mean over seeds, the best trials, and which keys matter."""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState

from rnncli.config import dump_config
from rnncli.files import write_atomically
from rnncli.sweep.study import BEST, ERROR_ATTRIBUTE, Sweep, settings_of

MIN_TRIALS = 4
"""Trials that the importance of keys can be told from."""

_T_975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
    *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
"""Quantiles of Student's t distribution for 1 to 30 degrees of freedom."""


@dataclass(frozen=True)
class Point:
    """The trials of the same settings.

    Attributes:
        number: The number of the point.
        settings: The value of each key.
        trials: Its trials that were trained to their end, by seed.
        states: The states of all its trials, in lower case.
    """

    number: int
    settings: dict[str, Any]
    trials: list[FrozenTrial]
    states: list[str]

    @property
    def mean(self) -> float | None:
        """The mean of the metric over seeds; None if no trial ended."""
        return statistics.fmean(self.values) if self.trials else None

    @property
    def values(self) -> list[float]:
        """The best value of the metric of each trial."""
        return [float(trial.value) for trial in self.trials if trial.value is not None]

    @property
    def half_width(self) -> float | None:
        """Half of the 95% confidence interval of the mean, by Student's t; None for fewer than two seeds."""
        count = len(self.values)
        if count < 2:
            return None
        quantile = _T_975[count - 2] if count - 2 < len(_T_975) else 1.96
        return quantile * statistics.stdev(self.values) / math.sqrt(count)


def points_of(sweep: Sweep) -> list[Point]:
    """Return the points of a sweep, the best first: those with more seeds, then those with the better mean."""
    seeds, trials = len(sweep.spec.seeds), sweep.trials()
    points = []
    for first in range(0, len(trials), seeds):
        some = trials[first : first + seeds]
        ended = [trial for trial in some if trial.state == TrialState.COMPLETE]
        states = [trial.state.name.lower() for trial in some]
        points.append(Point(first // seeds, settings_of(sweep.spec, some[0].params), ended, states))
    sign = -1 if sweep.spec.higher_is_better else 1
    return sorted(points, key=lambda point: (-len(point.trials), sign * (point.mean or 0), point.number))


def best_trials(sweep: Sweep) -> list[FrozenTrial]:
    """Return the trials that were trained to their end, the best first."""
    ended = [trial for trial in sweep.trials() if trial.state == TrialState.COMPLETE]
    sign = -1 if sweep.spec.higher_is_better else 1
    return sorted(ended, key=lambda trial: (sign * float(trial.value or 0), trial.number))


def failures(sweep: Sweep) -> list[tuple[int, str]]:
    """Return the number of each trial that failed, and why."""
    return [
        (trial.number, str(trial.user_attrs.get(ERROR_ATTRIBUTE, "?")))
        for trial in sweep.trials()
        if trial.state == TrialState.FAIL
    ]


def importances(sweep: Sweep) -> dict[str, float]:
    """Return the share of each key in what makes a trial one of the best (PED-ANOVA, Watanabe et al. 2023).

    It is empty where too few trials ended, or all are as good.
    """
    values = [trial.value for trial in best_trials(sweep)]
    if len(values) < MIN_TRIALS or len(set(values)) < 2 or not sweep.spec.space:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = optuna.importance.get_param_importances(sweep.study, evaluator=PedAnovaImportanceEvaluator())
        except (RuntimeError, ValueError):  # it finds too few trials that are good
            return {}
    return {key: float(share) for key, share in found.items() if math.isfinite(share)}


def write_best(sweep: Sweep, points: Sequence[Point]) -> str | None:
    """Write the config of the best point, with the seed of its best trial and the base's test data; returns its name.

    None is returned, and nothing written, if no trial was trained to its end.
    """
    if not points or not points[0].trials:
        return None
    sign = -1 if sweep.spec.higher_is_better else 1
    best = min(points[0].trials, key=lambda trial: (sign * float(trial.value or 0), trial.number))
    config = sweep.spec.config(points[0].settings, sweep.spec.seeds[best.number % len(sweep.spec.seeds)], test=True)
    path = sweep.path / BEST
    write_atomically(path, dump_config(config).encode())
    return str(path)
