"""How far the numbers of a photo may be trusted: the noise that its file tells of, and the noise
that its pixels show. Standard deviations, of [0, 1]."""

import io
import os

import numpy as np
from PIL import Image

from jaxsr.images.errors import ImageError
from jaxsr.images.reading import FORMATS
from jaxsr.types import AnyImage

# What `patch_noise` reads of clean photos is texture. Of 64 validation photos of blood cells it
# read 1.8 grey levels at 8 px (5 to 95 %: 1.0 to 3.5), 1.2 (0.9 to 1.9) at 16 px, 1.4 (1.1 to 1.8)
# at 32 px and 2.0 (1.7 to 2.4) at 64 px.
CLEAN = 3.5 / 255
LEAST_SIDE, FEW = 16, 1.25  # below that side, what it reads too little
MOST_PATCHES = 20_000


def noise_of(image: AnyImage, compression: float = 0.0) -> float:
    """The noise of a photo [h, w, 3 or 1] in [0, 1]: rounding, `compression` (see
    `compression_noise`), and what of `patch_noise` is above `CLEAN`, below which noise cannot be
    told from texture and does not count.

    Rounding to steps of 1/255, or of 1/65535 where the pixels are finer, is an error of
    step^2 / 12.
    """
    levels = 255.0 * np.asarray(image, np.float64)
    step = 1 / 255 if np.abs(levels - np.round(levels)).max() < 1e-3 else 1 / 65535
    seen = max(patch_noise(image) ** 2 - CLEAN**2, 0.0)
    return float(np.sqrt(step**2 / 12 + compression**2 + seen))


def compression_noise(file: str | os.PathLike | io.BytesIO, side: int | None = None) -> float:
    """The error of a JPEG's pixels, by the tables in its header; 0 for other files.

    A JPEG rounds the cosine coefficients of 8 x 8 pixels, an orthonormal transform, to multiples of
    q: the mean of q^2 / 12 over its table of brightness. Colours do not count: nearly all of their
    coefficients are 0, with an error that is their own size and no q^2 / 12. Photos of 64 px had,
    for this 1, an error (in variance) of 0.2 at quality 50, 0.5 at 75, 0.9 at 85 and 2 at 95, and
    with a quarter of the colours' pixels of 0.3, 0.8, 1.7 and 9.

    Args:
        file: its path, or its bytes in memory.
        side: to which the shorter side was brought by area average, which makes the error of its
            pixels as many times smaller.

    Raises:
        ImageError: a file that is no image.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            tables, shorter = getattr(image, "quantization", None), min(image.size)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{file}: expected an image, got an error: {error}") from error
    if not tables:
        return 0.0
    steps = np.asarray(tables[min(tables)], np.float64) / 255
    return float(np.sqrt(np.mean(steps**2) / 12) * (side or shorter) / shorter)


def patch_noise(image: AnyImage) -> float:
    """The standard deviation of white noise in a photo [h, w, 3 or 1], by its patches (Chen, Zhu
    and Heng, ICCV 2015).

    Structure spans few directions of the space of patches; along the others their covariance is
    that of the noise. Its eigenvalues are dropped from the largest on until the mean of the rest is
    no larger than their median. Patches are of 3 x 3 px. Below 16 px there are hardly as many as a
    covariance of 27 numbers needs: they are of 2 x 2 px then, which read a tenth to a quarter too
    little of noise of 5 to 25 grey levels in colours at 8 px, made up for by `FEW`. Patches without
    any variation, hidden or burnt out, are left out; equal channels are one. After JPEG it finds
    next to nothing.
    """
    pixels = np.asarray(image, np.float64)
    pixels = pixels[..., :1] if np.ptp(pixels, axis=2).max() < 1e-6 else pixels
    small = min(pixels.shape[:2]) < LEAST_SIDE
    patches = _patches(pixels, 2 if small else 3)
    if len(patches) <= patches.shape[1]:
        return 0.0
    rest = np.linalg.eigvalsh(np.cov(patches, rowvar=False))
    while rest.mean() > np.median(rest):
        rest = rest[:-1]
    few = small and pixels.shape[2] > 1
    return float(np.sqrt(max(rest.mean(), 0.0)) * (FEW if few else 1.0))


def _patches(pixels: np.ndarray, side: int) -> np.ndarray:
    """[n, side * side * c], at most some `MOST_PATCHES`, evenly spaced."""
    if min(pixels.shape[:2]) < side:
        return np.zeros((0, side * side * pixels.shape[2]))
    found = np.lib.stride_tricks.sliding_window_view(pixels, (side, side), (0, 1))
    every = int(np.ceil(np.sqrt(found.shape[0] * found.shape[1] / MOST_PATCHES)))
    flat = found[::every, ::every].reshape(-1, side * side * pixels.shape[2])
    return flat[np.ptp(flat, axis=1) > 0]
