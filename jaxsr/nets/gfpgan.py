"""GFPGAN (Wang et al., arXiv:2101.04061): a U-Net gives a frozen StyleGAN2 its codes, and scales
and shifts half of its channels at every resolution.

After TencentARC/GFPGAN (Apache-2.0). Its plain convolutions and its linear interpolation are those
of the clean networks (1.2 to 1.4). Those of version 1, with `fir`, differ in the filter; what their
layers multiply with is in the kernels here. One departure: fresh scales are 1 and fresh shifts 0,
so that training begins with pictures of the frozen generator.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsr.nets import own_generator, style_based, stylegan2
from jaxsr.nets.conv_layers import Conv, conv, lrelu
from jaxsr.nets.progressive import means
from jaxsr.nets.style_based import Between
from jaxsr.types import Params, PRNGKey

# (codes [layers, w_dim], what happens to the map between the convolutions of a resolution) -> the
# image [H, W, 3] in [-1, 1].
Bank = Callable[[jax.Array, Between], jax.Array]
# {side: (scale [side, side, c], shift)} of a generator's last c channels.
Conditions = dict[int, tuple[jax.Array, jax.Array]]
PARTS = ("scale", "shift")
# Two halves of a residual block, which together keep a map's size: PyTorch's default would shrink
# it, and He's double it, block by block.
BRANCH = nn.initializers.variance_scaling(1.0, "fan_in", "normal")
SKIP = nn.initializers.variance_scaling(0.5, "fan_in", "normal")


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes.

    Attributes:
        widths: channels of the U-Net at 4, 8, ..., `side` pixels, and so how many of the
            generator's are scaled and shifted at each: half of them in the official networks.
        layers: codes of the generator.
        w_dim: numbers of each code.
        fir: whether maps are halved by the filter [1, 3, 3, 1], and doubled so in a generator of
            its own, as in version 1.
        generator_widths: channels of a generator of its own at 4, 8, ..., `side` pixels; none: it
            is around a prior's.
        mapping_layers: of its own generator's mapping network, which nothing here needs.
        dtype: what the convolutions compute in, "float32" or "bfloat16"; parameters stay float32.
    """

    widths: tuple[int, ...]
    layers: int
    w_dim: int
    fir: bool = False
    generator_widths: tuple[int, ...] = ()
    mapping_layers: int = 8
    dtype: str = "float32"

    def __post_init__(self):
        if min(self.widths, default=0) < 1 or len(self.widths) < 2:
            raise ValueError(f"expected widths for 4, 8, ... pixels, got {self.widths}")
        own = self.generator_widths
        if own and (
            len(own) != len(self.widths)
            or self.layers != 2 * len(own)
            or any(mine < width for mine, width in zip(own, self.widths, strict=True))
        ):
            raise ValueError(
                f"expected a generator of at least the widths {self.widths} and 2 codes for each, "
                f"got {own} and {self.layers} codes"
            )

    @property
    def side(self) -> int:
        """Of the images that it reads."""
        return 4 << (len(self.widths) - 1)


def _point(features: int, name: str, dtype: str) -> Conv:
    """A 1 x 1 convolution."""
    return Conv(features, dtype, side=1, name=name)


def _skip(features: int, dtype: str) -> Conv:
    """What goes around a residual block."""
    return Conv(features, dtype, kernel_init=SKIP, side=1, use_bias=False, name="skip")


class FilteredConv(nn.Module):
    """The filter, then a 3 x 3 convolution of stride 2; [r, r, c] -> [r / 2, r / 2, features]."""

    features: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", BRANCH, (3, 3, x.shape[-1], self.features)).astype(self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
        return stylegan2.conv_down(x.astype(self.dtype)[None], kernel)[0] + bias


class Down(nn.Module):
    """Residual block: [r, r, c] -> [r / 2, r / 2, features]."""

    features: int
    fir: bool
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = lrelu(conv(x.shape[-1], "conv1", self.dtype)(x))
        if self.fir:
            y = FilteredConv(self.features, self.dtype, name="conv2")(y)
        else:
            y = conv(self.features, "conv2", self.dtype, init=BRANCH)(means(y[None])[0])
        half = (stylegan2.downsample if self.fir else means)(x[None])[0]
        return lrelu(y) + _skip(self.features, self.dtype)(half)


class Up(nn.Module):
    """Residual block: [r, r, c] -> [2 r, 2 r, features]."""

    features: int
    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = lrelu(conv(x.shape[-1], "conv1", self.dtype)(x))
        y, x = stylegan2.upsample(jnp.stack([y, x]), linear=True)
        y = lrelu(conv(self.features, "conv2", self.dtype, init=BRANCH)(y))
        return y + _skip(self.features, self.dtype)(x)


class Condition(nn.Module):
    """Two convolutions that make a scale or a shift of a map; [r, r, c] -> [r, r, c]."""

    dtype: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = lrelu(conv(x.shape[-1], "conv1", self.dtype)(x))
        return conv(x.shape[-1], "conv2", self.dtype, init=nn.initializers.zeros)(x)


class UNet(nn.Module):
    """An image [side, side, 3] in [-1, 1] -> the codes [layers, w_dim], the conditions, and the
    images [r, r, 3] in [-1, 1] at 8, 16, ..., side pixels, which training alone looks at."""

    config: Config

    @nn.compact
    def __call__(self, image: jax.Array) -> tuple[jax.Array, Conditions, list[jax.Array]]:
        config, dtype = self.config, self.config.dtype
        x = lrelu(_point(config.widths[-1], "first", dtype)(image))
        skips, conditions, images = [], {}, []
        for width in config.widths[-2::-1]:
            x = Down(width, config.fir, dtype, name=f"down{x.shape[0] // 2}")(x)
            skips.append(x)
        x = lrelu(conv(config.widths[0], "last", dtype)(x))
        codes = nn.Dense(config.layers * config.w_dim, name="codes")(x.astype(jnp.float32).ravel())
        for width in config.widths[1:]:
            side = 2 * x.shape[0]
            x = Up(width, dtype, name=f"up{side}")(x + skips.pop())
            scale, shift = (Condition(dtype, name=f"{part}{side}")(x) for part in PARTS)
            conditions[side] = 1 + scale, shift
            images.append(_point(3, f"rgb{side}", dtype)(x).astype(jnp.float32))
        return codes.reshape(config.layers, config.w_dim), conditions, images


def modulated(conditions: Conditions, x: jax.Array) -> jax.Array:
    """A generator's map [r, r, c] whose last channels are scaled and shifted by the conditions of
    its side; the others stay (the paper's channel-split spatial feature transform)."""
    scale, shift = conditions[x.shape[0]]
    kept, changed = jnp.split(x, [x.shape[-1] - scale.shape[-1]], axis=-1)
    return jnp.concatenate([kept, changed * scale + shift], -1).astype(x.dtype)


def stages(
    config: Config, params: Params, image: jax.Array, bank: Bank
) -> tuple[jax.Array, list[jax.Array]]:
    """The restored image of `restored`, and the U-Net's own images [r, r, 3] at 8, 16, ..., side
    pixels, which the pyramid loss of the paper compares with the photo."""
    codes, conditions, images = style_based.apply(UNet(config), params["unet"], image)
    return bank(codes, functools.partial(modulated, conditions)), images


def restored(
    config: Config, params: Params, image: jax.Array, bank: Bank | None = None
) -> jax.Array:
    """The restored image [side, side, 3] in [-1, 1] of an image [side, side, 3] in [-1, 1].

    Args:
        config: the sizes.
        params: as `init` returns them.
        image: the photo, enlarged to the restored image's side.
        bank: the frozen generator around which the network is. None: its own, with the noise of
            its file.
    """
    return stages(config, params, image, bank or generator(config, params))[0]


def _sizes(config: Config) -> stylegan2.Config:
    return own_generator.sizes(config, config.generator_widths, config.w_dim)


def _synthesis(config: Config) -> stylegan2.Synthesis:
    return stylegan2.Synthesis(_sizes(config), stylegan2.Variant(linear=not config.fir))


def generator(config: Config, params: Params, key: PRNGKey | None = None) -> Bank:
    """The generator of its own, with the noise of its file, or with fresh noise of a key, as the
    official network restores.

    Raises:
        ValueError: it has none.
    """
    if not config.generator_widths:
        raise ValueError("expected a GFPGAN with a generator of its own, got one around a prior's")
    sizes, own = _sizes(config), params["generator"]
    noise = tuple(own["noise"]) if key is None else style_based.random_noise(key, sizes)

    def bank(codes: jax.Array, between: Between) -> jax.Array:
        whole = ((None, None), 0, None)
        net = _synthesis(config)
        return style_based.apply(net, own["synthesis"], codes, noise, *whole, between)[1]

    return bank


def init(key: PRNGKey, config: Config) -> Params:
    """Fresh parameters {"unet"}, and {"generator": {"mapping", "synthesis", "noise"}} where it has
    one of its own."""
    unet_key, generator_key = jax.random.split(key)
    image = jnp.zeros((config.side, config.side, 3))
    params = {"unet": UNet(config).init(unet_key, image)["params"]}
    if not config.generator_widths:
        return params
    begun = style_based.deviations(generator_key, _sizes(config), _synthesis(config))
    return params | {"generator": style_based.randomise(generator_key, begun)}
