"""Principal component analysis of states."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


class Projection(NamedTuple):
    """The plane of largest variance of some states.

    Attributes:
        mean: float [units].
        directions: float [2, units]; signs are such that the largest entry of each is positive.
        variances: Fraction of the variance along each direction.
    """

    mean: Floats
    directions: Floats
    variances: list[float]

    def __call__(self, states: Floats) -> Floats:
        """Project states, float [..., units]; returns float [..., 2]."""
        projected: Floats = (np.asarray(states, np.float64) - self.mean) @ self.directions.T
        return projected


def fit_plane(states: Floats) -> Projection:
    """Return the two directions of largest variance (Pearson 1901), by singular value decomposition.

    Args:
        states: float [examples, units], at least two examples.
    """
    mean = np.asarray(states, np.float64).mean(axis=0)
    _, singular, directions = np.linalg.svd(states - mean, full_matrices=False)
    if len(directions) < 2:
        directions, singular = np.pad(directions, ((0, 1), (0, 0))), np.pad(singular, (0, 1))
    directions = directions[:2]
    largest = np.abs(directions).argmax(axis=1)
    signs = np.where(directions[[0, 1], largest] < 0, -1.0, 1.0)
    variance = singular**2
    total = variance.sum() or 1.0
    return Projection(mean, directions * signs[:, None], [float(v / total) for v in variance[:2]])


def principal_components(states: Floats) -> tuple[Floats, list[float]]:
    """Project states onto the plane of `fit_plane`.

    Args:
        states: float [examples, units], at least two examples.

    Returns:
        float [examples, 2], and the fraction of the variance along each direction.
    """
    plane = fit_plane(states)
    return plane(states), plane.variances
