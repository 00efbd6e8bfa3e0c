"""PULSE on the priors that e-GLASS has in its paper, PGGAN and BigGAN, which have z alone."""

import functools

import jax
import numpy as np
import pytest
from toy_z import NETS, made, operator_of

from jaxsr import search
from jaxsr.methods import PULSE, pulse
from jaxsr.search import restore

each_net = pytest.mark.parametrize("name", NETS)


@functools.cache
def begun(name, config):
    """The search's phase, the prior's params, a measurement and the first state."""
    prior, params = made(name)
    operator = operator_of(prior)
    y = operator(prior.decode(params, prior.sample(jax.random.key(5), params)))
    phase = pulse(prior, operator, config).phases[0]
    return phase, params, y, search.begin(phase, jax.random.key(1), params, y, None)


@each_net
def test_z_stays_on_the_sphere_of_its_draw(name):
    """z leaves its sphere, does not move, or lies on another sphere than that of the prior's own
    draw, which BigGAN truncates."""
    phase, params, y, first = begun(name, PULSE(steps=30))
    drawn = made(name)[0].sample(jax.random.key(1), params)
    np.testing.assert_array_equal(first.variables["z"], drawn)
    state, _ = search.advance(phase, params, y, first, length=5)
    moved = np.asarray(state.variables["z"])
    np.testing.assert_allclose(np.linalg.norm(moved), np.linalg.norm(drawn), rtol=1e-5)
    assert not np.allclose(moved, drawn, atol=1e-2)


@each_net
@pytest.mark.parametrize("fit", ["l2", "l1"])
def test_the_objective_is_the_data_term_alone(name, fit):
    """The cross term of w+, or another weight, gets into the search of z; or the data still pull
    once the fit is below eps."""
    for eps in (1e-6, 10.0):
        config = PULSE(steps=30, fit=fit, eps=eps)
        phase, params, y, first = begun(name, config)
        prior = made(name)[0]
        image = np.asarray(prior.decode(params, first.variables["z"]), np.float64)
        apart = np.asarray(operator_of(prior)(image), np.float64) - np.asarray(y, np.float64)
        error = np.mean(apart**2) if fit == "l2" else np.mean(np.abs(apart))
        expected = 100.0 * {"l2": 1.0, "l1": 10.0}[fit] * max(error, eps)
        loss, terms = phase.loss(params, y, first.context, first.variables)
        np.testing.assert_allclose(loss, expected, rtol=1e-4)
        assert set(terms) == {fit}
        slope = jax.grad(phase.loss, argnums=3, has_aux=True)(
            params, y, first.context, first.variables
        )[0]["z"]
        assert (np.abs(slope).max() > 0) == (eps < 1)


@each_net
def test_restarts_fit_and_differ(name):
    """The search ends no nearer than it began, returns a latent of another image, or gives one
    picture whatever the seed."""
    prior, params = made(name)
    operator = operator_of(prior)
    y = np.asarray(operator(prior.decode(params, prior.sample(jax.random.key(5), params))))
    solve = pulse(prior, operator, PULSE(steps=60, eps=1e-5))
    result = restore(solve, params, np.stack([y, y]), seed=[0, 1], batch_size=2, progress=False)
    loss = result.trace["l2"]
    assert (result.residual < 0.6 * loss[:, 0]).all()
    for image, z in zip(result.image, result.latent["z"], strict=True):
        np.testing.assert_allclose(prior.decode(params, z), image, atol=1e-4)
    assert np.abs(result.image[0] - result.image[1]).max() > 1e-2


def test_a_wrong_measurement_is_told():
    """A measurement of another size gives a traceback from deep inside."""
    prior, params = made("pggan")
    solve = pulse(prior, operator_of(prior), PULSE(steps=2))
    with pytest.raises(ValueError, match=r"y has shape \(3,\), but the operator measures"):
        solve(jax.random.key(0), params, np.zeros(3, np.float32))
