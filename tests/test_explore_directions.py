"""explore.directions against independent linear algebra."""

import numpy as np
import pytest
import scipy.linalg
import toy

from jaxsr import explore
from jaxsr.explore import Config, Scale
from jaxsr.explore.pullback import Spectrum


def told_way(way, **changes):
    return explore.problem(
        toy.prior(), toy.operator(8), Config(way=way, perceptual="discriminator", **changes)
    )


def orthonormal(seed, size=24):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]


def random_geometry(seed, k=10):
    decay = 0.7 ** np.arange(24)
    u, v = (
        Spectrum(decay * scale, orthonormal(seed + i), decay.sum() * scale)
        for i, scale in enumerate((3.0, 1.0))
    )
    seen = v.vectors.T @ (u.vectors * u.values @ u.vectors.T) @ v.vectors
    return explore.Geometry(u, v, u.vectors.T @ v.vectors, seen, k, Scale(1.0, 1.0), 0.01)


@pytest.mark.parametrize("seed", range(5))
def test_algorithm1_without_threshold_is_the_closed_form(seed):
    """The loop over orthonormal vectors is not the projection onto their complement."""
    top, v = orthonormal(seed)[:, :9], orthonormal(seed + 50)[:, 3]
    closed = explore.closed_form(v, top)
    np.testing.assert_allclose(
        explore.algorithm1(v, top, 0.0), closed / np.linalg.norm(closed), atol=1e-12
    )
    np.testing.assert_allclose(closed, (np.eye(24) - top @ top.T) @ v, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_algorithm1_leaves_no_correlation_above_its_threshold(seed):
    """One pass is taken for enough, or correlations that may stay are removed."""
    top, v = orthonormal(seed)[:, :9], orthonormal(seed + 50)[:, 3]
    d = explore.algorithm1(v, top, 0.2)
    assert np.abs(top.T @ d).max() <= 0.2
    np.testing.assert_allclose(np.linalg.norm(d), 1.0, rtol=1e-12)
    small = np.abs(top.T @ d) > 1e-12
    assert (np.abs(top.T @ v)[small] <= 0.2).all()


def test_generalized_directions_are_scipys():
    """Cholesky's factor is transposed or the order reversed."""
    geometry = random_geometry(0)
    h_x, h_y = (
        s.vectors * s.values @ s.vectors.T for s in (geometry.perceptual, geometry.measurement)
    )
    mu, vectors = explore.generalized(h_x, h_y, 0.01)
    expected, theirs = scipy.linalg.eigh(h_x, h_y + 0.01 * np.eye(24))
    np.testing.assert_allclose(mu, expected[::-1], rtol=1e-8)
    cosines = np.abs(np.sum(vectors * (theirs / np.linalg.norm(theirs, axis=0))[:, ::-1], 0))
    np.testing.assert_allclose(cosines[:12], 1.0, rtol=1e-8)
    ways = explore.directions(told_way("generalized"), geometry)
    np.testing.assert_allclose(
        np.abs(np.sum(ways.vectors.T[:, :12] * vectors[:, :12], 0)), 1.0, rtol=1e-8
    )


@pytest.mark.parametrize("way", ["vk", "algorithm1", "closed_form", "curved"])
def test_skipped_directions_are_those_that_retain_little(way):
    """A K is skipped that should not be, K is counted from 0, or a direction is not of unit
    length."""
    geometry = random_geometry(0)
    ways = explore.directions(told_way(way, least_retained=0.7), geometry)
    top = geometry.measurement.vectors[:, :10]
    retained = np.linalg.norm(
        geometry.perceptual.vectors - top @ (top.T @ geometry.perceptual.vectors), axis=0
    )
    np.testing.assert_array_equal(ways.index, np.flatnonzero(retained >= 0.7) + 1)
    np.testing.assert_allclose(ways.retained, retained[retained >= 0.7])
    np.testing.assert_allclose(np.linalg.norm(ways.vectors, axis=1), 1.0)
    with pytest.raises(ValueError, match="no direction keeps 1 of its norm outside the 10"):
        explore.directions(told_way(way, least_retained=1.0), geometry)


def test_ways_differ_in_how_much_of_the_measurement_they_see():
    """Generalised directions see more than the closed form allows, or raw eigenvectors less than
    projected ones."""
    geometry = random_geometry(3)
    h_y = (
        geometry.measurement.vectors * geometry.measurement.values @ geometry.measurement.vectors.T
    )

    def seen(way):
        return np.mean(
            [d @ h_y @ d for d in explore.directions(told_way(way), geometry).vectors[:4]]
        )

    assert seen("closed_form") <= seen("algorithm1") < seen("vk")
