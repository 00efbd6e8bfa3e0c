"""FSRNet (Chen et al., arXiv:1711.10703): a coarse image, of which one branch encodes features and
another, of stacked hourglasses, tells the parts of the picture; a decoder joins both.

From the paper alone. Where it leaves a choice: the decoder gets the hourglasses' features, of which
the maps of parts are a linear readout, not the maps; kernels begin at a deviation of 0.02; zeros
lie around an image. Without landmarks or parsing maps by hand, the parts are classes of colours
(`parsed`): what is trained here is FSRNet-style, with pseudo-parsing.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jaxsr.nets import conv_layers
from jaxsr.nets.conv_layers import repeated
from jaxsr.types import Drawn, Image, Images, Params, PRNGKey

CHANNELS = 3
_EPS = 1e-5  # PyTorch's
_INIT = nn.initializers.normal(0.02)
_PARSING_BLOCKS = 2  # residual blocks before the hourglasses


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes; the paper's by default, with 11 classes of parsing maps.

    Attributes:
        width: channels of all maps but those of the parsing branch.
        parsing_width: channels of these.
        coarse_blocks: residual blocks of the coarse network, and of the decoder.
        encoder_blocks: residual blocks of the encoder.
        hourglasses: how many are stacked.
        levels: how often an hourglass halves its map.
        maps: classes of a pixel.
        centres: RGB in [0, 1] of the colour of each class (`parsed`); empty: they are not known.
        dtype: what the convolutions compute in, "float32" or "bfloat16"; parameters stay float32.
    """

    width: int = 64
    parsing_width: int = 128
    coarse_blocks: int = 3
    encoder_blocks: int = 12
    hourglasses: int = 2
    levels: int = 3
    maps: int = 11
    centres: tuple[tuple[float, ...], ...] = ()
    dtype: str = "float32"

    def __post_init__(self):
        least = {"width": 1, "parsing_width": 2, "coarse_blocks": 1, "encoder_blocks": 1}
        for name, number in (least | {"hourglasses": 1, "levels": 1, "maps": 1}).items():
            if getattr(self, name) < number:
                raise ValueError(f"{name} must be at least {number}, got {getattr(self, name)}")
        if self.parsing_width % 2:
            raise ValueError(f"parsing_width must be even, got {self.parsing_width}")
        if self.centres and [len(centre) for centre in self.centres] != self.maps * [CHANNELS]:
            raise ValueError(f"expected an RGB of each of {self.maps} classes, got {self.centres}")

    @property
    def multiple(self) -> int:
        """What divides the sides of the images."""
        return 2 << self.levels


class Stages(NamedTuple):
    """What the networks make of images [n, h, w, 3].

    Attributes:
        restored: [n, h, w, 3].
        coarse: [n, h, w, 3].
        maps: of the parts, [n, h / 2, w / 2, maps].
        statistics: means and variances of these images, in place of params["statistics"].
    """

    restored: Images
    coarse: Images
    maps: jax.Array
    statistics: Params


class Norm(nn.Module):
    """Batch normalisation of [..., c]: by the kept mean and variance, or in training by those of
    all pixels at hand, which are then kept."""

    training: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width, x = x.shape[-1:], x.astype(jnp.float32)
        mean = self.variable("statistics", "mean", jnp.zeros, width)
        var = self.variable("statistics", "var", jnp.ones, width)
        if self.training:
            axes = tuple(range(x.ndim - 1))
            mean.value, var.value = x.mean(axes), x.var(axes)
        scale = self.param("scale", nn.initializers.ones, width)
        bias = self.param("bias", nn.initializers.zeros, width)
        return (x - mean.value) * lax.rsqrt(var.value + _EPS) * scale + bias


def _conv(
    features: int, name: str, dtype: str, side: int = 3, stride: int = 1, bias: bool = False
) -> conv_layers.Conv:
    return conv_layers.Conv(features, dtype, stride, _INIT, side, bias, name=name)


class Activated(nn.Module):
    """Convolution, batch normalisation, ReLU: [..., h, w, c] -> [..., h / stride, w / stride,
    features]."""

    features: int
    dtype: str
    training: bool
    side: int = 3
    stride: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = _conv(self.features, "conv", self.dtype, self.side, self.stride)(x)
        return nn.relu(Norm(self.training, name="norm")(x))


class Residual(nn.Module):
    """Two convolutions, each normalised, added to their input; a body of `nn.scan`."""

    dtype: str
    training: bool

    @nn.compact
    def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, None]:
        y = Activated(x.shape[-1], self.dtype, self.training, name="first")(x)
        y = _conv(x.shape[-1], "conv", self.dtype)(y)
        return x + Norm(self.training, name="norm")(y), None


class Bottleneck(nn.Module):
    """Three convolutions, the middle one of half the channels, each behind a normalisation and a
    ReLU (He et al., arXiv:1603.05027): [..., h, w, c] -> [..., h, w, features]."""

    features: int
    dtype: str
    training: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y, half = x, self.features // 2
        for i, (width, side) in enumerate(((half, 1), (half, 3), (self.features, 1))):
            y = nn.relu(Norm(self.training, name=f"norm{i}")(y))
            y = _conv(width, f"conv{i}", self.dtype, side, bias=True)(y)
        if x.shape[-1] != self.features:
            x = _conv(self.features, "skip", self.dtype, 1, bias=True)(x)
        return x + y


class Hourglass(nn.Module):
    """Halves a map `levels` times and doubles it as often, adding what was at each size (Newell et
    al., arXiv:1603.06937); a body of `nn.scan`."""

    levels: int
    dtype: str
    training: bool

    @nn.compact
    def __call__(self, x: jax.Array, _: None) -> tuple[jax.Array, None]:
        def block(name: str, x: jax.Array) -> jax.Array:
            return Bottleneck(x.shape[-1], self.dtype, self.training, name=name)(x)

        kept = []
        for i in range(self.levels):
            kept.append(block(f"keep{i}", x))
            x = block(f"down{i}", _largest(x))
        x = block("middle", x)
        for i in reversed(range(self.levels)):
            x = kept[i] + repeated(block(f"up{i}", x))
        return x, None


def _largest(x: jax.Array) -> jax.Array:
    """[..., h, w, c] -> maxima of 2 x 2 pixels."""
    *lead, h, w, c = x.shape
    return x.reshape(*lead, h // 2, 2, w // 2, 2, c).max((-4, -2))


def _spread(x: jax.Array) -> jax.Array:
    """[..., h, w, c] -> [..., 2 h, 2 w, c], zeros behind each pixel: a convolution of it is the
    transposed one of stride 2."""
    *lead, h, w, c = x.shape
    around = jnp.pad(x[..., :, None, :, None, :], [*[(0, 0)] * len(lead), *_BEHIND])
    return around.reshape(*lead, 2 * h, 2 * w, c)


_BEHIND = ((0, 0), (0, 1), (0, 0), (0, 1), (0, 0))


class FSRNet(nn.Module):
    """Images [..., h, w, 3] -> the restored one, the coarse one, and the maps of the parts."""

    config: Config
    training: bool

    @nn.compact
    def __call__(self, image: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        c = self.config
        x = self._blocks(c.coarse_blocks, "coarse", self._activated(c.width, "coarse_in", image))
        coarse = _conv(CHANNELS, "coarse_out", c.dtype)(x).astype(jnp.float32)
        parts = self._parsing(coarse)
        maps = _conv(c.maps, "maps", c.dtype, 1, bias=True)(parts).astype(jnp.float32)
        x = self._activated(c.width, "encoder_in", coarse, stride=2)
        x = self._blocks(c.encoder_blocks, "encoder", x)
        x = jnp.concatenate([_conv(c.width, "encoder_out", c.dtype)(x), parts], -1)
        x = self._activated(c.width, "decoder_in", x)
        x = self._activated(c.width, "decoder_up", _spread(x))
        x = self._blocks(c.coarse_blocks, "decoder", x)
        restored = _conv(CHANNELS, "decoder_out", c.dtype)(x).astype(jnp.float32)
        return restored, coarse, maps

    def _parsing(self, coarse: jax.Array) -> jax.Array:
        c = self.config
        x = self._activated(c.width, "parsing_in", coarse, side=7, stride=2)
        x = Bottleneck(c.parsing_width, c.dtype, self.training, name="parsing_widen")(x)
        x = self._blocks(_PARSING_BLOCKS, "parsing", x)
        stacked = _scanned(Hourglass, c.hourglasses)
        return stacked(c.levels, c.dtype, self.training, name="hourglasses")(x, None)[0]

    def _activated(
        self, features: int, name: str, x: jax.Array, side: int = 3, stride: int = 1
    ) -> jax.Array:
        dtype, training = self.config.dtype, self.training
        return Activated(features, dtype, training, side, stride, name=name)(x)

    def _blocks(self, count: int, name: str, x: jax.Array) -> jax.Array:
        return _scanned(Residual, count)(self.config.dtype, self.training, name=name)(x, None)[0]


def _scanned(block: type[nn.Module], length: int) -> type[nn.Module]:
    """As many blocks one after the other, arrays stacked along axis 0."""
    return nn.scan(
        block,
        variable_axes={"params": 0, "statistics": 0},
        split_rngs={"params": True},
        length=length,
    )


def init(key: PRNGKey, config: Config) -> Params:
    """Fresh parameters {"net", "statistics"}; the latter are means and variances that training
    keeps, of which there is no gradient."""
    side = config.multiple
    made = FSRNet(config, training=False).init(key, jnp.zeros((side, side, CHANNELS)))
    return {"net": made["params"], "statistics": made["statistics"]}


def restored(config: Config, params: Params, image: Image) -> Drawn:
    """The mended image [h, w, 3] of the bicubically enlarged image [h, w, 3], both nominally in
    [0, 1]; the result is not clipped. `config.multiple` divides the sides."""
    variables = {"params": params["net"], "statistics": params["statistics"]}
    return FSRNet(config, training=False).apply(variables, jnp.asarray(image))[0]  # pyright: ignore[reportReturnType]


def stages(config: Config, params: Params, images: Images) -> Stages:
    """All that training looks at, of enlarged images [n, h, w, 3], which are normalised by what
    they have in common."""
    variables = {"params": params["net"], "statistics": params["statistics"]}
    net = FSRNet(config, training=True)
    made, kept = net.apply(variables, jnp.asarray(images), mutable=["statistics"])
    return Stages(*made, kept["statistics"])  # pyright: ignore[reportCallIssue]


def parsed(config: Config, image: Image) -> jax.Array:
    """The pseudo-parsing maps of a photo [h, w, 3] in [0, 1]: [h / 2, w / 2, maps], 1 for the class
    whose colour is nearest to the mean of 2 x 2 pixels, 0 for the others.

    Raises:
        ValueError: the classes' colours are not known.
    """
    if not config.centres:
        raise ValueError("expected a network with colours of its classes, got one without")
    h, w, c = image.shape
    means = jnp.asarray(image).reshape(h // 2, 2, w // 2, 2, c).mean((1, 3))
    distances = jnp.sum((means[:, :, None] - jnp.asarray(config.centres)) ** 2, -1)
    return jax.nn.one_hot(distances.argmin(-1), config.maps)
