"""The encoder of a low-resolution image that GLEAN and LAREN begin with: residual-in-residual dense
blocks, then halvings down to a code.

After mmagic's `GLEANStyleGANv2` (Apache-2.0; arXiv:2012.00739) and ESRGAN's blocks
(arXiv:1809.00219).
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsr.nets.conv_layers import conv, lrelu
from jaxsr.nets.rrdb import Trunk


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of an encoder.

    Attributes:
        side: of the images that it reads, 4 times a power of two.
        widths: channels at 4, 8, ..., `side` pixels: those of the generator.
        outputs: numbers in the code.
        blocks: residual-in-residual dense blocks; width, growth: their channels, and what each of
            their layers adds.
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
        for name in ("blocks", "width", "growth"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.side != 4 << (len(self.widths) - 1):
            raise ValueError(
                f"expected a width for 4, 8, ..., {self.side} pixels, got {len(self.widths)} widths"
            )


class Encoder(nn.Module):
    """An image [side, side, c] in [-1, 1] -> the code [outputs], and the maps [r, r, widths] at 4,
    8, ..., side pixels."""

    config: Config

    @nn.compact
    def __call__(self, image: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        config, dtype = self.config, self.config.dtype
        trunk = Trunk(config.blocks, config.width, config.growth, dtype, name="trunk")
        x = lrelu(conv(config.widths[-1], "head", dtype)(trunk(image)))
        maps = [x]
        for width in config.widths[-2::-1]:
            side = x.shape[0] // 2
            x = lrelu(conv(width, f"down{side}", dtype, stride=2)(x))
            x = lrelu(conv(width, f"conv{side}", dtype)(x))
            maps.append(x)
        x = lrelu(conv(config.widths[0], "conv", dtype)(x)).astype(jnp.float32)
        return nn.Dense(config.outputs, name="code")(x.ravel()), maps[::-1]
