"""PGGAN (Karras et al., arXiv:1710.10196): the progressively grown generator and its discriminator,
in the official numerics.

Networks speak [-1, 1] and HWC; `pggan` wraps them as a `Prior`, which speaks [0, 1] and has no w
space. The network is the fully grown one.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxsr.nets.progressive import SQRT2, Conv, Dense, Discriminator, Sizes, pixel_norm
from jaxsr.nets.style_based import apply, randomise
from jaxsr.priors import Prior, without_w
from jaxsr.types import Params, PRNGKey


@dataclasses.dataclass(frozen=True)
class Config(Sizes):
    """Sizes of a PGGAN: the fields of `Sizes`, `z_dim`, and `hidden`, the width of the
    discriminator's last hidden layer.

    fused: whether the discriminator takes 2x2 means before the activation, as the official fused
        layers do, or behind it.
    """

    channel_base: int = 16384
    z_dim: int = 512
    hidden: int = 512
    fused: bool = True

    @property
    def num_layers(self) -> int:
        return 2 * len(self.resolutions)


class First(nn.Module):
    """z [z_dim] -> [4, 4, features]: the dense layer that a 4x4 convolution of one pixel is."""

    features: int

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.ones, (len(z), 4, 4, self.features))
        bias = self.param("bias", nn.initializers.zeros, (4, 4, self.features))
        return nn.leaky_relu(
            jnp.tensordot(z, kernel, 1) * (SQRT2 / 4 / np.sqrt(len(z))) + bias, 0.2
        )


class Generator(nn.Module):
    """z [z_dim] -> image [H, W, 3], nominally in [-1, 1]; what a layer takes is normalised over its
    channels.

    Run in part, it takes z or the map [r, r, c] that layer `start` takes, and gives the image or
    the map that layer `stop` takes.
    """

    config: Config

    @nn.compact
    def __call__(self, x: jax.Array, start: int = 0, stop: int | None = None) -> jax.Array:
        config = self.config
        for i in range(config.num_layers)[start:stop]:
            x = pixel_norm(x)
            if i == 0:
                x = First(config.width(4), name="layer0")(x).astype(config.dtype)
            else:
                x = Conv(config.width(4 << i // 2), up=i % 2 == 0, name=f"layer{i}")(x[None])[0]
        return (
            x
            if stop is not None
            else Dense(3, gain=1.0, name="torgb")(pixel_norm(x.astype(jnp.float32)))
        )


def generator(
    config: Config, params: Params, x: jax.Array, start: int = 0, stop: int | None = None
) -> jax.Array:
    """z [z_dim] -> image [H, W, 3] in [-1, 1], or in part, see `Generator`; params as in
    params["generator"]."""
    return apply(Generator(config), params, x, start, stop)


def _discriminator(config: Config) -> nn.Module:
    return Discriminator(config, config.hidden, blurred=False, fused=config.fused)


def discriminator(
    config: Config, params: Params, images: jax.Array
) -> tuple[jax.Array, list[jax.Array]]:
    """images [n, H, W, 3] in [-1, 1] -> (logits [n], features after each block, finest first);
    params as in params["discriminator"]."""
    return apply(_discriminator(config), params, images)


def init(key: PRNGKey, config: Config) -> Params:
    """Fresh parameters {"generator", "discriminator"}."""
    image = jnp.zeros((1, config.resolution, config.resolution, 3))
    params = {
        "generator": Generator(config).init(key, jnp.zeros(config.z_dim))["params"],
        "discriminator": _discriminator(config).init(key, image)["params"],
    }
    return randomise(key, params)


def pggan(config: Config, *, name: str = "pggan", domain: str = "", licence: str = "") -> Prior:
    """PGGAN as a `Prior` over z; see `priors.Prior` for the shapes, `init` for the parameters."""

    def sample(key: PRNGKey, params: Params) -> jax.Array:
        return jax.random.normal(key, (config.z_dim,))

    def decode(params: Params, z: jax.Array) -> jax.Array:
        return 0.5 + 0.5 * generator(config, params["generator"], z)

    def discriminate(params: Params, images: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        return discriminator(config, params["discriminator"], 2 * images - 1)

    def split(blocks: int) -> tuple[Callable, Callable]:
        def head(params: Params, z: jax.Array) -> dict:
            return {"x": generator(config, params["generator"], z, 0, 2 * blocks)}

        def tail(params: Params, cut: dict) -> jax.Array:
            return 0.5 + 0.5 * generator(config, params["generator"], cut["x"], 2 * blocks)

        return head, tail

    sizes = config.resolution, config.z_dim, config.num_layers
    return without_w((name, domain, licence), sizes, sample, decode, discriminate, split)
