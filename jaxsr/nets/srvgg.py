"""SRVGGNetCompact, Real-ESRGAN's small network: convolutions on the small image alone, whose pixels
are shuffled to the large one at the end (Wang et al., arXiv:2107.10833).

After BasicSR (Apache-2.0).
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsr.nets.conv_layers import TORCH, conv, repeated, shuffled
from jaxsr.types import Drawn, Image, Params, PRNGKey

CHANNELS = 3


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes; those of realesr-general-x4v3 by default.

    Attributes:
        layers: convolutions between the first and the last.
        width: channels between them.
        factor: how much larger the result is than the image.
        dtype: what the convolutions compute in, "float32" or "bfloat16"; parameters stay float32.
    """

    layers: int = 32
    width: int = 64
    factor: int = 4
    dtype: str = "float32"

    def __post_init__(self):
        for name in ("layers", "width", "factor"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


class Layer(nn.Module):
    """Convolution and a leaky ReLU whose slope is learned for each channel, as a body of `nn.scan`;
    [h, w, c] -> [h, w, width]."""

    config: Config

    @nn.compact
    def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, None]:
        x = conv(self.config.width, "conv", self.config.dtype, init=TORCH)(x)
        slope = self.param("slope", nn.initializers.constant(0.25), (self.config.width,))
        return jnp.where(x > 0, x, slope.astype(x.dtype) * x), None


class SRVGG(nn.Module):
    """An image [h, w, 3] -> [h * factor, w * factor, 3]."""

    config: Config

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        c = self.config
        x, _ = Layer(c, name="first")(image, None)
        middle = nn.scan(
            Layer, variable_axes={"params": 0}, split_rngs={"params": True}, length=c.layers
        )
        x, _ = middle(c, name="middle")(x, None)
        x = conv(CHANNELS * c.factor**2, "last", c.dtype, init=TORCH)(x).astype(jnp.float32)
        return shuffled(x, c.factor) + repeated(image, c.factor)


def init(key: PRNGKey, config: Config) -> Params:
    """Fresh parameters {"first": {"conv", "slope"}, "middle": {"conv", "slope"}, "last"}; those of
    "middle" are stacked along axis 0."""
    return SRVGG(config).init(key, jnp.zeros((1, 1, CHANNELS)))["params"]


def restored(config: Config, params: Params, image: Image) -> Drawn:
    """The image [h * factor, w * factor, 3] of an image [h, w, 3], both nominally in [0, 1]; the
    result is not clipped."""
    return SRVGG(config).apply({"params": params}, jnp.asarray(image))  # pyright: ignore[reportReturnType]
