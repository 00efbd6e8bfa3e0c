"""DDRM and DDNM on a Gaussian prior: what they make is their equations' closed form, and Bayes'
posterior where that is so."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gaussians import (
    OPERATORS,
    SHAPE,
    Gaussian,
    N,
    chain_of,
    dense,
    gaussian,
    moments,
    sigmas_of,
    slow_ddnm,
    slow_ddrm,
)

from jaxsr import diffusion, operators
from jaxsr.methods.ddnm import exact, noisy
from jaxsr.methods.ddrm import Rule, sampled

CHAIN = diffusion.chain(diffusion.Schedule(), 20)


def ddrm(operator, denoise, chain, noise, eta=0.85, eta_b=1.0):
    """DDRM as a function of the photo and of its noise."""
    whole, rule = operators.spectrum(operator), Rule(noise, eta, eta_b)
    return lambda y, draws: sampled(denoise, chain, lambda n: draws[n], y, whole=whole, rule=rule)


def ddnm(operator, denoise, chain, noise, eta=0.85):
    given = {"operator": operator, "eta": eta}
    take = (
        functools.partial(noisy, **given, noise=noise)
        if noise
        else functools.partial(exact, **given)
    )
    return lambda y, draws: take(denoise, chain, lambda n: draws[n], y)


def photo(operator, noise, seed=0):
    """What an operator measures of an image of the prior, with noise."""
    rng, prior = np.random.default_rng(seed), gaussian()
    x = rng.multivariate_normal(prior.mean, prior.cov).reshape(SHAPE)
    y = np.asarray(operator(jnp.float32(x)))
    return y + noise * rng.normal(size=y.shape)


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("name", OPERATORS)
def test_ddrm_is_its_closed_form(name, noise):
    """A direction takes another's rule, noise of another size, or the photo at another scale."""
    operator, prior, y = OPERATORS[name], gaussian(), photo(OPERATORS[name], noise)
    eta_b = 0.6 if name == "box" else 1.0
    found = moments(ddrm(operator, prior.denoise(CHAIN), CHAIN, noise, eta_b=eta_b), y, 20)
    mean, cov = slow_ddrm(prior, operator, CHAIN, y, noise=noise, eta=0.85, eta_b=eta_b)
    np.testing.assert_allclose(found.mean, mean, atol=1e-3)
    np.testing.assert_allclose(found.cov, cov, atol=1e-3)
    assert np.abs(cov).max() > 0.02


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("name", OPERATORS)
def test_ddnm_is_its_closed_form(name, noise):
    """The photo's part is taken at another weight, or noise comes in twice."""
    operator, prior, y = OPERATORS[name], gaussian(), photo(OPERATORS[name], noise)
    found = moments(ddnm(operator, prior.denoise(CHAIN), CHAIN, noise), y, 40)
    mean, cov = slow_ddnm(prior, operator, CHAIN, y, noise=noise, eta=0.85)
    np.testing.assert_allclose(found.mean, mean, atol=1e-3)
    np.testing.assert_allclose(found.cov, cov, atol=1e-3)
    assert np.abs(cov).max() > 0.02


@pytest.mark.parametrize("noise", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("method", [ddrm, ddnm])
@pytest.mark.parametrize("name", ["downsample", "mask", "linear"])
def test_noise_is_that_of_the_step(name, method, noise):
    """DDRM's proposition, DDNM+'s principle: a network that knows the image sees it with noise of
    the step's size, alike in all directions, whatever the photo's noise is. Else it is shown what
    it was not trained on."""
    operator, chain = OPERATORS[name], chain_of([2000.0, 30.0, 2.0, 0.6])
    x = np.random.default_rng(5).uniform(-1, 1, SHAPE).astype(np.float32)
    kept = jnp.asarray(chain.kept[::-1].copy())

    def oracle(image, step):  # the last shows the image as it is
        noise = (image - jnp.sqrt(kept[step]) * x) / jnp.sqrt(1 - kept[step])
        return jnp.where(step == 0, 0.0, noise)

    found = moments(method(operator, oracle, chain, noise), operator(x), 8)
    if method is ddnm and not noise:
        return  # its last guess is corrected
    np.testing.assert_allclose(found.mean, x.ravel(), atol=1e-3)
    whole = found.cov + noise**2 * found.by_y @ found.by_y.T
    np.testing.assert_allclose(whole, 0.36 * np.eye(N), atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["downsample", "mask"])
def test_ddrm_is_the_posterior_without_noise_and_correlation(name):
    """Where no direction tells of another, DDRM without fresh noise (eta 0) tends to Bayes'
    posterior as its steps get smaller: the photo where it tells, else the prior."""
    operator, rng = OPERATORS[name], np.random.default_rng(2)
    basis = np.linalg.svd(dense(operator))[2]
    prior = Gaussian(0.2 * rng.normal(size=N), basis.T * rng.uniform(0.05, 0.3, N) @ basis)
    matrix, y = dense(operator), photo(operator, 0.0)
    chain = chain_of(np.geomspace(1000, 1e-3, 5000))
    found = moments(ddrm(operator, prior.denoise(chain), chain, 0.0, eta=0.0), y, 5000)
    gain = prior.cov @ matrix.T @ np.linalg.pinv(matrix @ prior.cov @ matrix.T)
    mean = prior.mean + gain @ (y.ravel() - matrix @ prior.mean)
    np.testing.assert_allclose(found.mean, mean, atol=1e-3)
    np.testing.assert_allclose(found.cov, prior.cov - gain @ matrix @ prior.cov, atol=1e-3)


def test_ddrm_stopped_at_the_photos_noise_gives_the_posterior_mean():
    """At the step whose noise is the photo's, the photo is the noisy image, and the network's guess
    the posterior mean of what it tells."""
    operator, rng, noise = OPERATORS["box"], np.random.default_rng(2), 0.15
    matrix, y = dense(operator), photo(operator, noise)
    basis = np.linalg.svd(matrix)[2]
    prior = Gaussian(0.2 * rng.normal(size=N), basis.T * rng.uniform(0.05, 0.3, N) @ basis)
    chain = chain_of([50.0, 3.0, 1.0, noise / 0.5 * (1 + 1e-5)])  # a mean of 2 x 2: s = 1/2
    found = moments(ddrm(operator, prior.denoise(chain), chain, noise), y, 4)
    gram = matrix @ prior.cov @ matrix.T + noise**2 * np.eye(len(matrix))
    mean = prior.mean + prior.cov @ matrix.T @ np.linalg.solve(
        gram, y.ravel() - matrix @ prior.mean
    )
    np.testing.assert_allclose(matrix @ found.mean, matrix @ mean, atol=1e-3)
    np.testing.assert_allclose(matrix @ found.cov @ matrix.T, 0, atol=1e-3)


def wild(image, step):
    """A network that knows nothing of images."""
    return jnp.sin(3 * image[::-1]) + 0.3 * jnp.cos(step)


@pytest.mark.parametrize("name", OPERATORS)
def test_ddnm_explains_the_photo_exactly(name):
    """Whatever the network says, without noise A x = y."""
    operator = OPERATORS[name]
    y = operator(jax.random.uniform(jax.random.key(1), SHAPE))
    draws = jax.random.normal(jax.random.key(2), (20, *SHAPE))
    image = jax.jit(ddnm(operator, wild, CHAIN, 0.0))(y, draws)
    np.testing.assert_allclose(operator(image), y, atol=2e-5)
    told = operator(jax.jit(ddrm(operator, wild, CHAIN, 0.0))(y, draws))
    assert np.abs(told - y).max() < 0.2  # but for the last step's guess


@pytest.mark.parametrize("method", [ddrm, ddnm])
def test_finite_with_and_without_noise(method):
    """0 / 0 of a direction that is not seen, or of a photo without noise, reaches the image or its
    gradient."""
    y, draws = jnp.ones(SHAPE), jnp.ones((40, *SHAPE))
    for noise in (0.0, 1e-6):
        sampler = method(OPERATORS["mask"], wild, CHAIN, noise)
        value, slope = jax.jit(jax.value_and_grad(functools.partial(_sum, sampler)))(y, draws)
        assert np.isfinite(value) and np.isfinite(slope).all()


def _sum(sampler, y, draws):
    return sampler(y, draws).sum()


def test_schedules_are_the_published():
    """The steps' noise is another: 157.4 of the image's unit at T, 97.1 where 20 steps start."""
    linear = diffusion.alpha_bar(diffusion.Schedule())
    np.testing.assert_allclose(np.sqrt(1 / linear[999] - 1), 157.4, rtol=1e-3)
    np.testing.assert_allclose(linear[0], 1 - 1e-4)
    assert CHAIN.steps.tolist() == list(range(950, -1, -50))
    np.testing.assert_allclose(sigmas_of(CHAIN)[[0, -1]], [97.1, 0.01], rtol=1e-3)
    cosine = diffusion.alpha_bar(diffusion.Schedule("cosine"))
    half = np.cos((0.5 + 0.008) / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(cosine[499], half)
    assert (np.diff(cosine) < 0).all() and cosine[-1] > 0
    for steps in (0, 1001):
        with pytest.raises(ValueError, match=f"expected from 1 to 1000 steps, got {steps}"):
            diffusion.chain(diffusion.Schedule(), steps)
