"""StyleGAN2 (Karras et al., arXiv:1912.04958): mapping, synthesis with skip RGB, residual
discriminator, in the official numerics.

Networks speak [-1, 1] and HWC; `stylegan2` wraps them as a `Prior`, which speaks [0, 1]. Everything
but the discriminator is written for one sample. A style scales the input of ONE shared convolution
and the output is demodulated, the same mathematics as per-sample weights, so that vmap over latents
stays one batched convolution. Resampling works on the four phases of a map, never on zero-filled
ones.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from jaxsr.nets import style_based
from jaxsr.nets.convolution import conv, cut, deinterleave, interleave, pad, same
from jaxsr.nets.progressive import minibatch_std
from jaxsr.nets.style_based import SQRT2, Between, Cut, Dense, apply, as_maps, lrelu
from jaxsr.priors import Prior
from jaxsr.types import Noise, Params, PRNGKey


@dataclasses.dataclass(frozen=True)
class Config(style_based.Config):
    """Sizes of a StyleGAN2: the fields of `style_based.Config`.

    clamp: largest size of a convolution's output, as networks have that were trained in half
        precision. Default: any.
    emphasis: how much finer detail is amplified before the discriminator sees it (`emphasised`); 0:
        not at all, as in the original.
    residual: whether the discriminator's blocks have shortcuts; False: NVIDIA's architecture
        "orig", as its --cfg=cifar has.
    """

    clamp: float | None = None
    emphasis: float = 0.0
    residual: bool = True

    def __post_init__(self):
        super().__post_init__()
        if self.clamp is not None and not self.clamp > 0:
            raise ValueError(f"clamp must be above 0, got {self.clamp}")
        if not 0 <= self.emphasis < np.inf:
            raise ValueError(f"emphasis must be finite and at least 0, got {self.emphasis}")

    @property
    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        return tuple((r, r) for r in self.resolutions for _ in range(2))[1:]


class Variant(NamedTuple):
    """What a generator does otherwise than the original.

    Attributes:
        linear: it doubles maps and images by linear interpolation, which repeats the edge, before a
            plain convolution, as GFPGAN's clean networks.
        beside: what comes in place of noise goes beside a convolution's maps instead of onto them,
            and doubles their number, as in GPEN.
    """

    linear: bool = False
    beside: bool = False


ORIGINAL = Variant()


def _edged(x: jax.Array, axis: int) -> jax.Array:
    """[n, h, w, c] with its edge repeated once at both ends of an axis."""
    return jnp.pad(x, [(int(i == axis),) * 2 for i in range(4)], mode="edge")


def upsample(x: jax.Array, linear: bool = False) -> jax.Array:
    """Doubles [n, h, w, c] with the filter [1, 3, 3, 1], `upsample2d` of the original; linear: with
    the edge repeated, where the original has zeros, which is linear interpolation."""
    for axis in (1, 2):
        n = x.shape[axis]
        padded = _edged(x, axis) if linear else pad(x, axis, 1, 1)
        left, right = cut(padded, axis, 0, n), cut(padded, axis, 2, n)
        x = interleave(0.25 * left + 0.75 * x, 0.75 * x + 0.25 * right, axis)
    return x


def downsample(x: jax.Array) -> jax.Array:
    """Halves [n, h, w, c] with the filter [1, 3, 3, 1] / 8, `downsample2d` of the original."""
    for axis in (1, 2):
        (even, odd), n = deinterleave(pad(x, axis, 1, 1), axis), x.shape[axis] // 2
        x = 0.125 * (cut(even, axis, 0, n) + cut(odd, axis, 1, n)) + 0.375 * (
            cut(odd, axis, 0, n) + cut(even, axis, 1, n)
        )
    return x


def emphasised(images: jax.Array, emphasis: float) -> jax.Array:
    """images [n, H, W, 3] + emphasis times what the filter [1, 2, 1] / 4 takes away from them:
    means stay, and the finest checks become 1 + emphasis times as large.

    Photos have thousands of times less power in their finest octave than in the coarsest, and a
    discriminator struggles with frequencies of low magnitude (arXiv:2111.02447): it lets them pass
    whether they are there or not. 4 brings the power of blood cells at 64 px from 8 cycles a
    picture on within a factor of 2 along rows and columns, of 4 in the corners.
    """
    if not emphasis:
        return images
    smooth = images
    for axis in (1, 2):
        n, padded = smooth.shape[axis], _edged(smooth, axis)
        smooth = 0.25 * (cut(padded, axis, 0, n) + cut(padded, axis, 2, n)) + 0.5 * smooth
    return images + emphasis * (images - smooth)


def _filter_phases(even: jax.Array, odd: jax.Array, axis: int) -> jax.Array:
    """[1, 3, 3, 1] / 4 over a signal given as its even (n + 1) and odd (n) samples, padded by one:
    2 n samples."""
    n = odd.shape[axis]
    odd = pad(odd, axis, 1, 1)
    even0, even1 = cut(even, axis, 0, n), cut(even, axis, 1, n)
    odd0, odd1, odd2 = (cut(odd, axis, k, n) for k in range(3))
    return interleave(
        0.25 * (odd0 + even1) + 0.75 * (even0 + odd1),
        0.25 * (even0 + odd2) + 0.75 * (odd1 + even1),
        axis,
    )


def conv_up(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Transposed 3x3 convolution of stride 2, then the filter: four small convolutions, one a
    phase, instead of one of a map of zeros."""
    flipped = kernel[::-1, ::-1]
    even_even = conv(x, flipped[0::2, 0::2], ((1, 1), (1, 1)))
    even_odd = conv(x, flipped[0::2, 1::2], ((1, 1), (0, 0)))
    odd_even = conv(x, flipped[1::2, 0::2], ((0, 0), (1, 1)))
    odd_odd = conv(x, flipped[1::2, 1::2], ((0, 0), (0, 0)))
    return _filter_phases(
        _filter_phases(even_even, odd_even, 1), _filter_phases(even_odd, odd_odd, 1), 2
    )


def conv_down(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """The filter, then a 3x3 convolution of stride 2, as four convolutions of the filtered map's
    phases."""
    rows = _down_phases(x, 1)
    (ee, eo), (oe, oo) = (_down_phases(row, 2) for row in rows)
    even, odd, valid = slice(0, 3, 2), slice(1, 2), ((0, 0), (0, 0))
    y = conv(ee, kernel[even, even], valid) + conv(eo, kernel[even, odd], valid)
    return y + conv(oe, kernel[odd, even], valid) + conv(oo, kernel[odd, odd], valid)


def _down_phases(x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """The even (n/2 + 1) and odd (n/2) samples of x padded by two and filtered with [1, 3, 3, 1] /
    8."""
    (even, odd), n = deinterleave(pad(x, axis, 2, 2), axis), x.shape[axis] // 2
    first = 0.125 * (cut(even, axis, 0, n + 1) + cut(odd, axis, 1, n + 1)) + 0.375 * (
        cut(odd, axis, 0, n + 1) + cut(even, axis, 1, n + 1)
    )
    second = 0.125 * (cut(odd, axis, 0, n) + cut(even, axis, 2, n)) + 0.375 * (
        cut(even, axis, 1, n) + cut(odd, axis, 1, n)
    )
    return first, second


def _clamped(x: jax.Array, clamp: float | None) -> jax.Array:
    return x if clamp is None else jnp.clip(x, -clamp, clamp)


def sum_of_squares(kernel: jax.Array) -> jax.Array:
    """Over the taps of a kernel [kh, kw, c, d]: [c, d]. Tap by tap: XLA's CPU backend reduces
    leading axes 60 times slower."""
    return sum(
        (tap**2 for tap in kernel.reshape(-1, *kernel.shape[2:])),
        jnp.zeros(kernel.shape[2:], kernel.dtype),
    )


class SynthesisLayer(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU; x [h, w, c] -> [h, w, features], twice
    the side with `up`, twice the channels with noise beside."""

    features: int
    up: bool = False
    clamp: float | None = None
    variant: Variant = ORIGINAL

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array, noise: jax.Array) -> jax.Array:
        inputs = x.shape[-1]
        style = Dense(inputs, bias=1.0, name="affine")(w)
        kernel = self.param("kernel", nn.initializers.ones, (3, 3, inputs, self.features))
        strength = self.param("noise_strength", nn.initializers.zeros, ())
        outputs = self.features * (2 if self.variant.beside else 1)
        bias = self.param("bias", nn.initializers.zeros, (outputs,))
        # The kernel stays unscaled and the demodulation removes its size, as in the original.
        demodulation = lax.rsqrt((style**2) @ sum_of_squares(kernel) + 1e-8)
        modulated = (x * style.astype(x.dtype))[None]
        y = self._convolved(modulated, kernel)[0] * demodulation.astype(x.dtype)
        noise = (as_maps(noise) * strength).astype(x.dtype)
        if self.variant.beside:
            y = jnp.concatenate([y, jnp.broadcast_to(noise, y.shape)], -1)
        else:
            y = y + noise
        return _clamped(lrelu(y + bias.astype(x.dtype)), self.clamp)

    def _convolved(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        if self.up and not self.variant.linear:
            return conv_up(x, kernel)
        return conv(upsample(x, linear=True) if self.up else x, kernel, same(kernel))


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to RGB, without demodulation."""

    clamp: float | None = None

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        inputs = x.shape[-1]
        style = Dense(inputs, bias=1.0, name="affine")(w) / np.sqrt(inputs)
        kernel = self.param("kernel", nn.initializers.ones, (inputs, 3))
        bias = self.param("bias", nn.initializers.zeros, (3,))
        rgb = (
            jnp.einsum("hwc,cd->hwd", x, (style[:, None] * kernel).astype(x.dtype)).astype(
                jnp.float32
            )
            + bias
        )
        return _clamped(rgb, self.clamp)


class SynthesisBlock(nn.Module):
    """One resolution: (x, rgb) at half the side -> (x, rgb). The first block starts from the learnt
    constant."""

    config: Config
    resolution: int
    variant: Variant = ORIGINAL

    @nn.compact
    def __call__(
        self,
        x: jax.Array | None,
        rgb: jax.Array | None,
        ws: jax.Array,
        noise: Noise,
        between: Between | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        width, clamp = self.config.width(self.resolution), self.config.clamp
        conv1 = SynthesisLayer(width, False, clamp, self.variant, name="conv1")
        torgb = ToRGB(clamp, name="torgb")
        if x is None or rgb is None:
            const = self.param("const", nn.initializers.ones, (4, 4, width))
            x = conv1(const.astype(self.config.dtype), ws[0], noise[0])
            return x, torgb(x, ws[1])
        x = SynthesisLayer(width, True, clamp, self.variant, name="conv0")(x, ws[0], noise[0])
        x = conv1(x if between is None else between(x), ws[1], noise[1])
        return x, upsample(rgb[None], self.variant.linear)[0] + torgb(x, ws[2])


class Synthesis(nn.Module):
    """w_plus [num_layers, w_dim] and noise maps -> the last map [H, W, c] and the image [H, W, 3],
    nominally in [-1, 1].

    The blocks from `start` to `stop` alone take and give what lies between blocks. `between`, if
    given, takes and gives the map [r, r, c] between the two convolutions of each from 8 px on.
    """

    config: Config
    variant: Variant = ORIGINAL

    @nn.compact
    def __call__(
        self,
        w_plus: jax.Array,
        noise: Noise,
        cut: Cut = (None, None),
        start: int = 0,
        stop: int | None = None,
        between: Between | None = None,
    ) -> Cut:
        x, rgb = cut
        for i, resolution in list(enumerate(self.config.resolutions))[start:stop]:
            first = max(2 * i - 1, 0)
            block = SynthesisBlock(self.config, resolution, self.variant, name=f"b{resolution}")
            x, rgb = block(x, rgb, w_plus[first : 2 * i + 2], noise[first : 2 * i + 1], between)
        return x, rgb


class Conv(nn.Module):
    """Equalised-learning-rate convolution of the discriminator."""

    features: int
    size: int = 3
    down: bool = False
    bias: bool = True
    gain: float = SQRT2
    clamp: float | None = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param(
            "kernel", nn.initializers.ones, (self.size, self.size, x.shape[-1], self.features)
        )
        kernel = kernel * (1 / np.sqrt(x.shape[-1] * self.size**2))
        if self.size == 1:
            x = (downsample(x) if self.down else x) @ kernel[0, 0].astype(x.dtype)
        else:
            x = conv_down(x, kernel) if self.down else conv(x, kernel, same(kernel))
        if not self.bias:
            return x * self.gain
        y = lrelu(
            x + self.param("bias", nn.initializers.zeros, (self.features,)).astype(x.dtype),
            self.gain,
        )
        return _clamped(y, None if self.clamp is None else self.clamp * self.gain / SQRT2)


class DiscriminatorBlock(nn.Module):
    """Residual block, or a plain one: [n, r, r, c] -> [n, r/2, r/2, c']."""

    config: Config
    resolution: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        config, width = self.config, self.config.width(self.resolution // 2)
        clamp, gain = config.clamp, 1.0 if config.residual else SQRT2
        y = Conv(config.width(self.resolution), clamp=clamp, name="conv0")(x)
        y = Conv(width, down=True, gain=gain, clamp=clamp, name="conv1")(y)
        if not config.residual:
            return y
        return y + Conv(width, 1, down=True, bias=False, gain=1 / SQRT2, name="skip")(x)


class Discriminator(nn.Module):
    """images [n, H, W, 3] in [-1, 1] -> (logits [n], features after each block, finest first). It
    takes a batch: its minibatch statistic couples samples (largest group that divides n, at most
    `mbstd_group`)."""

    config: Config

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        config, features = self.config, []
        images = emphasised(images, config.emphasis)
        x = Conv(config.width(config.resolution), 1, clamp=config.clamp, name="fromrgb")(
            images.astype(config.dtype)
        )
        for resolution in config.resolutions[:0:-1]:
            x = DiscriminatorBlock(config, resolution, name=f"b{resolution}")(x)
            features.append(x.astype(jnp.float32))
        x = minibatch_std(x, config.mbstd_group, config.mbstd_channels)
        x = Conv(config.width(4), clamp=config.clamp, name="conv")(x).astype(jnp.float32)
        x = lrelu(Dense(config.width(4), name="fc")(x.reshape(x.shape[0], -1)))
        return Dense(1, name="out")(x)[:, 0], features


def synthesis(
    config: Config,
    params: Params,
    w_plus: jax.Array,
    noise: Noise,
    cut: Cut = (None, None),
    start: int = 0,
    stop: int | None = None,
    between: Between | None = None,
) -> Cut:
    """w_plus [num_layers, w_dim] and noise maps -> last map, and image [H, W, 3] in [-1, 1]; params
    as in params["synthesis"].

    In part, and with something between its convolutions, see `Synthesis`.
    """
    return apply(Synthesis(config), params, w_plus, noise, cut, start, stop, between)


def discriminator(
    config: Config, params: Params, images: jax.Array
) -> tuple[jax.Array, list[jax.Array]]:
    """images [n, H, W, 3] in [-1, 1] -> (logits [n], features after each block, finest first);
    params as in params["discriminator"]."""
    return apply(Discriminator(config), params, images)


def init(key: PRNGKey, config: Config) -> Params:
    """Fresh parameters {"mapping", "synthesis", "noise", "discriminator", "statistics"} of a
    generator and its discriminator."""
    return style_based.init(key, config, Synthesis(config), Discriminator(config))


def stylegan2(
    config: Config, *, name: str = "stylegan2", domain: str = "", licence: str = ""
) -> Prior:
    """StyleGAN2 as a `Prior` over z; see `priors.Prior` for the shapes, `init` for the
    parameters."""
    return style_based.prior(
        config, (name, domain, licence), Synthesis(config), synthesis, discriminator
    )
