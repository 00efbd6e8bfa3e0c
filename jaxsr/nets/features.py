"""A small convolutional network that reads labels off photos, and whose maps serve as features of
images.

Per stage, one convolution to the stage's width and one residual convolution, then a mean over 2 x 2
pixels. Kernels are standardised (arXiv:1903.10520) and there is no normalisation of activations
(arXiv:2101.08692), so the features of an image depend on nothing but it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsr.nets.convolution import conv, same
from jaxsr.types import Image, Params, PRNGKey

# Relu of N(0, 1), centred by the standardised kernel that follows, has variance 1 / gain^2.
RELU_GAIN = (2 / (1 - 1 / jnp.pi)) ** 0.5


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of the network and what it reads.

    Attributes:
        heads: (label, its possible values) pairs; the first is the type that `type agreement`
            compares.
        resolution: side of the images that it sees; others are brought to it by an antialiased
            linear resize.
        widths: channels of each stage, at the full resolution first.
    """

    heads: tuple[tuple[str, tuple[str, ...]], ...]
    resolution: int = 64
    widths: tuple[int, ...] = (16, 32, 64, 128, 128)


class Features(NamedTuple):
    """The network as pure functions of (params, one image [h, w, 3] in [0, 1]).

    Attributes:
        name: what reports call it.
        config: sizes and labels.
        maps: -> list of [r, r, c], one a stage, finest first.
        vector: -> [d], the spatial mean of the last map.
        read: -> label -> logits over its values.
    """

    name: str
    config: Config
    maps: Callable[[Params, Image], list[jax.Array]]
    vector: Callable[[Params, Image], jax.Array]
    read: Callable[[Params, Image], dict[str, jax.Array]]


class _Conv(nn.Module):
    """3 x 3 convolution [r, r, c] -> [r, r, width] with kernels of mean 0 and variance 1 / fan-in,
    times a learned gain a channel."""

    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param(
            "kernel", nn.initializers.lecun_normal(), (3, 3, x.shape[-1], self.width)
        )
        gain = self.param("gain", nn.initializers.ones, (self.width,))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        centred = kernel - kernel.mean((0, 1, 2))
        scale = jax.lax.rsqrt(jnp.sum(centred**2, (0, 1, 2)) + 1e-8)
        kernel = centred * (scale * gain)
        return conv(x[None], kernel, same(kernel))[0] + bias


class _Net(nn.Module):
    config: Config

    @nn.compact
    def __call__(self, image: jax.Array) -> tuple[list[jax.Array], jax.Array, dict[str, jax.Array]]:
        side = self.config.resolution
        x = (
            image
            if image.shape[:2] == (side, side)
            else jax.image.resize(image, (side, side, 3), "linear")
        )
        x, maps = 4 * x - 2, []
        for i, width in enumerate(self.config.widths):
            x = x if i == 0 else _halved(x)
            x = RELU_GAIN * nn.relu(_Conv(width, name=f"stage{i}_in")(x))
            skip = self.param(f"stage{i}_skip", nn.initializers.constant(0.2), ())
            x = (
                RELU_GAIN * nn.relu(x + skip * _Conv(width, name=f"stage{i}_residual")(x))
                if i
                else x
            )
            maps.append(x)
        vector = x.mean((0, 1))
        logits = {
            name: nn.Dense(len(values), name=f"head_{name}")(vector)
            for name, values in self.config.heads
        }
        return maps, vector, logits


def _halved(x: jax.Array) -> jax.Array:
    r, _, c = x.shape
    return x.reshape(r // 2, 2, r // 2, 2, c).mean((1, 3))


def init(key: PRNGKey, config: Config) -> Params:
    """Fresh parameters. Raises ValueError when the resolution cannot be halved once a stage."""
    if config.resolution % 2 ** (len(config.widths) - 1):
        raise ValueError(
            f"resolution must be a multiple of {2 ** (len(config.widths) - 1)} for "
            f"{len(config.widths)} stages"
        )
    return _Net(config).init(key, jnp.zeros((config.resolution, config.resolution, 3)))["params"]


def features(config: Config, name: str = "features") -> Features:
    """The network of a config."""

    def apply(params: Params, image: Image) -> Any:
        return _Net(config).apply({"params": params}, image)

    return Features(
        name,
        config,
        lambda params, image: apply(params, image)[0],
        lambda params, image: apply(params, image)[1],
        lambda p, x: apply(p, x)[2],
    )
