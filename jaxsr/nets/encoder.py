"""The encoder of a low-resolution image that GLEAN and LAREN begin with: residual-in-residual dense
blocks, then halvings down to a code.

After mmagic's `GLEANStyleGANv2` (Apache-2.0; arXiv:2012.00739) and ESRGAN's blocks
(arXiv:1809.00219).
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsr.nets import convolution

# ESRGAN's: He's, times 0.1.
KAIMING = nn.initializers.variance_scaling(2 * 0.1**2, "fan_in", "normal")
# PyTorch's default beginning shrinks what a photo changes 2.4 times a layer, so that the first
# thousand steps would see nothing of it.
HE = nn.initializers.he_normal()


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


class Conv(nn.Module):
    """3 x 3 convolution with a bias, zeros around the image; [h, w, c] -> [h / stride, w / stride,
    features], of stride 1 or 2."""

    features: int
    dtype: str
    stride: int = 1
    kernel_init: nn.initializers.Initializer = HE

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", self.kernel_init, (3, 3, x.shape[-1], self.features)).astype(
            self.dtype
        )
        bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        x = x.astype(self.dtype)[None]
        if self.stride == 1:
            return convolution.conv(x, kernel, ((1, 1), (1, 1)))[0] + bias
        return convolution.conv(_blocks(x), _blocks_kernel(kernel), ((1, 0), (1, 0)))[0] + bias


def _blocks(x: jax.Array) -> jax.Array:
    """Each 2 x 2 pixels as one of 4 c channels: on these a convolution of stride 2 has stride 1,
    and the fast gradients of that."""
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).swapaxes(2, 3).reshape(n, h // 2, w // 2, 4 * c)


def _blocks_kernel(kernel: jax.Array) -> jax.Array:
    """[3, 3, c, d] -> [2, 2, 4 c, d] for `_blocks`: the block before the pixel, whose first half is
    not seen, and its own."""
    c, d = kernel.shape[2:]
    even = jnp.pad(kernel, ((1, 0), (1, 0), (0, 0), (0, 0)))
    return even.reshape(2, 2, 2, 2, c, d).swapaxes(1, 2).reshape(2, 2, 4 * c, d)


def conv(
    features: int, name: str, dtype: str, *, stride: int = 1, init: nn.initializers.Initializer = HE
) -> Conv:
    """A `Conv` of that name."""
    return Conv(features, dtype, stride, init, name=name)


def lrelu(x: jax.Array) -> jax.Array:
    """Leaky ReLU of slope 0.2."""
    return nn.leaky_relu(x, 0.2)


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees what all before it gave; [h, w, c] -> [h, w, c]. A body
    for `scanned`, as `Residual` is."""

    growth: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, None]:
        seen = x
        for i in range(4):
            seen = jnp.concatenate(
                [seen, lrelu(conv(self.growth, f"conv{i}", self.dtype, init=KAIMING)(seen))], -1
            )
        return x + 0.2 * conv(x.shape[-1], "conv4", self.dtype, init=KAIMING)(seen), None


class Residual(nn.Module):
    """Three dense blocks in one residual; [h, w, c] -> [h, w, c]."""

    growth: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, None]:
        y, _ = scanned(DenseBlock, 3)(self.growth, self.dtype, name="dense")(x, None)
        return x + 0.2 * y, None


def scanned(block: type[nn.Module], length: int) -> Callable[..., nn.Module]:
    """As many blocks one after the other, with parameters stacked along axis 0: compiled once,
    however many there are."""
    return nn.scan(block, variable_axes={"params": 0}, split_rngs={"params": True}, length=length)


class Trunk(nn.Module):
    """ESRGAN's feature extractor; [h, w, c] -> [h, w, width]."""

    config: Config

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        first = conv(self.config.width, "first", self.config.dtype)(image)
        x, _ = scanned(Residual, self.config.blocks)(
            self.config.growth, self.config.dtype, name="blocks"
        )(first, None)
        return first + conv(self.config.width, "last", self.config.dtype)(x)


class Encoder(nn.Module):
    """An image [side, side, c] in [-1, 1] -> the code [outputs], and the maps [r, r, widths] at 4,
    8, ..., side pixels."""

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
        return nn.Dense(config.outputs, name="code")(x.ravel()), maps[::-1]
