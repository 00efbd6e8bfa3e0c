"""explore on any prior: by z alone, and by the styles of a style-based one."""

import jax
import numpy as np
import pytest
from toy_z import NETS, made, operator_of

from jaxsr import explore, metrics, operators
from jaxsr.explore import Config
from jaxsr.nets import stylegan1, stylegan2

SMALL_Z = {
    "way": "generalized",
    "num_solutions": 1,
    "steps": 3,
    "bisections": 4,
    "chunk": 4,
    "perceptual": "features",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_priors_without_w_are_explored_in_z(name):
    """A prior whose latent is no w, or holds the vector of its class besides z, has no metric or no
    solutions."""
    prior, params = made(name)
    params = params | metrics.load_embedding("features")
    told = explore.problem(prior, operator_of(prior), Config(**SMALL_Z))
    latent = prior.sample(jax.random.key(1), params)
    start = explore.start(prior, "z", params, {"z": latent})
    result = explore.explore(told, params, start, told.measure(params, start, start.latent))
    assert len(result.solutions) == 1
    assert result.geometry.perceptual.vectors.shape == (latent.size, latent.size)
    with pytest.raises(ValueError, match="needs a prior with a w space"):
        explore.start(prior, "w", params, {"z": latent})


@pytest.mark.parametrize(
    "module",
    [pytest.param(stylegan1, marks=pytest.mark.slow), stylegan2],
    ids=lambda module: module.__name__.rsplit(".")[-1],
)
def test_styles_are_explored(module):
    """The space of one number a modulated channel draws another image than the first solution, or
    walks nowhere."""
    net = module.Config(resolution=8, z_dim=6, w_dim=6, mapping_layers=2, channels=(6, 5))
    prior, params = (
        getattr(module, module.__name__.rsplit(".")[-1])(net),
        jax.jit(module.init, static_argnums=1)(jax.random.key(0), net),
    )
    params = params | metrics.load_embedding("features")
    told = explore.problem(
        prior, operators.downsample(4, image_shape=(8, 8, 3)), Config(space="styles", **SMALL_Z)
    )
    w_plus = jax.random.normal(jax.random.key(1), (prior.info.num_layers, 6))
    start = explore.start(prior, "styles", params, {"w_plus": w_plus})
    expected = prior.synthesize(params, w_plus, prior.noise("const", params))
    np.testing.assert_allclose(told.draw(params, start, start.latent), expected, atol=1e-5)
    result = explore.explore(told, params, start, told.measure(params, start, start.latent))
    assert len(result.solutions) == 1
    with pytest.raises(ValueError, match="needs a prior with modulations"):
        explore.problem(prior._replace(styles=None), told.operator, told.config)
