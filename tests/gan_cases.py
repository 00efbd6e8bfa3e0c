"""Networks, parameters and photos as small as a GAN's training can be."""

import functools

import jax
import numpy as np

from jaxsr.nets import stylegan2
from jaxsr.training import gan

NET = stylegan2.Config(resolution=8, z_dim=4, w_dim=4, mapping_layers=2, channels=(4, 3))
TINY = stylegan2.Config(resolution=4, z_dim=4, w_dim=4, mapping_layers=2, channels=(3,))
CONFIG = gan.Config(batch=4, augment="none")
# Without the lazy terms, most of what there is to compile.
PLAIN = gan.Config(batch=4, augment="none", path_weight=0.0, r1_gamma=0.0)
discriminator = jax.jit(stylegan2.discriminator, static_argnums=0)
synthesis = jax.jit(
    lambda net, params, w_plus, noise: stylegan2.synthesis(net, params, w_plus, noise)[1],
    static_argnums=0,
)


@functools.cache
def randomised(net):
    leaves, tree = jax.tree.flatten(
        jax.jit(stylegan2.init, static_argnums=1)(jax.random.key(0), net)
    )
    rng = np.random.default_rng(0)
    return jax.tree.unflatten(
        tree, [x + 0.3 * rng.normal(size=x.shape).astype(np.float32) for x in leaves]
    )


@functools.cache
def jitted_step(net, config):
    return jax.jit(gan.make_step(net, config))


def photos(net, count=4, seed=1):
    return np.random.default_rng(seed).integers(
        0, 256, (count, net.resolution, net.resolution, 3), np.uint8
    )
