"""StyleGAN1 (Karras et al., arXiv:1812.04948): mapping, synthesis by adaptive instance
normalisation, discriminator; official numerics.

Networks speak [-1, 1] and HWC; `stylegan1` wraps them as a `Prior`, which speaks [0, 1]. The
mapping is StyleGAN2's, whose gain lies behind the activation: with biases divided by sqrt(2) it
computes the same w. The network is the fully grown one: RGB comes from the last block.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jaxsr.nets import progressive, style_based
from jaxsr.nets.progressive import Conv, blur
from jaxsr.nets.style_based import Between, Cut, Dense, apply, as_maps
from jaxsr.priors import Prior
from jaxsr.types import Noise, Params, PRNGKey


@dataclasses.dataclass(frozen=True)
class Config(style_based.Config):
    """Sizes of a StyleGAN1: the fields of `style_based.Config`.

    hidden: width of the discriminator's last hidden layer.
    eps: added to the variance of instance normalisation; 1e-8 in the official code, 1e-5 in the
        PyTorch port that PULSE uses.
    """

    channel_base: int = 16384
    hidden: int = 512
    eps: float = 1e-8


class Epilogue(nn.Module):
    """Noise, bias, leaky ReLU, instance normalisation, then scale and shift by the style; [h, w, c]
    -> [h, w, c]."""

    eps: float

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array, noise: jax.Array) -> jax.Array:
        width = x.shape[-1]
        strength = self.param("noise_strength", nn.initializers.zeros, (width,))
        bias = self.param("bias", nn.initializers.zeros, (width,))
        x = nn.leaky_relu(x.astype(jnp.float32) + as_maps(noise) * strength + bias, 0.2)
        x = x - x.mean((0, 1))
        x = x * lax.rsqrt(jnp.mean(x**2, (0, 1)) + self.eps)
        scale, shift = jnp.split(Dense(2 * width, name="style")(w), 2)
        return x * (scale + 1) + shift


class SynthesisBlock(nn.Module):
    """One resolution: x at half the side -> x. The first block starts from the learnt constant."""

    config: Config
    resolution: int

    @nn.compact
    def __call__(
        self,
        x: jax.Array | None,
        ws: jax.Array,
        noise: Noise,
        between: Between | None = None,
    ) -> jax.Array:
        width, dtype, eps = self.config.width(self.resolution), self.config.dtype, self.config.eps
        if x is None:
            x = self.param("const", nn.initializers.ones, (4, 4, width))
        else:
            x = blur(Conv(width, up=True, activated=False, name="conv0")(x[None].astype(dtype)))[0]
        x = Epilogue(eps, name="epilogue0")(x, ws[0], noise[0])
        if between is not None and self.resolution > 4:
            x = between(x)
        x = Conv(width, activated=False, name="conv1")(x[None].astype(dtype))[0]
        return Epilogue(eps, name="epilogue1")(x, ws[1], noise[1])


class Synthesis(nn.Module):
    """w_plus [num_layers, w_dim] and noise maps -> the last map [H, W, c] and the image [H, W, 3],
    nominally in [-1, 1].

    The blocks from `start` to `stop` alone take and give what lies between blocks: the map, and no
    image yet. `between`, if given, takes and gives the map [r, r, c] between the two convolutions
    of each from 8 px on.
    """

    config: Config

    @nn.compact
    def __call__(
        self,
        w_plus: jax.Array,
        noise: Noise,
        cut: Cut = (None, None),
        start: int = 0,
        stop: int | None = None,
        between: Between | None = None,
    ) -> Cut:
        x, _ = cut
        for i, resolution in list(enumerate(self.config.resolutions))[start:stop]:
            x = SynthesisBlock(self.config, resolution, name=f"b{resolution}")(
                x, w_plus[2 * i : 2 * i + 2], noise[2 * i : 2 * i + 2], between
            )
        return x, None if stop is not None else progressive.Dense(3, gain=1.0, name="torgb")(
            jnp.asarray(x)
        )


def _discriminator(config: Config) -> nn.Module:
    return progressive.Discriminator(config, config.hidden, blurred=True)


def synthesis(
    config: Config,
    params: Params,
    w_plus: jax.Array,
    noise: Noise,
    cut: Cut = (None, None),
    start: int = 0,
    stop: int | None = None,
    between: Between | None = None,
) -> Cut:
    """w_plus [num_layers, w_dim] and noise maps -> last map, and image [H, W, 3] in [-1, 1]; params
    as in params["synthesis"].

    In part, and with something between its convolutions, see `Synthesis`.
    """
    return apply(Synthesis(config), params, w_plus, noise, cut, start, stop, between)


def discriminator(
    config: Config, params: Params, images: jax.Array
) -> tuple[jax.Array, list[jax.Array]]:
    """images [n, H, W, 3] in [-1, 1] -> (logits [n], features after each block, finest first);
    params as in params["discriminator"]."""
    return apply(_discriminator(config), params, images)


def init(key: PRNGKey, config: Config) -> Params:
    """Fresh parameters {"mapping", "synthesis", "noise", "discriminator", "statistics"} of a
    generator and its discriminator."""
    return style_based.init(key, config, Synthesis(config), _discriminator(config))


def stylegan1(
    config: Config, *, name: str = "stylegan1", domain: str = "", licence: str = ""
) -> Prior:
    """StyleGAN1 as a `Prior` over z; see `priors.Prior` for the shapes, `init` for the
    parameters."""
    return style_based.prior(
        config, (name, domain, licence), Synthesis(config), synthesis, discriminator
    )
