"""Every term against a slow float64 numpy version of its formula, with gradients where searches
start."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_objectives

from jaxsr.search import objectives

# name -> (the term, its slow version)
SLOW = {name: (getattr(objectives, name), slow) for name, slow in reference_objectives.SLOW.items()}


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("shape", [(2, 3), (6, 8), (18, 512)])
@pytest.mark.parametrize("spread", [1.0, 1e-3])
def test_equals_float64_numpy(name, shape, spread):
    """The term differs from its formula, above all for codes that are almost equal (cancellation in
    float32)."""
    fast, slow = SLOW[name]
    key, key_rows = jax.random.split(jax.random.key(0))
    w = jax.random.normal(key, shape[1:]) + spread * jax.random.normal(key_rows, shape)
    np.testing.assert_allclose(fast(w), slow(w), rtol=2e-4 if spread < 1 else 1e-5)


@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("w", [jnp.zeros((6, 8)), jnp.ones((6, 8))], ids=["zeros", "equal rows"])
def test_gradient_where_a_search_starts(name, w):
    """Equal rows (RLS starts with them) or zero rows make the gradient NaN or inf."""
    value, grad = jax.value_and_grad(SLOW[name][0])(w)
    assert np.isfinite(value)
    assert np.isfinite(grad).all()
    if name.startswith("pairwise"):
        assert value == 0
        assert (grad == 0).all()


@pytest.mark.parametrize("angle", [0.1, 1.0, math.pi / 2, 3.0])
def test_geocross_of_two_unit_vectors_is_their_angle(angle):
    """theta is not the angle: of the four ordered pairs two have it, two have 0."""
    w = (
        jnp.zeros((2, 512))
        .at[0, 0]
        .set(1.0)
        .at[1, 0]
        .set(math.cos(angle))
        .at[1, 1]
        .set(math.sin(angle))
    )
    np.testing.assert_allclose(objectives.geocross(w), 512 * angle**2 / 2 / 8, rtol=1e-4)


@pytest.mark.parametrize("name", SLOW)
def test_gradient_equals_finite_differences(name):
    """The hand-protected roots changed the gradient."""
    fast, slow = SLOW[name]
    w, direction = np.asarray(jax.random.normal(jax.random.key(1), (2, 4, 5)), np.float64)
    expected = (slow(w + 1e-5 * direction) - slow(w - 1e-5 * direction)) / 2e-5
    np.testing.assert_allclose(
        jnp.vdot(jax.grad(fast)(jnp.asarray(w, jnp.float32)), jnp.asarray(direction, jnp.float32)),
        expected,
        rtol=1e-3,
    )


def test_pixel_terms_are_means():
    """l1 or l2 is a sum, so that its weight would depend on the image size."""
    x, y = jax.random.uniform(jax.random.key(2), (2, 7, 5, 3))
    difference = np.asarray(x, np.float64) - np.asarray(y, np.float64)
    np.testing.assert_allclose(objectives.l1(x, y), np.abs(difference).mean(), rtol=1e-5)
    np.testing.assert_allclose(objectives.l2(x, y), (difference**2).mean(), rtol=1e-5)


def test_flow_nll_of_an_affine_flow_is_the_gaussian_density():
    """The negative log-likelihood misses the constant, the determinant or the mean over layers."""
    mean, std = np.asarray([1.0, -2.0, 0.5]), np.asarray([2.0, 0.1, 1.0])
    w = mean + std * np.asarray(jax.random.normal(jax.random.key(3), (6, 3)), np.float64)
    expected = np.mean(
        np.sum(0.5 * ((w - mean) / std) ** 2 + np.log(std * math.sqrt(2 * math.pi)), -1)
    )
    log_det = jnp.full((6,), -np.log(std).sum(), jnp.float32)
    np.testing.assert_allclose(
        objectives.flow_nll(jnp.asarray((w - mean) / std, jnp.float32), log_det),
        expected,
        rtol=1e-5,
    )
