"""GLEAN (arXiv:2012.00739): the image itself from an encoder, the frozen generator as a bank of
features between, and a decoder.

After mmagic's `GLEANStyleGANv2` (Apache-2.0). Departures: its codes are relative to w's mean and
deviation; and it does not fuse the images between the generator's blocks (`fusion_skip`), on which
no output depends.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsr.nets import encoder
from jaxsr.nets.conv_layers import conv, lrelu, shuffled
from jaxsr.nets.encoder import Encoder
from jaxsr.types import Params, PRNGKey

Cut = tuple[jax.Array | None, jax.Array | None]
# (codes [N, w_dim], what lies before the block, its number) -> what lies behind it.
Bank = Callable[[jax.Array, Cut, int], Cut]
HEAD = 64  # channels before the image


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes.

    Attributes:
        encoder: ends in `layers` codes; its widths are the generator's.
        layers: codes of the generator.
        widths: channels of the generator at 4, 8, ... pixels, all of them.
    """

    encoder: encoder.Config
    layers: int
    widths: tuple[int, ...]

    def __post_init__(self):
        if self.encoder.outputs % self.layers:
            raise ValueError(
                f"expected a multiple of {self.layers} outputs of the encoder, got "
                f"{self.encoder.outputs}"
            )
        if self.widths[: len(self.encoder.widths)] != self.encoder.widths:
            raise ValueError(
                f"expected the encoder to begin as the generator's {self.widths}, got "
                f"{self.encoder.widths}"
            )


class Fuse(nn.Module):
    """A map beside another: [r, r, c] and [r, r, d] -> [r, r, c]."""

    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array, beside: jax.Array) -> jax.Array:
        return conv(x.shape[-1], "conv", self.dtype)(
            jnp.concatenate([x, beside.astype(x.dtype)], -1)
        ).astype(x.dtype)


class Glean(nn.Module):
    """An image [side, side, c] in [-1, 1] and the generator's blocks -> the restored image [H, W,
    3] in [-1, 1]."""

    config: Config

    @nn.compact
    def __call__(self, image: jax.Array, bank: Bank) -> jax.Array:
        config, dtype = self.config, self.config.encoder.dtype
        code, maps = Encoder(config.encoder, name="encoder")(image)
        codes, cut, finer = code.reshape(config.layers, -1), (None, None), []
        for i in range(len(config.widths)):
            if cut[0] is not None and i <= len(maps):
                cut = Fuse(dtype, name=f"fuse{i}")(cut[0], maps[i - 1]), cut[1]
            cut = bank(codes, cut, i)
            finer += [jnp.asarray(cut[0])] if i >= len(maps) else []
        x = maps[-1]
        for i, beside in enumerate(finer):
            x = shuffled(conv(4 * beside.shape[-1], f"up{i}", dtype)(x))
            x = jnp.concatenate([x, beside.astype(x.dtype)], -1)
        return conv(3, "rgb", dtype)(lrelu(conv(HEAD, "last", dtype)(x))).astype(jnp.float32)


def init(key: PRNGKey, config: Config, bank: Bank, channels: int = 3) -> Params:
    """Fresh parameters for images of that many channels and a generator of those blocks."""
    return Glean(config).init(
        key, jnp.zeros((config.encoder.side, config.encoder.side, channels)), bank
    )["params"]


def restored(config: Config, params: Params, image: jax.Array, bank: Bank) -> jax.Array:
    """The restored image [H, W, 3] in [-1, 1] of an image [side, side, c] in [-1, 1]."""
    return Glean(config).apply({"params": params}, image, bank)  # pyright: ignore[reportReturnType]
