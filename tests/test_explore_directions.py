"""explore.directions against independent linear algebra."""

import dataclasses

import numpy as np
import pytest
import scipy.linalg
import toy
from explorations import found, params

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


@pytest.mark.parametrize("way", ["vk", "algorithm1", "closed_form", "curved"])
def test_directions_are_scanned_downward_as_printed(way):
    """K goes up, a K that retains little is skipped, or another v than v^K is projected first."""
    geometry = random_geometry(1)
    ways = explore.directions(told_way(way, from_k=8, least_retained=0.9), geometry)
    np.testing.assert_array_equal(ways.index, np.arange(8, 0, -1))
    top, v = geometry.measurement.vectors[:, :10], geometry.perceptual.vectors[:, 7]
    first = v if way == "vk" else v - top @ (top.T @ v)
    if way != "algorithm1":  # whose threshold leaves some of the rest
        np.testing.assert_allclose(ways.vectors[0], first / np.linalg.norm(first), atol=1e-12)
    limited = explore.directions(told_way(way, from_k=8, most_directions=3), geometry)
    np.testing.assert_array_equal(limited.index, [8, 7, 6])


def test_k_is_how_many_directions_of_the_measurement_are_taken_out():
    """`Config.k` is not the k of the projection, or the automatic choice overrules it."""
    told, start, _, result = found("z", "downsample", "algorithm1")
    automatic = result.geometry.relevant
    for k in (1, automatic - 1, automatic + 1):
        config = dataclasses.replace(told.config, k=k, threshold=0.0, from_k=3)
        fixed = explore.problem(told.base, told.operator, config)
        geometry = explore.geometry(fixed, params(), start)
        assert geometry.relevant == k
        ways = explore.directions(fixed, geometry)
        seen = np.abs(geometry.measurement.vectors.T @ ways.vectors[0])
        assert seen[:k].max() < 1e-6 < seen[k]


@pytest.mark.parametrize("name", ["k", "from_k"])
def test_more_pairs_are_found_where_they_are_asked_for(name):
    """Matrix-free, a k above `Config.rank` takes fewer directions than it says, or K is missing."""
    told, start, _, _ = found("w_plus", "grey", "generalized")
    config = dataclasses.replace(told.config, dense_limit=8, rank=4, way="vk", **{name: 20})
    free = explore.problem(told.base, told.operator, config)
    geometry = explore.geometry(free, params(), start)
    spectrum = geometry.measurement if name == "k" else geometry.perceptual
    assert len(spectrum.values) >= 20 and (name == "from_k" or geometry.relevant == 20)
    assert name == "k" or explore.directions(free, geometry).index[0] == 20


COUNTS = [
    ({"k": 24}, "k must be below 24, how many numbers the latent has in space z, got 24"),
    ({"from_k": 25}, "from_k must be at most 24, how many numbers the latent has in space z, got"),
    ({"k": 0}, "k must be a number of at least 1, got 0"),
    ({"from_k": -1}, "from_k must be a number of at least 1, got -1"),
    ({"k": 2.5}, "k must be an int, got 2.5"),
    ({"from_k": 3, "way": "generalized"}, "from_k=3 is of ways that begin with v"),
    ({"k": 3, "way": "generalized"}, "k=3 is of ways that begin with v"),
]


@pytest.mark.parametrize(("changes", "message"), COUNTS)
def test_counts_that_the_latent_does_not_have(changes, message):
    """A k that leaves nothing to walk in, or a K beyond the last eigenvector, is taken silently."""
    with pytest.raises(ValueError, match=message) as raised:
        explore.directions(told_way(**{"way": "algorithm1"} | changes), random_geometry(0))
    assert "\n" not in str(raised.value)
