"""What progressively grown networks (PGGAN, StyleGAN1) share: sizes, equalised layers, their
resampling, the discriminator.

Nearest-neighbour doubling followed by a 3x3 convolution is computed as four 2x2 convolutions of the
input, one a phase of the output, and a 3x3 convolution followed by 2x2 means as the transpose of
that: 16 products a pixel instead of 36.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from jaxsr.nets.convolution import conv, cut, interleave, pad, same

SQRT2 = float(np.sqrt(2))
BEFORE, AFTER = (1, 0), (0, 1)


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of a pyramid of layers.

    resolution: side of the images, a power of two.
    channel_base: a layer of r px has channel_base / r channels, at most channel_max.
    channel_max: most channels of a layer.
    channels: channels at 4, 8, 16, ... px instead.
    mbstd_group: images whose spread the discriminator sees together (minibatch standard deviation).
    dtype: what the convolutions compute in, "float32" or "bfloat16"; parameters, styles, RGB and
        logits stay float32.
    """

    resolution: int = 1024
    channel_base: int = 32768
    channel_max: int = 512
    channels: tuple[int, ...] | None = None
    mbstd_group: int = 4
    dtype: str = "float32"

    def __post_init__(self):
        if self.resolution < 4 or self.resolution & (self.resolution - 1):
            raise ValueError(
                f"resolution must be a power of two of at least 4, got {self.resolution}"
            )
        if self.channels is not None and len(self.channels) != len(self.resolutions):
            raise ValueError(
                f"channels must give {len(self.resolutions)} widths for 4 to "
                f"{self.resolution} px, got {self.channels}"
            )
        widths = [self.width(r) for r in self.resolutions]
        if min(widths) < 1:
            raise ValueError(
                "every layer must have a channel (channels, or channel_base / r and "
                f"channel_max), got {widths}"
            )
        self._at_least_one("mbstd_group")

    def _at_least_one(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def resolutions(self) -> tuple[int, ...]:
        return tuple(2**i for i in range(2, self.resolution.bit_length()))

    def width(self, resolution: int) -> int:
        if self.channels is not None:
            return self.channels[resolution.bit_length() - 3]
        return min(self.channel_base // resolution, self.channel_max)


def pixel_norm(x: jax.Array) -> jax.Array:
    """Divides by the root mean square over the last axis."""
    return x * lax.rsqrt(jnp.mean(x**2, -1, keepdims=True) + 1e-8)


def blur(x: jax.Array) -> jax.Array:
    """[n, h, w, c] filtered with [1, 2, 1] / 4 an axis, zeros outside."""
    for axis in (1, 2):
        padded, n = pad(x, axis, 1, 1), x.shape[axis]
        x = 0.5 * x + 0.25 * (cut(padded, axis, 0, n) + cut(padded, axis, 2, n))
    return x


def _halves(kernel: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """The two taps that three taps become for even and for odd samples of a doubled signal."""
    a, b, c = (cut(kernel, axis, k, 1) for k in range(3))
    return jnp.concatenate([a, b + c], axis), jnp.concatenate([a + b, c], axis)


def conv_up(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Doubles [n, h, w, c] by repeating pixels, then convolves with a kernel [3, 3, c, d]."""

    def row(part: jax.Array, rows_at: tuple[int, int]) -> jax.Array:
        even, odd = _halves(part, 1)
        return interleave(conv(x, even, (rows_at, BEFORE)), conv(x, odd, (rows_at, AFTER)), 2)

    even, odd = _halves(kernel, 0)
    return interleave(row(even, BEFORE), row(odd, AFTER), 1)


def conv_down(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Convolves [n, h, w, c] with a kernel [3, 3, c, d], then takes means of 2x2 pixels."""
    total = 0.0
    for part, rows_at, i in zip(_halves(kernel, 0), (BEFORE, AFTER), (1, 0), strict=True):
        for taps, columns_at, j in zip(_halves(part, 1), (BEFORE, AFTER), (1, 0), strict=True):
            total = total + conv(x[:, i::2, j::2], taps, (rows_at, columns_at))
    return jnp.asarray(total) / 4


def means(x: jax.Array) -> jax.Array:
    """[n, h, w, c] -> means of 2x2 pixels."""
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))


def resampling_conv(x: jax.Array, kernel: jax.Array, up: bool, down: bool) -> jax.Array:
    """Convolves [n, h, w, c] with a kernel [k, k, c, d]; `conv_up`, `conv_down` or neither."""
    if up:
        return conv_up(x, kernel)
    return conv_down(x, kernel) if down else conv(x, kernel, same(kernel))


class Conv(nn.Module):
    """Equalised-learning-rate 3x3 (or 1x1) convolution of [n, h, w, c], bias and leaky ReLU; with
    `up` or `down` it changes the side too.

    Not `activated`, it is the convolution alone.
    """

    features: int
    size: int = 3
    up: bool = False
    down: bool = False
    activated: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param(
            "kernel", nn.initializers.ones, (self.size, self.size, x.shape[-1], self.features)
        )
        kernel = kernel * (SQRT2 / np.sqrt(x.shape[-1] * self.size**2))
        y = resampling_conv(x, kernel, self.up, self.down)
        if not self.activated:
            return y
        return nn.leaky_relu(
            y + self.param("bias", nn.initializers.zeros, (self.features,)).astype(y.dtype), 0.2
        )


class Dense(nn.Module):
    """Equalised-learning-rate dense layer: kernel ~ N(0, 1), scaled by gain / sqrt(inputs) in the
    forward pass."""

    features: int
    gain: float = SQRT2

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.ones, (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return x @ (kernel * (self.gain / np.sqrt(x.shape[-1]))) + bias


def group_size(n: int, most: int) -> int:
    """Samples of a batch of n that share a minibatch statistic: as many as divide n, at most
    `most`. Group i holds samples i, i + n / group_size, ..."""
    return next(size for size in range(min(most, n), 0, -1) if n % size == 0)


def minibatch_std(x: jax.Array, group: int, channels: int = 1) -> jax.Array:
    """Appends the standard deviation over groups of samples (strided as in the original) to [n, r,
    r, c]."""
    n, h, w, c = x.shape
    group = group_size(n, group)
    y = x.reshape(group, n // group, h, w, channels, c // channels).astype(jnp.float32)
    y = jnp.sqrt(jnp.mean((y - y.mean(0)) ** 2, 0) + 1e-8).mean((1, 2, 4))
    y = jnp.tile(y[:, None, None, :], (group, h, w, 1))
    return jnp.concatenate([x, y.astype(x.dtype)], -1)


class DiscriminatorBlock(nn.Module):
    """[n, r, r, c] -> [n, r/2, r/2, c']; `fused`, it takes 2x2 means before the last activation,
    else behind it."""

    features: tuple[int, int]
    blurred: bool
    fused: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = Conv(self.features[0], name="conv0")(x)
        x = Conv(self.features[1], down=self.fused, name="conv1")(blur(x) if self.blurred else x)
        return x if self.fused else means(x)


class Discriminator(nn.Module):
    """images [n, H, W, 3] in [-1, 1] -> (logits [n], features after each block, finest first), of
    PGGAN, and of StyleGAN1 with `blurred`.

    It takes a batch: its minibatch statistic couples samples (largest group that divides n, at most
    `mbstd_group`).
    """

    config: Sizes
    hidden: int
    blurred: bool
    fused: bool = True

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        config, features = self.config, []
        x = Conv(config.width(config.resolution), 1, name="fromrgb")(images.astype(config.dtype))
        for resolution in config.resolutions[:0:-1]:
            widths = config.width(resolution), config.width(resolution // 2)
            x = DiscriminatorBlock(widths, self.blurred, self.fused, name=f"b{resolution}")(x)
            features.append(x.astype(jnp.float32))
        x = Conv(config.width(4), name="conv")(minibatch_std(x, config.mbstd_group)).astype(
            jnp.float32
        )
        x = nn.leaky_relu(Dense(self.hidden, name="fc")(x.reshape(x.shape[0], -1)), 0.2)
        return Dense(1, gain=1.0, name="out")(x)[:, 0], features
