"""An encoder trained along with the generator, which must bring photos back (VAE/GAN, arXiv:1512.09300; ALAE, arXiv:2004.04467)."""

import jax
import jax.numpy as jnp

from jaxsr.nets import stylegan2
from jaxsr.types import Params


def begin(net: stylegan2.Config, discriminator: Params) -> Params:
    """A discriminator's layers, and a head on its last maps that gives the same code for everything."""
    inputs, outputs = 16 * net.width(4), net.num_layers * net.w_dim
    return {"layers": discriminator, "kernel": jnp.zeros((inputs, outputs)), "bias": jnp.zeros(outputs)}


def encode(net: stylegan2.Config, params: Params, photos: jax.Array) -> jax.Array:
    """W+ codes [n, layers, w_dim] of photos [n, H, W, 3] in [-1, 1]."""
    last = stylegan2.discriminator(net, params["layers"], photos)[1][-1].reshape(len(photos), -1)
    codes = last @ (params["kernel"] / last.shape[1] ** 0.5) + params["bias"]
    return codes.reshape(len(photos), net.num_layers, net.w_dim)
