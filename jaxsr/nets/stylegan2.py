"""StyleGAN2 (Karras et al., arXiv:1912.04958): mapping, synthesis with skip RGB, residual discriminator, in the official numerics.

Networks speak [-1, 1] and HWC; `stylegan2` wraps them as a `Prior`, which speaks [0, 1]. Everything but the discriminator is written for
one sample. A style scales the input of ONE shared convolution and the output is demodulated, the same mathematics as per-sample weights,
so that vmap over latents stays one batched convolution. Resampling works on the four phases of a map, never on zero-filled ones.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from jaxsr.nets.convolution import conv, same
from jaxsr.priors import Info, Prior
from jaxsr.types import Noise, Params, PRNGKey

SQRT2 = float(np.sqrt(2))


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of a StyleGAN2. `channels` gives the width at 4, 8, 16, ... px; None: the official min(channel_base / r, channel_max).

    dtype: what the convolutions compute in, "float32" or "bfloat16"; parameters, styles, RGB and logits stay float32.
    """

    resolution: int = 1024
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 8
    mapping_lr: float = 0.01
    channel_base: int = 32768
    channel_max: int = 512
    channels: tuple[int, ...] | None = None
    mbstd_group: int = 4
    mbstd_channels: int = 1
    dtype: str = "float32"

    def __post_init__(self):
        if self.resolution < 4 or self.resolution & (self.resolution - 1):
            raise ValueError(f"resolution must be a power of two of at least 4, got {self.resolution}")
        if self.channels is not None and len(self.channels) != len(self.resolutions):
            raise ValueError(f"channels must give {len(self.resolutions)} widths for 4 to {self.resolution} px, got {self.channels}")

    @property
    def resolutions(self) -> tuple[int, ...]:
        return tuple(2**i for i in range(2, self.resolution.bit_length()))

    @property
    def num_layers(self) -> int:
        return 2 * len(self.resolutions)

    @property
    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        return tuple((r, r) for r in self.resolutions for _ in range(2))[1:]

    def width(self, resolution: int) -> int:
        if self.channels is not None:
            return self.channels[resolution.bit_length() - 3]
        return min(self.channel_base // resolution, self.channel_max)


def _lrelu(x: jax.Array, gain: float = SQRT2) -> jax.Array:
    return nn.leaky_relu(x, 0.2) * gain


def _pad(x: jax.Array, axis: int, before: int, after: int) -> jax.Array:
    widths = [(0, 0)] * x.ndim
    widths[axis] = (before, after)
    return jnp.pad(x, widths)


def _cut(x: jax.Array, axis: int, start: int, size: int, stride: int = 1) -> jax.Array:
    return lax.slice_in_dim(x, start, start + stride * (size - 1) + 1, stride, axis)


def _interleave(even: jax.Array, odd: jax.Array, axis: int) -> jax.Array:
    shape = list(even.shape)
    shape[axis] *= 2
    return jnp.stack([even, odd], axis + 1).reshape(shape)


def upsample(x: jax.Array) -> jax.Array:
    """Doubles [n, h, w, c] with the filter [1, 3, 3, 1], `upsample2d` of the original."""
    for axis in (1, 2):
        n = x.shape[axis]
        padded = _pad(x, axis, 1, 1)
        left, right = _cut(padded, axis, 0, n), _cut(padded, axis, 2, n)
        x = _interleave(0.25 * left + 0.75 * x, 0.75 * x + 0.25 * right, axis)
    return x


def downsample(x: jax.Array) -> jax.Array:
    """Halves [n, h, w, c] with the filter [1, 3, 3, 1] / 8, `downsample2d` of the original."""
    for axis in (1, 2):
        padded, n = _pad(x, axis, 1, 1), x.shape[axis] // 2
        a, b, c, d = (_cut(padded, axis, k, n, 2) for k in range(4))
        x = 0.125 * (a + d) + 0.375 * (b + c)
    return x


def _filter_phases(even: jax.Array, odd: jax.Array, axis: int) -> jax.Array:
    """[1, 3, 3, 1] / 4 over a signal given as its even (n + 1) and odd (n) samples, padded by one: 2 n samples."""
    n = odd.shape[axis]
    odd = _pad(odd, axis, 1, 1)
    even0, even1 = _cut(even, axis, 0, n), _cut(even, axis, 1, n)
    odd0, odd1, odd2 = (_cut(odd, axis, k, n) for k in range(3))
    return _interleave(0.25 * (odd0 + even1) + 0.75 * (even0 + odd1), 0.25 * (even0 + odd2) + 0.75 * (odd1 + even1), axis)


def conv_up(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Transposed 3x3 convolution of stride 2, then the filter: four small convolutions, one a phase, instead of one of a map of zeros."""
    flipped = kernel[::-1, ::-1]
    even_even = conv(x, flipped[0::2, 0::2], ((1, 1), (1, 1)))
    even_odd = conv(x, flipped[0::2, 1::2], ((1, 1), (0, 0)))
    odd_even = conv(x, flipped[1::2, 0::2], ((0, 0), (1, 1)))
    odd_odd = conv(x, flipped[1::2, 1::2], ((0, 0), (0, 0)))
    return _filter_phases(_filter_phases(even_even, odd_even, 1), _filter_phases(even_odd, odd_odd, 1), 2)


def conv_down(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The filter, then a 3x3 convolution of stride 2, as four convolutions of the filtered map's phases."""
    rows = _down_phases(x, 1)
    (ee, eo), (oe, oo) = (_down_phases(row, 2) for row in rows)
    even, odd, valid = slice(0, 3, 2), slice(1, 2), ((0, 0), (0, 0))
    y = conv(ee, kernel[even, even], valid) + conv(eo, kernel[even, odd], valid)
    return y + conv(oe, kernel[odd, even], valid) + conv(oo, kernel[odd, odd], valid)


def _down_phases(x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """The even (n/2 + 1) and odd (n/2) samples of x padded by two and filtered with [1, 3, 3, 1] / 8."""
    padded, n = _pad(x, axis, 2, 2), x.shape[axis] // 2
    taps = [_cut(padded, axis, k, n + 1, 2) for k in range(4)] + [_cut(padded, axis, 4, n, 2)]
    even = 0.125 * (taps[0] + taps[3]) + 0.375 * (taps[1] + taps[2])
    a, b, c = (_cut(tap, axis, 0, n) for tap in taps[1:4])
    return even, 0.125 * (a + taps[4]) + 0.375 * (b + c)


class Dense(nn.Module):
    """Equalised-learning-rate dense layer: kernel ~ N(0, 1 / lr), scaled by lr / sqrt(inputs) in the forward pass."""

    features: int
    lr: float = 1.0
    bias: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.constant(1 / self.lr), (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.constant(self.bias / self.lr), (self.features,))
        return x @ (kernel * (self.lr / np.sqrt(x.shape[-1]))) + bias * self.lr


class Mapping(nn.Module):
    """z [z_dim] -> w [w_dim]."""

    config: Config

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        x = z * lax.rsqrt(jnp.mean(z**2, -1, keepdims=True) + 1e-8)
        for i in range(self.config.mapping_layers):
            x = _lrelu(Dense(self.config.w_dim, self.config.mapping_lr, name=f"fc{i}")(x))
        return x


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU; x [h, w, c] -> [h, w, features], twice the side with `up`."""

    features: int
    up: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array, noise: jax.Array) -> jax.Array:
        inputs = x.shape[-1]
        style = Dense(inputs, bias=1.0, name="affine")(w)
        kernel = self.param("kernel", nn.initializers.ones, (3, 3, inputs, self.features))
        strength = self.param("noise_strength", nn.initializers.zeros, ())
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        # The kernel stays unscaled and the demodulation removes its size, as in the original.
        demodulation = lax.rsqrt((style**2) @ jnp.sum(kernel**2, (0, 1)) + 1e-8)
        modulated = (x * style.astype(x.dtype))[None]
        y = conv_up(modulated, kernel) if self.up else conv(modulated, kernel, same(kernel))
        y = y[0] * demodulation.astype(x.dtype) + (noise * strength).astype(x.dtype)[..., None] + bias.astype(x.dtype)
        return _lrelu(y)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to RGB, without demodulation."""

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        inputs = x.shape[-1]
        style = Dense(inputs, bias=1.0, name="affine")(w) / np.sqrt(inputs)
        kernel = self.param("kernel", nn.initializers.ones, (inputs, 3))
        bias = self.param("bias", nn.initializers.zeros, (3,))
        return jnp.einsum("hwc,cd->hwd", x, (style[:, None] * kernel).astype(x.dtype)).astype(jnp.float32) + bias


class SynthesisBlock(nn.Module):
    """One resolution: (x, rgb) at half the side -> (x, rgb). The first block starts from the learnt constant."""

    config: Config
    resolution: int

    @nn.compact
    def __call__(self, x: jax.Array | None, rgb: jax.Array | None, ws: jax.Array, noise: Noise) -> tuple[jax.Array, jax.Array]:
        width = self.config.width(self.resolution)
        if x is None or rgb is None:
            const = self.param("const", nn.initializers.ones, (4, 4, width))
            x = SynthesisLayer(width, name="conv1")(const.astype(self.config.dtype), ws[0], noise[0])
            return x, ToRGB(name="torgb")(x, ws[1])
        x = SynthesisLayer(width, up=True, name="conv0")(x, ws[0], noise[0])
        x = SynthesisLayer(width, name="conv1")(x, ws[1], noise[1])
        return x, upsample(rgb[None])[0] + ToRGB(name="torgb")(x, ws[2])


class Synthesis(nn.Module):
    """w_plus [num_layers, w_dim] and noise maps -> image [H, W, 3], nominally in [-1, 1]."""

    config: Config

    @nn.compact
    def __call__(self, w_plus: jax.Array, noise: Noise) -> jax.Array:
        x, rgb = SynthesisBlock(self.config, 4, name="b4")(None, None, w_plus[:2], noise[:1])
        for i, resolution in enumerate(self.config.resolutions[1:]):
            first = 2 * i + 1
            block = SynthesisBlock(self.config, resolution, name=f"b{resolution}")
            x, rgb = block(x, rgb, w_plus[first : first + 3], noise[first : first + 2])
        return rgb


class Conv(nn.Module):
    """Equalised-learning-rate convolution of the discriminator."""

    features: int
    size: int = 3
    down: bool = False
    bias: bool = True
    gain: float = SQRT2

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.ones, (self.size, self.size, x.shape[-1], self.features))
        kernel = kernel * (1 / np.sqrt(x.shape[-1] * self.size**2))
        if self.size == 1:
            x = (downsample(x) if self.down else x) @ kernel[0, 0].astype(x.dtype)
        else:
            x = conv_down(x, kernel) if self.down else conv(x, kernel, same(kernel))
        if not self.bias:
            return x * self.gain
        return _lrelu(x + self.param("bias", nn.initializers.zeros, (self.features,)).astype(x.dtype), self.gain)


class DiscriminatorBlock(nn.Module):
    """Residual block: [n, r, r, c] -> [n, r/2, r/2, c']."""

    config: Config
    resolution: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        width = self.config.width(self.resolution // 2)
        skip = Conv(width, 1, down=True, bias=False, gain=1 / SQRT2, name="skip")(x)
        x = Conv(self.config.width(self.resolution), name="conv0")(x)
        return skip + Conv(width, down=True, gain=1.0, name="conv1")(x)


def minibatch_std(x: jax.Array, group: int, channels: int) -> jax.Array:
    """Appends the standard deviation over groups of samples (strided as in the original) to [n, r, r, c]."""
    n, h, w, c = x.shape
    group = next(g for g in range(min(group, n), 0, -1) if n % g == 0)
    y = x.reshape(group, n // group, h, w, channels, c // channels).astype(jnp.float32)
    y = jnp.sqrt(jnp.mean((y - y.mean(0)) ** 2, 0) + 1e-8).mean((1, 2, 4))
    y = jnp.tile(y[:, None, None, :], (group, h, w, 1))
    return jnp.concatenate([x, y.astype(x.dtype)], -1)


class Discriminator(nn.Module):
    """images [n, H, W, 3] in [-1, 1] -> (logits [n], features after each block, finest first). It takes a batch: its minibatch statistic
    couples samples (largest group that divides n, at most `mbstd_group`)."""

    config: Config

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        config, features = self.config, []
        x = Conv(config.width(config.resolution), 1, name="fromrgb")(images.astype(config.dtype))
        for resolution in config.resolutions[:0:-1]:
            x = DiscriminatorBlock(config, resolution, name=f"b{resolution}")(x)
            features.append(x.astype(jnp.float32))
        x = minibatch_std(x, config.mbstd_group, config.mbstd_channels)
        x = Conv(config.width(4), name="conv")(x).astype(jnp.float32)
        x = _lrelu(Dense(config.width(4), name="fc")(x.reshape(x.shape[0], -1)))
        return Dense(1, name="out")(x)[:, 0], features


def _apply(net: nn.Module, params: Params, *inputs: Any) -> Any:
    return net.apply({"params": params}, *inputs)


def mapping(config: Config, params: Params, z: jax.Array) -> jax.Array:
    """z [..., z_dim] -> w [..., w_dim]; params as in params["mapping"]."""
    return _apply(Mapping(config), params, z)


def synthesis(config: Config, params: Params, w_plus: jax.Array, noise: Noise) -> jax.Array:
    """w_plus [num_layers, w_dim] and noise maps -> image [H, W, 3] in [-1, 1]; params as in params["synthesis"]."""
    return _apply(Synthesis(config), params, w_plus, noise)


def discriminator(config: Config, params: Params, images: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
    """images [n, H, W, 3] in [-1, 1] -> (logits [n], features after each block, finest first); params as in params["discriminator"]."""
    return _apply(Discriminator(config), params, images)


def init(key: PRNGKey, config: Config) -> Params:
    """Fresh parameters {"mapping", "synthesis", "noise", "discriminator", "statistics"} of a generator and its discriminator."""
    noise = [jnp.ones(shape) for shape in config.noise_shapes]
    w_plus = jnp.zeros((config.num_layers, config.w_dim))
    image = jnp.zeros((1, config.resolution, config.resolution, 3))
    statistics = ("w_mean", "w_std", "white_mean", "white_std")
    params = {
        "mapping": Mapping(config).init(key, jnp.zeros(config.z_dim))["params"],
        "synthesis": Synthesis(config).init(key, w_plus, noise)["params"],
        "noise": noise,
        "discriminator": Discriminator(config).init(key, image)["params"],
        "statistics": {name: jnp.zeros(config.w_dim) for name in statistics},
    }
    return _randomise(key, params)


def _randomise(key: PRNGKey, params: Params) -> Params:
    """Kernels, constants and noise maps hold their standard deviation so far: times one draw of normals, cut to their shapes (a draw for
    each would take most of a minute to compile)."""

    def random(path: tuple) -> bool:
        return path[0].key == "noise" or getattr(path[-1], "key", "") in ("kernel", "const")

    leaves, tree = jax.tree_util.tree_flatten_with_path(params)
    sizes = [x.size if random(path) else 0 for path, x in leaves]
    normals = jnp.split(jax.random.normal(key, (sum(sizes),)), np.cumsum(sizes)[:-1])
    drawn = [x * n.reshape(x.shape) if n.size else x for (_, x), n in zip(leaves, normals, strict=True)]
    return jax.tree.unflatten(tree, drawn)


def random_noise(key: PRNGKey, config: Config, batch: tuple[int, ...] = ()) -> Noise:
    """Noise maps [*batch, r, r] ~ N(0, 1), cut from one draw, which compiles many times faster than a draw for each."""
    sizes = [h * w for h, w in config.noise_shapes]
    maps = jnp.split(jax.random.normal(key, (*batch, sum(sizes))), np.cumsum(sizes)[:-1], axis=-1)
    return tuple(m.reshape(*batch, *shape) for m, shape in zip(maps, config.noise_shapes, strict=True))


def _noise(config: Config) -> Callable:
    def noise(kind: str, params: Params, key: PRNGKey | None = None) -> Noise:
        if kind == "const":
            return tuple(params["noise"])
        if kind == "none":
            return tuple(jnp.zeros(shape) for shape in config.noise_shapes)
        if kind == "random" and key is not None:
            return random_noise(key, config)
        raise ValueError(f'noise kind must be "const", "none" or "random" (which needs a key), got {kind!r} with key {key}')

    return noise


def stylegan2(config: Config, *, name: str = "stylegan2", domain: str = "", licence: str = "") -> Prior:
    """StyleGAN2 as a `Prior` over z; see `priors.Prior` for the shapes, `init` for the parameters."""
    noise = _noise(config)

    def sample(key: PRNGKey, params: Params) -> jax.Array:
        return jax.random.normal(key, (config.z_dim,))

    def map_(params: Params, z: jax.Array, truncation: float | jax.Array = 1.0) -> jax.Array:
        w = mapping(config, params["mapping"], z)
        center = params["statistics"]["w_mean"]
        return center + truncation * (w - center)

    def synthesize(params: Params, w_plus: jax.Array, noise: Noise) -> jax.Array:
        return 0.5 + 0.5 * synthesis(config, params["synthesis"], w_plus, noise)

    def decode(params: Params, z: jax.Array) -> jax.Array:
        w_plus = jnp.broadcast_to(map_(params, z), (config.num_layers, config.w_dim))
        return synthesize(params, w_plus, noise("const", params))

    def discriminate(params: Params, images: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        return discriminator(config, params["discriminator"], 2 * images - 1)

    info = Info(name, config.resolution, config.z_dim, config.w_dim, config.num_layers, config.noise_shapes, domain, licence)
    return Prior(info, sample, decode, map_, noise, synthesize, discriminate)
