"""Schedule, projections and whitening against tables, brute force and optimality conditions."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxsr.search import transforms


@pytest.mark.parametrize(
    ("x", "factor"),
    [
        (0.0, 0.1),
        (0.225, 0.55),
        (0.45, 1.0),
        (0.675, 0.55),
        (0.89999, 0.1),
        (0.9, 0.1),
        (0.95, 0.0505),
        (1.0, 0.001),
    ],
)
def test_schedule_has_pulses_values(x, factor):
    """The step size is not PULSE's at this fraction of the search (up to 1 at 45 %, 1/10 at 90 %,
    1/1000 at the end)."""
    np.testing.assert_allclose(
        transforms.linear1cycledrop(0.4, 100_000)(jnp.asarray(x * 100_000)), 0.4 * factor, rtol=1e-3
    )


def test_schedule_drives_an_optimiser():
    """The schedule does not start at a tenth of the peak when optax counts from 0."""
    tx = optax.sgd(transforms.linear1cycledrop(2.0, 10))
    updates, _ = tx.update(jnp.ones(1), tx.init(jnp.zeros(1)))
    np.testing.assert_allclose(np.asarray(updates), -0.2, rtol=1e-6)


SHAPES = [(1, 5), (6, 8), (18, 512)]
l1_ball = jax.jit(transforms.project_l1_ball)
l1_ball_of_optax = jax.jit(jax.vmap(optax.projections.projection_l1_ball, (0, None)))


@pytest.mark.parametrize("shape", SHAPES)
def test_sphere(shape):
    """A row leaves its own sphere, or turns on the way back to it."""
    x = 3 * jax.random.normal(jax.random.key(0), shape)
    radius = jnp.arange(1.0, shape[0] + 1)[:, None]
    projected = transforms.project_to_sphere(x, radius)
    np.testing.assert_allclose(np.linalg.norm(projected, axis=-1, keepdims=True), radius, rtol=1e-5)
    np.testing.assert_allclose(
        projected / radius, x / np.linalg.norm(x, axis=-1, keepdims=True), rtol=1e-4, atol=1e-6
    )


def test_sphere_of_a_map_and_of_nothing():
    """A noise map is not treated as one vector, or a zero map (a switched-off layer) becomes
    NaN."""
    map = jax.random.normal(jax.random.key(0), (8, 8))
    assert float(
        jnp.linalg.norm(transforms.project_to_sphere(map, jnp.asarray(2.0), (-2, -1)))
    ) == pytest.approx(2, rel=1e-5)
    assert (transforms.project_to_sphere(jnp.zeros((4, 4)), jnp.asarray(2.0), (-2, -1)) == 0).all()


def l1_by_bisection(x, radius):
    """Reference in float64: the threshold t with sum max(|x| - t, 0) = radius, by 200 halvings."""
    x = np.asarray(x, np.float64)
    if np.abs(x).sum() <= radius:
        return x
    low, high = 0.0, np.abs(x).max()
    for _ in range(200):
        t = (low + high) / 2
        low, high = (t, high) if np.maximum(np.abs(x) - t, 0).sum() > radius else (low, t)
    return np.sign(x) * np.maximum(np.abs(x) - low, 0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [0.01, 1.0, 22.6, 1e6])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0])
def test_l1_ball(shape, radius, scale):
    """The projection is not the nearest point of the ball, or not the identity inside it, or not
    idempotent."""
    x = scale * jax.random.normal(jax.random.key(1), shape)
    projected = np.asarray(l1_ball(x, radius))
    tolerance = 1e-5 * np.abs(x).max()
    np.testing.assert_allclose(
        projected, [l1_by_bisection(row, radius) for row in x], atol=tolerance
    )
    np.testing.assert_allclose(projected, l1_ball_of_optax(x, radius), atol=tolerance)
    np.testing.assert_allclose(l1_ball(projected, radius), projected, atol=tolerance)
    assert (np.abs(projected).sum(-1) <= radius * (1 + 1e-4) + tolerance).all()


def test_l1_ball_meets_the_optimality_conditions():
    """KKT: what is taken away is the same for every survivor, never less for the others, and signs
    stay."""
    x = np.asarray(jax.random.normal(jax.random.key(2), (64,)))
    p = np.asarray(transforms.project_l1_ball(jnp.asarray(x), 5.0))
    taken, alive = np.abs(x) - np.abs(p), p != 0
    assert 0 < alive.sum() < 64
    np.testing.assert_allclose(taken[alive], taken[alive].max(), rtol=1e-5)
    assert (np.abs(x[~alive]) <= taken[alive].max() * (1 + 1e-5)).all()
    assert (np.sign(p[alive]) == np.sign(x[alive])).all()
    assert np.abs(p).sum() == pytest.approx(5, rel=1e-5)


def test_l1_ball_with_equal_entries():
    """Ties or an exact zero vector break the threshold."""
    np.testing.assert_allclose(
        transforms.project_l1_ball(jnp.asarray([[2.0, -2.0, 2.0, 2.0], [0, 0, 0, 0]]), 4.0),
        [[1, -1, 1, 1], [0] * 4],
    )


def test_noise_is_renormalised():
    """A map keeps a mean or another spread, or a constant one becomes NaN."""
    noise = (
        3 + 2 * jax.random.normal(jax.random.key(3), (4, 4)),
        100 * jax.random.normal(jax.random.key(4), (16, 16)),
        jnp.full((4, 4), 7.0),
    )
    *normal, constant = transforms.renormalise_noise(noise)
    for map in normal:
        np.testing.assert_allclose([map.mean(), map.std()], [0, 1], atol=1e-5)
    assert (constant == 0).all()
    np.testing.assert_allclose(transforms.renormalise_noise((normal[0],))[0], normal[0], atol=1e-5)


def test_whitening_is_inverted():
    """unwhiten(whiten(w)) differs from w, or whitened samples of LeakyReLU_0.2(normal) are not
    standard normal."""
    mean, std = jnp.asarray([0.5, -1.0, 0.0]), jnp.asarray([2.0, 0.3, 1.0])
    v = jax.random.normal(jax.random.key(5), (20_000, 3))
    w = transforms.unwhiten(v, mean, std)
    np.testing.assert_allclose(
        w, np.where(v * std + mean > 0, v * std + mean, 0.2 * (v * std + mean)), rtol=1e-6
    )
    np.testing.assert_allclose(transforms.whiten(w, mean, std), v, atol=1e-4)


def test_whitening_of_a_dead_dimension_is_finite():
    """A dimension of w that never varies (std 0) gives NaN."""
    assert (
        transforms.whiten(jnp.ones((2, 3)), jnp.zeros(3), jnp.asarray([1.0, 0.0, 1.0]))[:, 1] == 0
    ).all()
