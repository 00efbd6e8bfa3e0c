"""StyleGAN3 in slow float64 NumPy, written from the paper (arXiv:2106.12423): per-sample weights,
maps filled up with zeros, whole two-dimensional filters, NCHW. Arrays are named and laid out as in
a file, {"input": {...}, 0: {...}, 1: {...}, ...}."""

from typing import NamedTuple

import numpy as np
from reference_stylegan2 import SQRT2, correlate
from scipy import signal, special


class Signal(NamedTuple):
    """What lies behind a layer: side, sampling rate, cutoff and half a transition band."""

    side: int
    rate: int
    cutoff: float
    half_width: float


def signals(config):
    """Section 3.3: cutoffs and stopbands grow geometrically, up to the critically sampled layers;
    rates are the powers of two that hold the stopbands, at most the picture's."""
    found, last = [], config.resolution / 2
    for i in range(config.layers + 1):
        share = min(i / (config.layers - config.critical), 1)
        cutoff = config.first_cutoff ** (1 - share) * last**share
        stopband = config.first_stopband ** (1 - share) * (last * config.last_stopband) ** share
        rate = 1
        while rate < min(2 * stopband, config.resolution):
            rate *= 2
        side = rate + 2 * config.margin if i < config.layers - 1 else config.resolution
        found.append(Signal(side, rate, cutoff, max(stopband, rate / 2) - cutoff))
    return found


def lowpass(size, to, rate, radial):
    """The filter [size] or [size, size] of appendix C.3 for a signal, by SciPy's own designs."""
    width = 2 * to.half_width
    if not radial:
        return np.asarray(signal.firwin(size, to.cutoff, width=width, fs=rate))
    at = (np.arange(size) - (size - 1) / 2) / rate
    radius = np.sqrt(at[:, None] ** 2 + at[None] ** 2)
    beta = signal.kaiser_beta(signal.kaiser_atten(size, width / (rate / 2)))
    window = np.asarray(signal.get_window(("kaiser", beta), size, fftbins=False))
    jinc = special.j1(2 * np.pi * to.cutoff * radius) / (np.pi * radius)
    both = jinc * window[:, None] * window[None]
    return both / both.sum()


def filters(config, number):
    """Factors and filters of a layer's leaky ReLU: up, its filter, down, its filter."""
    own = signals(config)
    given, made = own[max(number - 1, 0)], own[number]
    rate = 2 * max(given.rate, made.rate)
    up, down = rate // given.rate, rate // made.rate
    radial = config.radial and number < config.layers - config.critical
    return (
        (up, lowpass(6 * up, given, rate, False)),
        (down, lowpass(6 * down, made, rate, radial)),
    )


def convolved(x, taps):
    """x [c, h, w] with taps [t] an axis or [t, t], where the filter lies inside of the map."""
    taps = np.outer(taps, taps) if taps.ndim == 1 else taps
    windows = np.lib.stride_tricks.sliding_window_view(x, taps.shape, (1, 2))
    return np.einsum("chwij,ij->chw", windows, taps[::-1, ::-1])


def activated(x, up, down, side, clamp):
    """Appendix C.3: zeros between, filter, leaky ReLU, filter, every so-manieth sample, so that
    the middle of the map stays in the middle."""
    (factor, before), (divisor, behind) = up, down
    c, h, w = x.shape
    finer = np.zeros((c, h * factor, w * factor))
    finer[:, ::factor, ::factor] = x * factor**2
    needed = (side - 1) * divisor + 1 + len(behind) - 1 + len(before) - 1
    top = (needed - h * factor + factor) // 2
    bottom = needed - h * factor - top
    finer = np.pad(finer, ((0, 0), *((max(top, 0), max(bottom, 0)),) * 2))
    inside = slice(max(-top, 0), finer.shape[1] - max(-bottom, 0))
    z = SQRT2 * convolved(finer[:, inside, inside], before)
    z = np.clip(np.where(z > 0, z, 0.2 * z), -clamp, clamp)
    return convolved(z, behind)[:, ::divisor, ::divisor]


def dense(p, x):
    return p["affine.weight"] @ x / np.sqrt(len(x)) + p["affine.bias"]


def fourier_features(config, p, w):
    """Section 3.1 and appendix F: waves over the plane, shifted and turned by the first style."""
    to = signals(config)[0]
    t = dense(p, w)
    cosine, sine, right, down = t / np.hypot(t[0], t[1])
    at = (np.arange(to.side) + 0.5 - to.side / 2) / to.rate
    x, y = np.meshgrid(at - right, at - down)
    x, y = cosine * x - sine * y, sine * x + cosine * y
    waves = []
    for (across, along), phase in zip(p["freqs"], p["phases"], strict=True):
        over = np.hypot(across, along) - to.cutoff
        height = np.clip(1 - over / (to.rate / 2 - to.cutoff), 0, 1)
        waves.append(height * np.sin(2 * np.pi * (across * x + along * y + phase)))
    return np.einsum("chw,dc->dhw", waves, p["weight"]) / np.sqrt(len(waves))


def layer(config, number, p, x, w):
    weight, style = p["weight"], dense(p, w)
    colours = number == config.layers
    if colours:
        weight = weight * style[:, None, None] / np.sqrt(weight[0].size)
    else:
        weight = weight / np.sqrt(np.mean(weight**2, (1, 2, 3), keepdims=True))
        weight = weight * (style / np.sqrt(np.mean(style**2)))[:, None, None]
        weight = weight / np.sqrt(np.sum(weight**2, (1, 2, 3), keepdims=True) + 1e-8)
    x = x / np.sqrt(p["magnitude_ema"])
    y = correlate(x, weight, weight.shape[-1] - 1) + p["bias"][:, None, None]
    if colours:
        return np.clip(y, -config.clamp, config.clamp) * config.scale
    return activated(y, *filters(config, number), signals(config)[number].side, config.clamp)


def synthesis(config, arrays, w_plus):
    """[3, H, W] in [-1, 1]."""
    x = fourier_features(config, arrays["input"], w_plus[0])
    for number in range(config.layers + 1):
        x = layer(config, number, arrays[number], x, w_plus[number + 1])
    return x
