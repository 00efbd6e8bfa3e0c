"""ESRGAN's network: residual-in-residual dense blocks, then enlargements by 2 (Wang et al.,
arXiv:1809.00219); Real-ESRGAN's with the pixels unshuffled first (arXiv:2107.10833).

After ESRGAN and BasicSR (Apache-2.0). Departures: all biases begin as zeros, and an image whose
sides `unshuffle` does not divide is reflected at its end, as Real-ESRGAN's inference does.
GLEAN and LAREN begin with `Trunk` too.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsr.nets.conv_layers import HE, TORCH, conv, lrelu, repeated, unshuffled
from jaxsr.types import Drawn, Image, Params, PRNGKey

# ESRGAN's: He's, times 0.1.
KAIMING = nn.initializers.variance_scaling(2 * 0.1**2, "fan_in", "normal")
CHANNELS = 3


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes; those of the official 4x networks by default.

    Attributes:
        blocks: residual-in-residual dense blocks.
        width: channels of all maps between blocks.
        growth: channels that each layer of a dense block adds.
        ups: how often the map is enlarged by 2 at the end.
        unshuffle: side of the squares of pixels that become one pixel first, 1, 2 or 4: the
            official 2x network has 2, and the same 2 ups.
        dtype: what the convolutions compute in, "float32" or "bfloat16"; parameters stay float32.
    """

    blocks: int = 23
    width: int = 64
    growth: int = 32
    ups: int = 2
    unshuffle: int = 1
    dtype: str = "float32"

    def __post_init__(self):
        for name, least in {"blocks": 1, "width": 1, "growth": 1, "ups": 0}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.unshuffle not in (1, 2, 4) or self.unshuffle > 2**self.ups:
            raise ValueError(
                f"expected an unshuffle of 1, 2 or 4, and at most {2**self.ups} with "
                f"{self.ups} ups, got {self.unshuffle}"
            )

    @property
    def factor(self) -> int:
        """How much larger the result is than the image."""
        return 2**self.ups // self.unshuffle


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
    """All blocks in one residual, between two convolutions; [h, w, c] -> [h, w, width]."""

    blocks: int
    width: int
    growth: int
    dtype: str
    kernel_init: nn.initializers.Initializer = HE

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        first = conv(self.width, "first", self.dtype, init=self.kernel_init)(image)
        x, _ = scanned(Residual, self.blocks)(self.growth, self.dtype, name="blocks")(first, None)
        return first + conv(self.width, "last", self.dtype, init=self.kernel_init)(x)


class RRDBNet(nn.Module):
    """An image [h, w, 3] -> [h * factor, w * factor, 3]; `unshuffle` divides its sides."""

    config: Config

    @nn.compact
    def __call__(self, image: jax.Array) -> jax.Array:
        c = self.config
        x = Trunk(c.blocks, c.width, c.growth, c.dtype, TORCH, name="trunk")(
            unshuffled(image, c.unshuffle)
        )
        for i in range(c.ups):
            x = lrelu(conv(c.width, f"up{i}", c.dtype, init=TORCH)(repeated(x)))
        x = lrelu(conv(c.width, "hr", c.dtype, init=TORCH)(x))
        return conv(CHANNELS, "last", c.dtype, init=TORCH)(x).astype(jnp.float32)


def init(key: PRNGKey, config: Config) -> Params:
    """Fresh parameters {"trunk": {"first", "blocks", "last"}, "up0", ..., "hr", "last"}, as
    ESRGAN's first stage begins."""
    side = config.unshuffle
    return RRDBNet(config).init(key, jnp.zeros((side, side, CHANNELS)))["params"]


def restored(config: Config, params: Params, image: Image) -> Drawn:
    """The image [h * factor, w * factor, 3] of an image [h, w, 3], both nominally in [0, 1]; the
    result is not clipped."""
    h, w, _ = image.shape
    short = [-side % config.unshuffle for side in (h, w)]
    whole = jnp.pad(jnp.asarray(image), ((0, short[0]), (0, short[1]), (0, 0)), "reflect")
    made = jnp.asarray(RRDBNet(config).apply({"params": params}, whole))
    return made[: h * config.factor, : w * config.factor]
