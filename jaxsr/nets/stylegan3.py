"""StyleGAN3 (Karras et al., arXiv:2106.12423), configurations T and R: Fourier features that a
style turns and shifts, then layers that convolve and activate without aliasing; official numerics.

Networks speak [-1, 1] and HWC; `stylegan3` wraps them as a `Prior`, which speaks [0, 1]. There are
no noise maps, and the image comes from the last layer alone. The discriminator is StyleGAN2's.
Maps are larger than the picture by a margin on each side, cut off by the last layers.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxsr.nets import style_based, stylegan2
from jaxsr.nets.convolution import conv
from jaxsr.nets.style_based import SQRT2
from jaxsr.nets.stylegan3_filters import (
    Resampling,
    filtered_lrelu,
    jinc_lowpass,
    kaiser_lowpass,
    resampling,
)
from jaxsr.priors import Info, Prior
from jaxsr.types import Noise, Params, PRNGKey

FINER = 2  # samples of the grid of the leaky ReLU for each of the finer of its neighbours'
FILTER = 6  # taps of a low-pass filter for each sample of the coarser grid


@dataclasses.dataclass(frozen=True)
class Config(stylegan2.Config):
    """Sizes of a StyleGAN3: `channel_base`, `channel_max` and `channels` are the discriminator's;
    the other fields of `stylegan2.Config`, of both.

    layers: between the Fourier features and the one that makes the image.
    critical: how many of them, the last, have a cutoff of half the sampling rate.
    first_cutoff: of the Fourier features, in periods a picture's width.
    first_stopband: f_t, from where the first layer lets nothing pass, at least.
    last_stopband: the same of the last layers, times their cutoff.
    margin: samples beside the picture, on each side.
    scale: of the image.
    side: of a layer's kernel, 3 (T) or 1 (R).
    radial: whether the filters behind a leaky ReLU are radially symmetric (R); those of the
        critically sampled layers never are.
    maps: channels of the Fourier features, and of each layer but that of the image. None:
        channel_base / 2 / cutoff, at most channel_max, as in T.
    """

    mapping_layers: int = 2
    clamp: float | None = 256.0
    layers: int = 14
    critical: int = 2
    first_cutoff: float = 2.0
    first_stopband: float = 2**2.1
    last_stopband: float = 2**0.3
    margin: int = 10
    scale: float = 0.25
    side: int = 3
    radial: bool = False
    maps: tuple[int, ...] | None = None

    def __post_init__(self):
        super().__post_init__()
        if not 1 <= self.critical < self.layers:
            raise ValueError(
                f"critical must be from 1 to below layers, {self.layers}, got {self.critical}"
            )
        if not (self.side in (1, 3) and self.margin >= 0 and 0 < self.scale < np.inf):
            got = f"side {self.side}, margin {self.margin} and scale {self.scale}"
            raise ValueError(
                f"expected a side of 1 or 3, a margin of 0 or more, a scale, got {got}"
            )
        bands = self.first_cutoff, self.first_stopband, self.resolution / 2
        if not (0 < bands[0] < bands[1] <= bands[2] and 1 < self.last_stopband < np.inf):
            raise ValueError(
                "expected 0 < first_cutoff < first_stopband <= resolution / 2 and a last_stopband "
                f"above 1, got {bands} and {self.last_stopband}"
            )
        if self.maps is not None and (len(self.maps) != self.layers or min(self.maps) < 1):
            raise ValueError(f"maps must give {self.layers} widths, got {self.maps}")
        rates = [signal.rate for signal in signals(self)]
        if rates[0] < 1 or any(b > 4 * a for a, b in itertools.pairwise(rates)):
            raise ValueError(
                f"sampling rates must at most quadruple from layer to layer, got {rates}"
            )

    @property
    def num_layers(self) -> int:
        return self.layers + 2

    @property
    def noise_shapes(self) -> tuple[tuple[int, int], ...]:
        return ()


class Signal(NamedTuple):
    """What a layer makes: side and channels of its map, sampling rate, cutoff and half the
    transition band's width in periods a picture's width."""

    side: int
    width: int
    rate: int
    cutoff: float
    half_width: float


@functools.cache
def signals(config: Config) -> tuple[Signal, ...]:
    """Of layers 0, 1, ... and the last, which makes the image (section 3.3). Layer 0's is that of
    the Fourier features too."""
    resolution, last = config.resolution, config.resolution / 2
    along = np.minimum(np.arange(config.layers + 1) / (config.layers - config.critical), 1)
    cutoffs = config.first_cutoff * (last / config.first_cutoff) ** along
    stopbands = (
        config.first_stopband * (last * config.last_stopband / config.first_stopband) ** along
    )
    rates = np.exp2(np.ceil(np.log2(np.minimum(2 * stopbands, resolution)))).astype(int)
    half_widths = np.maximum(stopbands, rates / 2) - cutoffs
    sides = [*(int(rate) + 2 * config.margin for rate in rates[:-2]), resolution, resolution]
    widths = config.maps or [
        round(min(config.channel_base / 2 / cutoff, config.channel_max)) for cutoff in cutoffs[:-1]
    ]
    return tuple(
        Signal(side, width, int(rate), float(cutoff), float(half))
        for side, width, rate, cutoff, half in zip(
            sides, (*widths, 3), rates, cutoffs, half_widths, strict=True
        )
    )


class Layer(NamedTuple):
    """Sizes of a layer: channels in and out, side of its kernel, and how its leaky ReLU is
    filtered; None for the layer that makes the image, which has none."""

    inputs: int
    outputs: int
    side: int
    how: Resampling | None


@functools.cache
def layers(config: Config) -> tuple[Layer, ...]:
    """Of layers 0, 1, ... and the one that makes the image."""
    made = signals(config)
    pairs = list(itertools.pairwise((made[0], *made)))
    first_critical = config.layers - config.critical
    return tuple(
        Layer(
            given.width,
            own.width,
            1 if number == config.layers else config.side,
            None
            if number == config.layers
            else _how(config.side, given, own, config.radial and number < first_critical),
        )
        for number, (given, own) in enumerate(pairs)
    )


def _how(side: int, given: Signal, own: Signal, radial: bool) -> Resampling:
    rate = FINER * max(given.rate, own.rate)
    up, down = rate // given.rate, rate // own.rate
    before = kaiser_lowpass(FILTER * up, given.cutoff, 2 * given.half_width, rate)
    lowpass = jinc_lowpass if radial else kaiser_lowpass
    behind = lowpass(FILTER * down, own.cutoff, 2 * own.half_width, rate)
    return resampling((given.side + side - 1, own.side), up, down, before, behind)


def _dense(params: Params, x: jax.Array) -> jax.Array:
    return (x / np.sqrt(x.shape[-1])) @ params["kernel"] + params["bias"]


def fourier_features(config: Config, params: Params, transform: jax.Array) -> jax.Array:
    """The first map [h, h, c] (section 3.1 and appendix F) for a transform (r_c, r_s, t_x, t_y),
    divided by the length of (r_c, r_s): the picture is turned by the angle of (r_c, r_s), then
    shifted by (t_x, t_y) of its widths."""
    first = signals(config)[0]
    frequencies, phases = (lax.stop_gradient(params[name]) for name in ("frequencies", "phases"))
    cosine, sine, *shift = transform * lax.rsqrt(jnp.sum(transform[:2] ** 2))
    turned = frequencies @ jnp.array([[cosine, -sine], [sine, cosine]])
    phases = phases - turned @ jnp.array(shift)
    at = (np.arange(first.side) + 0.5 - first.side / 2) / first.rate
    angles = at[:, None] * turned[:, 1]
    angles = angles[:, None] + at[:, None] * turned[:, 0] + phases
    # What the grid cannot hold, which a file's frequencies may be, is left out.
    length, room = jnp.linalg.norm(frequencies, axis=-1), first.rate / 2 - first.cutoff
    heights = jnp.clip(1 - (length - first.cutoff) / room, 0, 1)
    waves = jnp.sin(2 * np.pi * angles) * heights
    return waves @ (params["kernel"] / np.sqrt(first.width))


def _convolved(
    config: Config, layer: Layer, params: Params, x: jax.Array, style: jax.Array
) -> jax.Array:
    """Modulated convolution of x [h, h, c]: kernels and styles are brought to mean square 1 first,
    and maps to what their mean square was in training (appendix F)."""
    kernel, gain = params["kernel"], lax.rsqrt(lax.stop_gradient(params["magnitude"]))
    if layer.how is None:
        scales = jnp.ones(layer.outputs)
        style = style / np.sqrt(layer.inputs)
    else:
        style = style * lax.rsqrt(jnp.mean(style**2))
        squares = stylegan2.sum_of_squares(kernel)
        normal = lax.rsqrt(squares.sum(0) / (layer.inputs * layer.side**2))
        scales = normal * lax.rsqrt((style**2) @ squares * normal**2 + 1e-8)
    x = (x * (style * gain)).astype(config.dtype)
    if layer.side == 1:
        y = x @ kernel[0, 0].astype(x.dtype)
    else:
        around = layer.side - 1, layer.side - 1
        y = conv(x[None], kernel, (around, around))[0]
    return y.astype(jnp.float32) * scales


def _drawn(config: Config, number: int, params: Params, x: jax.Array, w: jax.Array) -> jax.Array:
    """The map behind a layer, from the one before it; for the last the image."""
    layer, own = layers(config)[number], params[f"layer{number}"]
    y = _convolved(config, layer, own, x, _dense(own["affine"], w)) + own["bias"]
    if layer.how is None:
        return config.scale * (
            y if config.clamp is None else jnp.clip(y, -config.clamp, config.clamp)
        )
    return filtered_lrelu(y, layer.how, gain=SQRT2, slope=0.2, clamp=config.clamp)


def synthesis(
    config: Config,
    params: Params,
    w_plus: jax.Array,
    x: jax.Array | None = None,
    start: int = 0,
    stop: int | None = None,
) -> jax.Array:
    """w_plus [num_layers, w_dim] -> image [H, W, 3] in [-1, 1]; params as in params["synthesis"].

    The first w is the Fourier features', each other one a layer's. Of the w from `start` to `stop`
    alone: from the map x that lies before these to the one behind them.
    """
    for number in range(config.num_layers)[start:stop]:
        if x is None:
            own = params["input"]
            x = fourier_features(config, own, _dense(own["affine"], w_plus[0]))
        else:
            x = _drawn(config, number - 1, params, x, w_plus[number])
    assert x is not None
    return x


def styles(config: Config, params: Params, w_plus: jax.Array) -> dict[str, jax.Array]:
    """`Prior.styles`: of the Fourier features the 4 numbers that turn and shift them."""
    names = ("input", *(f"layer{number}" for number in range(config.layers + 1)))
    return {
        f"{name}/affine": _dense(params[name]["affine"], w)
        for name, w in zip(names, w_plus, strict=True)
    }


def init(key: PRNGKey, config: Config) -> Params:
    """Fresh parameters {"mapping", "synthesis", "discriminator", "statistics"} of a generator and
    its discriminator. In "synthesis", "magnitude" of a layer is the mean square of the maps that it
    was trained with; neither that nor the waves of "input" has a gradient."""
    image = jnp.zeros((1, config.resolution, config.resolution, 3))
    statistics = ("w_mean", "w_std", "white_mean", "white_std")
    key_waves, key = jax.random.split(key)
    deviations = {
        "mapping": style_based.Mapping(config).init(key, jnp.zeros(config.z_dim))["params"],
        "synthesis": _deviations(config),
        "discriminator": stylegan2.Discriminator(config).init(key, image)["params"],
        "statistics": {name: jnp.zeros(config.w_dim) for name in statistics},
    }
    params = style_based.randomise(key, deviations)
    params["synthesis"]["input"] |= _waves(key_waves, config)
    return params


def _deviations(config: Config) -> Params:
    """Of the synthesis network, for `style_based.randomise`."""

    def affine(outputs: int, kernel: float, bias: list[float]) -> Params:
        return {
            "kernel": jnp.full((config.w_dim, outputs), kernel),
            "bias": jnp.broadcast_to(jnp.array(bias, jnp.float32), (outputs,)),
        }

    width = signals(config)[0].width
    made = {"input": {"affine": affine(4, 0.0, [1, 0, 0, 0]), "kernel": jnp.ones((width, width))}}
    for number, layer in enumerate(layers(config)):
        made[f"layer{number}"] = {
            "affine": affine(layer.inputs, 1.0, [1]),
            "kernel": jnp.ones((layer.side, layer.side, layer.inputs, layer.outputs)),
            "bias": jnp.zeros(layer.outputs),
            "magnitude": jnp.ones(()),
        }
    return made


def _waves(key: PRNGKey, config: Config) -> Params:
    """Frequencies [c, 2] (right, down), evenly spread over the disc below the cutoff, and phases
    [c] in periods."""
    radius, angle, phases = jax.random.uniform(key, (3, signals(config)[0].width))
    around = jnp.stack([jnp.cos(2 * np.pi * angle), jnp.sin(2 * np.pi * angle)], -1)
    lengths = config.first_cutoff * jnp.sqrt(radius)
    return {"frequencies": lengths[:, None] * around, "phases": phases - 0.5}


def _tile(config: Config, w: jax.Array) -> jax.Array:
    return jnp.broadcast_to(w, (config.num_layers, config.w_dim))


def _splitter(config: Config, map_: Callable) -> Callable:
    """`Prior.split`: two layers a block; between the two parts lie the map and w."""

    def split(blocks: int) -> tuple[Callable, Callable]:
        def drawn(params: Params, w: jax.Array, x: jax.Array | None, start: int, stop: int | None):
            return synthesis(config, params["synthesis"], _tile(config, w), x, start, stop)

        def head(params: Params, z: jax.Array) -> dict:
            w = map_(params, z)
            return {"x": drawn(params, w, None, 0, 2 * blocks), "w": w}

        def tail(params: Params, cut: dict) -> jax.Array:
            return 0.5 + 0.5 * drawn(params, cut["w"], cut["x"], 2 * blocks, None)

        return head, tail

    return split


def stylegan3(
    config: Config, *, name: str = "stylegan3", domain: str = "", licence: str = ""
) -> Prior:
    """StyleGAN3 as a `Prior` over z; see `priors.Prior` for the shapes, `init` for the parameters.
    It has no noise maps, and no blocks that draw an image each."""

    def sample(key: PRNGKey, params: Params) -> jax.Array:
        return jax.random.normal(key, (config.z_dim,))

    def map_(params: Params, z: jax.Array, truncation: float | jax.Array = 1.0) -> jax.Array:
        return style_based.mapped(config, params, z, truncation)

    def synthesize(params: Params, w_plus: jax.Array, noise: Noise) -> jax.Array:
        return 0.5 + 0.5 * synthesis(config, params["synthesis"], w_plus)

    def decode(params: Params, z: jax.Array) -> jax.Array:
        return synthesize(params, _tile(config, map_(params, z)), ())

    def discriminate(params: Params, images: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        return stylegan2.discriminator(config, params["discriminator"], 2 * images - 1)

    sizes = (config.resolution, config.z_dim, config.w_dim, config.num_layers, ())
    return Prior(
        Info(name, *sizes, domain, licence),
        sample,
        decode,
        map_,
        lambda kind, params, key=None: (),
        synthesize,
        discriminate,
        _splitter(config, map_),
        lambda params, w_plus: styles(config, params["synthesis"], w_plus),
    )
