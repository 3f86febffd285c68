"""Principal components."""

import numpy as np
import pytest

from rnncli.plots import pca as plots
from rnncli.plots.pca import fit_plane


def test_principal_components_of_points_on_a_line():
    line = np.outer(np.arange(5.0), [3.0, 4.0, 0.0]) + 7
    points, shares = plots.principal_components(line)
    np.testing.assert_allclose(points[:, 0], 5 * (np.arange(5.0) - 2), atol=1e-9)
    np.testing.assert_allclose(points[:, 1], 0, atol=1e-9)
    assert shares == pytest.approx([1, 0])


def test_principal_components_keep_distances_of_points_in_a_plane():
    rng = np.random.default_rng(1)
    plane = rng.normal(size=(20, 2)) @ np.linalg.qr(rng.normal(size=(6, 6)))[0][:2]
    points, shares = plots.principal_components(plane)
    distances = [np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (plane, points)]
    np.testing.assert_allclose(*distances, atol=1e-9)
    assert shares[0] >= shares[1]
    assert sum(shares) == pytest.approx(1)


def test_other_states_are_projected_into_the_same_plane():
    rng = np.random.default_rng(2)
    states, others = rng.normal(size=(30, 4)), rng.normal(size=(3, 5, 4))
    plane = fit_plane(states)
    np.testing.assert_allclose(plane(states), plots.principal_components(states)[0])
    assert plane(others).shape == (3, 5, 2)
    np.testing.assert_allclose(plane(others)[1, 2], (others[1, 2] - states.mean(axis=0)) @ plane.directions.T)
