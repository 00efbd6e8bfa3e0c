"""The encoder of a low-resolution image that GLEAN and LAREN begin with: residual-in-residual dense blocks, then halvings down to a code.

After mmagic's `GLEANStyleGANv2` (Apache-2.0; arXiv:2012.00739) and ESRGAN's blocks (arXiv:1809.00219).
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

KAIMING = nn.initializers.variance_scaling(2 * 0.1**2, "fan_in", "normal")  # ESRGAN's: He's, times 0.1
UNIFORM = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")  # what PyTorch's layers begin with


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of an encoder.

    Attributes:
        side: of the images that it reads, 4 times a power of two.
        widths: channels at 4, 8, ..., `side` pixels: those of the generator.
        outputs: numbers in the code.
        blocks: residual-in-residual dense blocks; width, growth: their channels, and what each of their layers adds.
        dtype: what the convolutions compute in, "float32" or "bfloat16"; parameters stay float32.
    """

    side: int
    widths: tuple[int, ...]
    outputs: int
    blocks: int = 23
    width: int = 64
    growth: int = 32
    dtype: str = "float32"

    def __post_init__(self):
        if self.side != 4 << (len(self.widths) - 1):
            raise ValueError(f"expected a width for 4, 8, ..., {self.side} pixels, got {len(self.widths)} widths")


def conv(features: int, name: str, dtype: str, *, stride: int = 1, init: nn.initializers.Initializer = UNIFORM) -> nn.Conv:
    """3 x 3, zeros around the image; [h, w, c] -> [h / stride, w / stride, features]."""
    return nn.Conv(features, (3, 3), stride, ((1, 1), (1, 1)), dtype=dtype, kernel_init=init, name=name)


def lrelu(x: jax.Array) -> jax.Array:
    """Leaky ReLU of slope 0.2."""
    return nn.leaky_relu(x, 0.2)


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees what all before it gave; [h, w, c] -> [h, w, c]."""

    growth: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        seen = x
        for i in range(4):
            seen = jnp.concatenate([seen, lrelu(conv(self.growth, f"conv{i}", self.dtype, init=KAIMING)(seen))], -1)
        return x + 0.2 * conv(x.shape[-1], "conv4", self.dtype, init=KAIMING)(seen)


class Trunk(nn.Module):
    """ESRGAN's feature extractor; [h, w, c] -> [h, w, width]."""

    config: Config

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        first = x = conv(self.config.width, "first", self.config.dtype)(image)
        for i in range(self.config.blocks):
            y = x
            for j in range(3):
                y = DenseBlock(self.config.growth, self.config.dtype, name=f"block{i}_{j}")(y)
            x = x + 0.2 * y
        return first + conv(self.config.width, "last", self.config.dtype)(x)


class Encoder(nn.Module):
    """An image [side, side, c] in [-1, 1] -> the code [outputs], and the maps [r, r, widths] at 4, 8, ..., side pixels."""

    config: Config

    @nn.compact
    def __call__(self, image: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        config, dtype = self.config, self.config.dtype
        x = lrelu(conv(config.widths[-1], "head", dtype)(Trunk(config, name="trunk")(image)))
        maps = [x]
        for width in config.widths[-2::-1]:
            side = x.shape[0] // 2
            x = lrelu(conv(width, f"down{side}", dtype, stride=2)(x))
            x = lrelu(conv(width, f"conv{side}", dtype)(x))
            maps.append(x)
        x = lrelu(conv(config.widths[0], "conv", dtype)(x)).astype(jnp.float32)
        return nn.Dense(config.outputs, kernel_init=UNIFORM, name="code")(x.ravel()), maps[::-1]
