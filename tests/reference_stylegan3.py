"""StyleGAN3 in slow float64 NumPy, written from the paper (arXiv:2106.12423): per-sample weights,
maps filled up with zeros, whole two-dimensional filters, NCHW; a network as the file of
`ports_stylegan3` names it."""

import numpy as np
from scipy import signal, special

SQRT2 = np.sqrt(2)


def firs(taps, cutoff, half_width, rate, radial):
    """The low-pass filter [taps, taps] of appendix C.3, by SciPy's own window and design."""
    if not radial:
        one = signal.firwin(taps, cutoff, width=2 * half_width, fs=rate)
        return np.outer(one, one)
    at = (np.arange(taps) - (taps - 1) / 2) / rate
    radius = np.sqrt(at[:, None] ** 2 + at[None] ** 2)
    beta = signal.kaiser_beta(signal.kaiser_atten(taps, 2 * half_width / (rate / 2)))
    window = signal.get_window(("kaiser", beta), taps, fftbins=False)
    jinc = special.j1(2 * np.pi * cutoff * radius) / (np.pi * radius)
    lowpass = jinc * window[:, None] * window[None]
    return lowpass / lowpass.sum()


def filtered(x, taps):
    """x [c, h, w] convolved with taps [t, t], no border: [c, h - t + 1, ...]."""
    windows = np.lib.stride_tricks.sliding_window_view(x, taps.shape, (1, 2))
    return np.einsum("chwij,ij->chw", windows, taps[::-1, ::-1])


def activated(x, facts, slope=0.2):
    """Appendix C.3: zeros between, filter, leaky ReLU, filter, every `down`-th sample; the middle
    of the map stays in the middle."""
    up, down = facts["up"], facts["down"]
    c, h, _ = x.shape
    finer = np.zeros((c, h * up, h * up))
    finer[:, ::up, ::up] = x * up**2
    before, behind = facts["up_filter"], facts["down_filter"]
    missing = (facts["out"] - 1) * down + 1 + len(before) + len(behind) - 2 - h * up
    top = (missing + up) // 2
    finer = np.pad(finer, ((0, 0), *((max(top, 0), max(missing - top, 0)),) * 2))
    start, end = max(-top, 0), max(top - missing, 0)
    finer = finer[:, start : finer.shape[1] - end, start : finer.shape[2] - end]
    z = filtered(finer, before)
    z = np.clip(np.where(z > 0, z, slope * z) * SQRT2, -facts["clamp"], facts["clamp"])
    return filtered(z, behind)[:, ::down, ::down]


def dense(p, x):
    return p["weight"] @ x / np.sqrt(len(x)) + p["bias"]


def fourier_features(p, w, facts):
    """Section 3.1: waves of the picture's plane, turned and shifted by the first style."""
    t = dense(p["affine"], w)
    t = t / np.hypot(t[0], t[1])
    at = (np.arange(facts["side"]) + 0.5 - facts["side"] / 2) / facts["rate"]
    x, y = np.meshgrid(at, at)
    # The picture's point that lies at (x, y): shifted back, then turned back.
    x, y = x - 0, y - 0
    u = t[0] * (x - t[2]) - t[1] * (y - t[3])
    v = t[1] * (x - t[2]) + t[0] * (y - t[3])
    waves = np.sin(
        2
        * np.pi
        * (
            p["freqs"][:, 0, None, None] * u
            + p["freqs"][:, 1, None, None] * v
            + p["phases"][:, None, None]
        )
    )
    length = np.hypot(*p["freqs"].T)
    waves *= np.clip(1 - (length - facts["cutoff"]) / (facts["rate"] / 2 - facts["cutoff"]), 0, 1)[
        :, None, None
    ]
    return np.einsum("chw,dc->dhw", waves, p["weight"] / np.sqrt(len(p["freqs"])))
