"""How fine a photo's details are: the power of its highest octaves, which tells of an enlargement
(too little) and of aliasing (too much)."""

import functools
from typing import NamedTuple

import numpy as np
from PIL import Image

# RMS above a cut-off over that of the octave below it. Of 100 validation photos each (blood cells)
# made small by box, bicubic, Lanczos and bilinear, at the cut-off 1/4: at 16 px 0.48 to 0.90 (box),
# at 32 px 0.46 to 0.97, at 64 px 0.37 to 0.90, at 128 px 0.27 to 0.59. Enlarged twice at least:
# 0.09 to 0.34. Made small by nearest: medians of 0.98, 0.92 and 0.83 at 16, 32 and 64 px.
SMOOTH = 0.35
ROUGH = 0.92
SCALES = (2, 3, 4, 6, 8)
LEAST_BINS = 8  # px a photo needs for each time that it may have been enlarged
LEAST_SIDE = 16
SAME = 1.6  # factor within which two scales explain a photo alike
LEVELS = 0.1  # grey levels of difference that mean nothing
KERNELS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


class Power(NamedTuple):
    """Mean power [n] of the rows (or the columns) at frequencies [n], in cycles a pixel, up to
    1/2."""

    frequencies: np.ndarray
    power: np.ndarray


def powers(grey: np.ndarray) -> list[Power]:
    """Of the columns and the rows of grey levels [h, w], under Hann's window."""
    return [_power(np.moveaxis(grey - grey.mean(), axis, -1)) for axis in (0, 1)]


def _power(lines: np.ndarray) -> Power:
    length = lines.shape[-1]
    window = np.hanning(length + 2)[1:-1]
    spectrum = np.abs(np.fft.rfft(lines * window)) ** 2
    scale = 2 / length / np.sum(window**2)
    return Power(np.arange(spectrum.shape[-1]) / length, spectrum.mean(0) * scale)


def octave_ratio(found: list[Power], scale: float = 2.0) -> float:
    """RMS of what is finer than a photo of 1/scale of the sides can hold, over that of the octave
    below. Where the power of rows falls as 1 / f^2, as of natural photos, that is about
    sqrt(1 - 1 / scale), of white noise sqrt(2 scale - 2)."""
    cut = 0.5 / scale
    above = sum(p.power[p.frequencies > cut].sum() for p in found)
    below = sum(p.power[(p.frequencies > cut / 2) & (p.frequencies <= cut)].sum() for p in found)
    return float(np.sqrt(above / below)) if below > 0 else np.inf


def roughness(grey: np.ndarray) -> float | None:
    """`octave_ratio` of grey levels [h, w] of 0 to 255; None of a photo below 16 px or without
    details."""
    if min(grey.shape) < LEAST_SIDE or np.ptp(grey) < 1:
        return None
    found = octave_ratio(powers(grey))
    return found if np.isfinite(found) else None


def smooth_scale(grey: np.ndarray) -> int:
    """How many times grey levels [h, w] of 0 to 255 were enlarged by a smooth kernel; 1 where
    nothing tells of it.

    Candidates are the scales whose details are missing. Of these the largest is taken that explains
    the pixels as an enlargement (least squares) as well as any: a photo that was enlarged 4 times
    lacks what an enlargement by 2 cannot hold, too. Of a part cut out later, and of one enlarged by
    a bilinear kernel, the scale found is often too small.
    """
    if np.ptp(grey) < 1:
        return 1
    found, side = powers(grey), min(grey.shape)
    scales = [s for s in SCALES if side >= LEAST_BINS * s and octave_ratio(found, s) < SMOOTH]
    if not scales:
        return 1
    unexplained = {scale: _unexplained(grey, scale) for scale in scales}
    least = min(unexplained.values())
    return max(s for s in scales if unexplained[s] <= SAME * least + LEVELS)


def _unexplained(grey: np.ndarray, scale: int) -> float:
    """RMS of what no enlargement by `scale` makes of any smaller photo, for the best kernel."""
    rest = []
    for kernel in KERNELS:
        down, across = (_basis(side, max(2, round(side / scale)), kernel) for side in grey.shape)
        rest.append(np.mean((grey - down @ (down.T @ grey @ across) @ across.T) ** 2))
    return float(np.sqrt(min(rest)))


@functools.lru_cache(maxsize=64)
def _basis(side: int, small: int, kernel: Image.Resampling) -> np.ndarray:
    """An orthonormal basis [side, small] of what Pillow makes of `small` numbers."""
    each = [Image.fromarray(row[None]) for row in np.eye(small, dtype=np.float32)]
    made = [np.asarray(image.resize((side, 1), kernel))[0] for image in each]
    return np.linalg.qr(np.stack(made, 1).astype(np.float64))[0]
