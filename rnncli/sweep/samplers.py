"""The table of samplers: the settings of each point of a sweep.

A point is a choice of settings, which is trained once with each seed: trial N is point N // seeds. What a sampler
chooses for a point depends on the seed of the sweep and, for `tpe`, on the trials that have ended: a sweep that is
killed and taken up again has the same trials.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.samplers import BaseSampler, TPESampler

from rnncli.sweep.space import Choices

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

    from rnncli.sweep.spec import SweepSpec

STARTUP_POINTS = 8
"""Random points before `tpe` models which are good."""

Suggested = dict[str, Any]


def _grid(spec: SweepSpec, point: int, _study: Study, _trial: FrozenTrial) -> Suggested:
    """Return a point of the product of all lists; the last key changes fastest."""
    lists = {key: parameter for key, parameter in spec.space.items() if isinstance(parameter, Choices)}
    product = itertools.product(*(parameter.values for parameter in lists.values()))
    chosen = next(itertools.islice(product, point, None))
    return {key: lists[key].suggested(value) for key, value in zip(lists, chosen, strict=True)}


def _random(spec: SweepSpec, point: int, _study: Study, _trial: FrozenTrial) -> Suggested:
    """Draw a point."""
    generator = np.random.default_rng([spec.seed, point])
    return {key: parameter.drawn(generator.random()) for key, parameter in spec.space.items()}


def _tpe(spec: SweepSpec, point: int, study: Study, trial: FrozenTrial) -> Suggested:
    """Draw a point from where good ones are (Bergstra et al. 2011, tree-structured Parzen estimator)."""
    seed = int(np.random.default_rng([spec.seed, point]).integers(2**31))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its options are called experimental
        sampler = TPESampler(
            n_startup_trials=STARTUP_POINTS * len(spec.seeds), multivariate=True, constant_liar=True, seed=seed
        )
    space = sampler.infer_relative_search_space(study, trial)
    found = sampler.sample_relative(study, trial, space)
    for key, distribution in distributions(spec).items():
        if key not in found:
            found[key] = sampler.sample_independent(study, trial, key, distribution)
    return found


SAMPLERS: Mapping[str, Callable[[SweepSpec, int, Study, FrozenTrial], Suggested]] = {
    "grid": _grid,
    "random": _random,
    "tpe": _tpe,
}


def distributions(spec: SweepSpec) -> dict[str, BaseDistribution]:
    """Return the space in Optuna's form."""
    return {key: parameter.distribution() for key, parameter in spec.space.items()}


class PointSampler(BaseSampler):
    """Chooses the settings of a trial: those of the point's first trial, or new ones."""

    def __init__(self, spec: SweepSpec) -> None:
        self.spec = spec

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:  # noqa: ARG002
        """Return the whole space: all keys are chosen together."""
        return distributions(self.spec)

    def sample_relative(
        self,
        study: Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],  # noqa: ARG002
    ) -> Suggested:
        """Return the settings of a trial in Optuna's form."""
        point, number = divmod(trial.number, len(self.spec.seeds))
        if number:
            return dict(study.get_trials(deepcopy=False)[trial.number - number].params)
        return SAMPLERS[self.spec.sampler](self.spec, point, study, trial)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return one setting; Optuna asks for it where the space has a single value."""
        return self.sample_relative(study, trial, {param_name: param_distribution})[param_name]
