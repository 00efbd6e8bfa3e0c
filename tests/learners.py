"""Every network of RESTORERS for a tiny prior; each is made once for all laws."""

import functools

import jax
import numpy as np

from jaxsr import learned, operators, priors
from jaxsr.metrics import perceptual
from jaxsr.nets import ARCHITECTURES
from jaxsr.training.restorer_losses import Bound

SIDE = 16
SHAPE = (SIDE, SIDE, 3)
SIZES = learned.Sizes(
    blocks=1,
    width=4,
    growth=2,
    layers=3,
    parsing_width=6,
    coarse_blocks=1,
    encoder_blocks=1,
    hourglasses=1,
    levels=2,
    nodes=4,
    node_width=2,
    code_width=3,
    map_side=4,
)
X4 = operators.downsample(4, image_shape=SHAPE)
KEY = jax.random.key(0)
NETWORKS = tuple(learned.RESTORERS)


@functools.cache
def prior_of(name="stylegan2"):
    """A prior and its params, with statistics of w, its perceptual network, and noise that is
    seen."""
    row = ARCHITECTURES[name]
    net = row.Config(resolution=SIDE, z_dim=6, w_dim=6, mapping_layers=2, channels=(5, 4, 3))
    prior, params = row.prior(net, name="tiny"), jax.jit(row.init, static_argnums=1)(KEY, net)
    params["synthesis"] = jax.tree.map(lambda x: x + 0.1, params["synthesis"])
    params["statistics"] = jax.jit(
        lambda p: priors.latent_statistics(prior, p, jax.random.key(0), num_samples=1000)
    )(params)
    return prior, params | perceptual.load("features")


@functools.cache
def bound(network, operator=X4):
    prior, params = prior_of()
    net = learned.sized(network, prior, params, operator, SIZES)
    net = learned.fitted(network, net, photos(8, seed=2))
    return Bound(learned.bind(net, prior, operator), prior, operator, "features")


@functools.cache
def fresh(network):
    """Params of a network, moved from where they begin."""
    params = jax.jit(bound(network).model.init)(jax.random.key(1), prior_of()[1])
    return jax.tree.map(
        lambda x: x + 0.05 * jax.random.normal(jax.random.key(x.size), x.shape), params
    )


def photos(count, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), np.uint8)
    return coarse.repeat(4, 1).repeat(4, 2)
