"""GPEN (Yang et al., arXiv:2105.06070): an encoder gives a StyleGAN2 its latent, and its feature
maps in place of noise.

From the paper, whose encoder's layers are those of StyleGAN2's discriminator. Around a prior's
generator the maps are added as noise is, so that a ready StyleGAN2 serves. A generator of its own
has them beside its maps, as the official files: that doubles what the next layer sees.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsr.nets import own_generator, style_based, stylegan2
from jaxsr.nets.style_based import Dense, lrelu
from jaxsr.types import Noise, Params, PRNGKey

# (latent z [z_dim], maps [r, r, c] in place of noise) -> the image [H, W, 3] in [-1, 1].
Bank = Callable[[jax.Array, Noise], jax.Array]
BESIDE = stylegan2.Variant(beside=True)


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes.

    Attributes:
        widths: channels of the encoder and of the generator at 4, 8, ..., `side` pixels.
        z_dim: numbers of z.
        w_dim: numbers of w, of a generator of its own.
        mapping_layers: of its own generator's mapping network; 0: it is around a prior's.
        dtype: what the convolutions compute in, "float32" or "bfloat16"; parameters stay float32.
    """

    widths: tuple[int, ...]
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 8
    dtype: str = "float32"

    def __post_init__(self):
        if min(self.widths, default=0) < 1:
            raise ValueError(f"expected widths for 4, 8, ... pixels, got {self.widths}")

    @property
    def side(self) -> int:
        """Of the images that it reads and makes."""
        return 4 << (len(self.widths) - 1)


class Encoder(nn.Module):
    """An image [side, side, 3] in [-1, 1] -> z [z_dim], and the maps that take the place of noise:
    one of 4 pixels, two of each size from 8 to side."""

    config: Config

    @nn.compact
    def __call__(self, image: jax.Array) -> tuple[jax.Array, Noise]:
        config = self.config
        x = image[None].astype(config.dtype)
        x = stylegan2.Conv(config.widths[-1], 1, name="first")(x)
        maps = [x[0]]
        for width in config.widths[-2::-1]:
            x = stylegan2.Conv(width, down=True, name=f"down{x.shape[1] // 2}")(x)
            maps.append(x[0])
        z = lrelu(Dense(config.z_dim, name="code")(x.astype(jnp.float32).ravel()))
        twice = tuple(each for each in maps[::-1] for _ in range(2))
        return z, twice[1:]


def restored(
    config: Config, params: Params, image: jax.Array, bank: Bank | None = None
) -> jax.Array:
    """The restored image [side, side, 3] in [-1, 1] of an image [side, side, 3] in [-1, 1].

    Args:
        config: the sizes.
        params: as `init` returns them.
        image: the photo, enlarged to the restored image's side.
        bank: the generator around which the network is. None: its own.
    """
    z, maps = style_based.apply(Encoder(config), params["encoder"], image)
    return (bank or generator(config, params))(z, maps)


def _sizes(config: Config) -> stylegan2.Config:
    return own_generator.sizes(config, config.widths, config.z_dim)


def generator(config: Config, params: Params) -> Bank:
    """The generator of its own.

    Raises:
        ValueError: it has none.
    """
    if not config.mapping_layers:
        raise ValueError("expected a GPEN with a generator of its own, got one around a prior's")
    sizes, own = _sizes(config), params["generator"]
    net = stylegan2.Synthesis(sizes, BESIDE)

    def bank(z: jax.Array, maps: Noise) -> jax.Array:
        w = style_based.mapping(sizes, own["mapping"], z)
        w_plus = jnp.broadcast_to(w, (sizes.num_layers, sizes.w_dim))
        return style_based.apply(net, own["synthesis"], w_plus, maps)[1]

    return bank


def init(key: PRNGKey, config: Config) -> Params:
    """Fresh parameters {"encoder"}, and {"generator": {"mapping", "synthesis"}} where it has one of
    its own."""
    encoder_key, generator_key = jax.random.split(key)
    image = jnp.zeros((config.side, config.side, 3))
    begun = {"encoder": Encoder(config).init(encoder_key, image)["params"]}
    if config.mapping_layers:
        sizes = _sizes(config)
        own = style_based.deviations(generator_key, sizes, stylegan2.Synthesis(sizes, BESIDE))
        begun["generator"] = {name: own[name] for name in ("mapping", "synthesis")}
    return style_based.randomise(key, begun)
