"""Discriminators of restorers: ESRGAN's, in VGG's style, one logit a photo (Wang et al.,
arXiv:1809.00219), and Real-ESRGAN's U-Net, one logit a pixel (arXiv:2107.10833).

After BasicSR (Apache-2.0). Batch normalisation uses the statistics of the batch alone, so real and
fake photos go through it apart from each other, as there. Departures: biases begin as zeros; the
VGG-style one takes photos of 8 px and any power of two from there.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from jaxsr.nets.conv_layers import TORCH, Conv, convolved, lrelu
from jaxsr.types import Images, Params, PRNGKey

CHANNELS = 3
UNET = "unet_discriminator"  # "architecture" in config.json of a converted `UNet`
SMALLEST = 4  # px: the side at which the VGG-style one ends
HIDDEN = 100
_BATCH_NORM_EPS, _UNIT_EPS = 1e-5, 1e-12  # PyTorch's
_HALVINGS = 3  # of the U-Net
_FIRST_STEPS = 15  # of the power iteration, as PyTorch begins


@dataclasses.dataclass(frozen=True)
class Vgg:
    """Sizes of the VGG-style discriminator; the official one of 128 px by default.

    Attributes:
        side: of the photos, 8 px or a larger power of two.
        width: channels of the first layers; they double three times as the side halves.
        dtype: what the convolutions compute in, "float32" or "bfloat16"; parameters stay float32.
    """

    side: int = 128
    width: int = 64
    dtype: str = "float32"

    def __post_init__(self):
        if self.side < 2 * SMALLEST or self.side & (self.side - 1):
            raise ValueError(f"expected a side of 8, 16, 32, ... px, got {self.side}")
        if self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at side, side / 2, ..., 8 px."""
        halvings = (self.side // SMALLEST).bit_length() - 1
        return tuple(self.width << min(i, 3) for i in range(halvings))


@dataclasses.dataclass(frozen=True)
class UNet:
    """Sizes of the U-Net with spectral normalisation; the official one by default.

    Attributes:
        width: channels of the first layer; they double three times as the side halves.
        dtype: what the convolutions compute in, "float32" or "bfloat16"; parameters stay float32.
    """

    width: int = 64
    dtype: str = "float32"

    def __post_init__(self):
        if self.width < 1:
            raise ValueError(f"width must be at least 1, got {self.width}")

    @property
    def side(self) -> int:
        """The least side of the photos, which divides every other."""
        return 1 << _HALVINGS


Config = Vgg | UNet
# Logits [n], or one for each pixel [n, h, w], and the maps [n, r, r, c] behind them.
Judged = tuple[jax.Array, list[jax.Array]]


class BatchNorm(nn.Module):
    """Each channel of [n, h, w, c] less its mean and divided by its deviation, then a learned scale
    and bias."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width, x = x.shape[-1:], x.astype(jnp.float32)
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        scale = self.param("scale", nn.initializers.ones, width)
        bias = self.param("bias", nn.initializers.zeros, width)
        return (x - mean) * lax.rsqrt(var + _BATCH_NORM_EPS) * scale + bias


class VggStyle(nn.Module):
    """Photos [n, side, side, 3] -> logits [n], and the maps behind each halving."""

    config: Vgg

    @nn.compact
    def __call__(self, x: jax.Array) -> Judged:
        dtype, maps = self.config.dtype, []
        for i, width in enumerate(self.config.widths):
            keep = Conv(width, dtype, 1, TORCH, use_bias=i == 0, name=f"keep{i}")
            halve = Conv(width, dtype, 2, TORCH, side=4, use_bias=False, name=f"halve{i}")
            x = keep(x)
            x = lrelu(BatchNorm(name=f"keep{i}_norm")(x) if i else x)
            x = lrelu(BatchNorm(name=f"halve{i}_norm")(halve(x)))
            maps.append(x)
        x = x.reshape(len(x), -1).astype(jnp.float32)
        x = lrelu(nn.Dense(HIDDEN, kernel_init=TORCH, name="hidden")(x))
        return nn.Dense(1, kernel_init=TORCH, name="logit")(x)[:, 0], maps


class SpectralConv(nn.Module):
    """Convolution without a bias, its kernel divided by the largest singular value that `u` and `v`
    tell (`iterated`)."""

    features: int
    dtype: str
    stride: int = 1
    side: int = 3

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.side, self.side, x.shape[-1], self.features)
        kernel = self.param("kernel", TORCH, shape)
        normal, inputs = nn.initializers.normal(1.0), self.side**2 * x.shape[-1]
        u = lax.stop_gradient(self.param("u", normal, (self.features,)))
        v = lax.stop_gradient(self.param("v", normal, (inputs,)))
        largest = jnp.einsum("i,io,o->", v, _matrix(kernel), u, precision="highest")
        kernel = (kernel / largest).astype(self.dtype)
        return convolved(x.astype(self.dtype), kernel, self.stride)


class UNetSN(nn.Module):
    """Photos [n, h, w, 3] -> logits [n, h, w], and the maps of the halving way and of the doubling
    one; sides that 8 divides."""

    config: UNet

    @nn.compact
    def __call__(self, x: jax.Array) -> Judged:
        width, dtype = self.config.width, self.config.dtype
        x = lrelu(Conv(width, dtype, 1, TORCH, name="first")(x))
        maps = [x]
        for i in range(_HALVINGS):
            x = lrelu(SpectralConv(2 * x.shape[-1], dtype, 2, 4, name=f"down{i}")(x))
            maps.append(x)
        for i, skip in enumerate(maps[-2::-1]):
            x = lrelu(SpectralConv(skip.shape[-1], dtype, name=f"up{i}")(_doubled(x))) + skip
            maps.append(x)
        for i in range(2):
            x = lrelu(SpectralConv(width, dtype, name=f"end{i}")(x))
        return Conv(1, dtype, 1, TORCH, name="last")(x)[..., 0].astype(jnp.float32), maps


_NETWORKS = {Vgg: VggStyle, UNet: UNetSN}


def init(key: PRNGKey, config: Config) -> Params:
    """Fresh parameters: of `Vgg` {"keep0", "halve0", "halve0_norm", "keep1", "keep1_norm", ...,
    "hidden", "logit"}, of `UNet` {"first", "down0", ..., "up0", ..., "end0", "end1", "last"}."""
    photos = jnp.zeros((1, config.side, config.side, CHANNELS))
    params = _NETWORKS[type(config)](config).init(key, photos)["params"]
    return lax.fori_loop(0, _FIRST_STEPS, lambda _, params: iterated(params), params)


def logits(config: Config, params: Params, images: Images) -> jax.Array:
    """How real photos [n, h, w, 3] in [0, 1] look: [n] of `Vgg`, [n, h, w] of `UNet`. All real, or
    all fake."""
    return judged(config, params, images)[0]


def judged(config: Config, params: Params, images: Images) -> Judged:
    """`logits`, and the maps [n, r, r, c] behind them."""
    net = _NETWORKS[type(config)](config)
    return net.apply({"params": params}, jnp.asarray(images))  # pyright: ignore[reportReturnType]


def iterated(params: Params) -> Params:
    """One step of the power iteration of every spectral normalisation, which goes before each pass
    of training; `Vgg` has none.

    `u` and `v` have no gradient, so an optimiser without weight decay leaves them as they are.
    """
    if not isinstance(params, dict):
        return params
    if "u" not in params:
        return {name: iterated(branch) for name, branch in params.items()}
    matrix = lax.stop_gradient(_matrix(params["kernel"]))
    v = _unit(jnp.dot(matrix, params["u"], precision="highest"))
    return params | {"u": _unit(jnp.dot(v, matrix, precision="highest")), "v": v}


def _matrix(kernel: jax.Array) -> jax.Array:
    """[k, k, c, d] -> [k k c, d]."""
    return kernel.reshape(-1, kernel.shape[-1])


def _unit(vector: jax.Array) -> jax.Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), _UNIT_EPS)


def _doubled(x: jax.Array) -> jax.Array:
    """[n, h, w, c] -> [n, 2 h, 2 w, c], bilinear."""
    n, h, w, c = x.shape
    return jax.image.resize(x, (n, 2 * h, 2 * w, c), "linear")
