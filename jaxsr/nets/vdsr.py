"""VDSR: what a chain of convolutions adds to the bicubically enlarged image (Kim et al.,
arXiv:1511.04587).

After the authors' demo in caffe-vdsr and pytorch-vdsr (both MIT). The paper's network sees and
mends luma alone; with 3 channels it is the same chain on RGB, no network of the paper.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxsr.nets.conv_layers import Conv
from jaxsr.types import Drawn, Image, Params, PRNGKey

# MATLAB's rgb2ycbcr of numbers in [0, 1]: BT.601 in studio range, not rounded.
_BLACK = 16 / 255
_WEIGHTS = np.array([65.481, 128.553, 24.966], np.float32) / 255
# What ycbcr2rgb adds to R, G and B where Y grows by 1 and Cb and Cr stay.
_RGB_OF_LUMA = 255 / 219


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes; the paper's by default.

    Attributes:
        layers: convolutions, the first and the last included.
        width: channels between them.
        channels: 1, luma, or 3, RGB.
        bias: whether the convolutions have biases; those of pytorch-vdsr have none.
        dtype: what the convolutions compute in, "float32" or "bfloat16"; parameters stay float32.
    """

    layers: int = 20
    width: int = 64
    channels: int = 1
    bias: bool = True
    dtype: str = "float32"

    def __post_init__(self):
        if self.layers < 3 or self.width < 1 or self.channels not in (1, 3):
            raise ValueError(
                "expected at least 3 layers and a width of 1, and 1 channel or 3, got "
                f"{self.layers} layers, a width of {self.width} and {self.channels} channels"
            )


class Layer(nn.Module):
    """Convolution and ReLU, as a body of `nn.scan`; [h, w, c] -> [h, w, width]."""

    config: Config

    @nn.compact
    def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, None]:
        c = self.config
        return nn.relu(Conv(c.width, c.dtype, use_bias=c.bias, name="conv")(x)), None


class VDSR(nn.Module):
    """[h, w, channels] -> what is to be added to it, [h, w, channels]."""

    config: Config

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        c = self.config
        x, _ = Layer(c, name="first")(x, None)
        middle = nn.scan(
            Layer, variable_axes={"params": 0}, split_rngs={"params": True}, length=c.layers - 2
        )
        x, _ = middle(c, name="middle")(x, None)
        return Conv(c.channels, c.dtype, use_bias=c.bias, name="last")(x).astype(jnp.float32)


def init(key: PRNGKey, config: Config) -> Params:
    """Fresh parameters {"first": {"conv"}, "middle": {"conv"}, "last"}; those of "middle" are
    stacked along axis 0. Kernels begin as He's, as in the paper."""
    return VDSR(config).init(key, jnp.zeros((1, 1, config.channels)))["params"]


def restored(config: Config, params: Params, image: Image) -> Drawn:
    """The mended image [h, w, 3] of the bicubically enlarged image [h, w, 3], both nominally in
    [0, 1]; the result is not clipped. A network of luma leaves Cb and Cr as they are."""
    image = jnp.asarray(image)
    luma = jnp.einsum("hwc,c->hw", image, _WEIGHTS, precision="highest")[..., None] + _BLACK
    seen = image if config.channels == 3 else luma
    added = jnp.asarray(VDSR(config).apply({"params": params}, seen))
    return image + (added if config.channels == 3 else _RGB_OF_LUMA * added)
