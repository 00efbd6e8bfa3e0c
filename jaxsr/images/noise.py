"""How far the numbers of a photo may be trusted: the noise that its file tells of, and the noise
that its pixels show. Standard deviations, of [0, 1]."""

import io
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, JpegImagePlugin

from jaxsr.images import members, raster
from jaxsr.images.errors import ImageError
from jaxsr.images.shapes import resize_area
from jaxsr.types import AnyImage

# What `patch_noise` reads of clean photos is texture. Of 64 validation photos of blood cells it
# read 1.8 grey levels at 8 px (5 to 95 %: 1.0 to 3.5), 1.2 (0.9 to 1.9) at 16 px, 1.4 (1.1 to 1.8)
# at 32 px and 2.0 (1.7 to 2.4) at 64 px.
CLEAN = 3.5 / 255
LEAST_SIDE, FEW = 16, 1.25  # below that side, what it reads too little
MOST_PATCHES = 20_000
HALF = 4  # px, of a JPEG's block
MOST_PIXELS = 1024
LOST_COLOURS = 1.5
ORIENTATION = 0x0112  # of EXIF


def noise_of(image: AnyImage, compression: float = 0.0) -> float:
    """The noise of a photo [h, w, 3 or 1] in [0, 1]: rounding, `compression` (see
    `compression_noise`), and what of `patch_noise` is above `CLEAN`, below which noise cannot be
    told from texture and does not count.

    Rounding to steps of 1/255 is an error of step^2 / 12. It counts where pixels are finer, too: a
    photo of 16 bits is seldom better than that. Of grey photos the patches tell nothing (clean ones
    of 8 px read 30 grey levels): their noise has to be known.
    """
    return float(np.sqrt((1 / 255) ** 2 / 12 + compression**2 + seen_noise(image) ** 2))


def seen_noise(image: AnyImage) -> float:
    """What of `patch_noise` of a photo [h, w, 3 or 1] is above `CLEAN`; 0 of grey ones."""
    pixels = np.asarray(image, np.float64)
    is_grey = np.ptp(pixels, axis=2).max() < 1e-6
    return 0.0 if is_grey else float(np.sqrt(max(patch_noise(pixels) ** 2 - CLEAN**2, 0.0)))


class Compression(NamedTuple):
    """How a JPEG was made, as its header tells.

    Attributes:
        tables: number -> the 64 steps of a block's cosine coefficients.
        sampling: Pillow's: 0 for colours of all pixels (4:4:4), 1 of every second column, 2 of
            every second row too (4:2:0).
    """

    tables: dict[int, list[int]]
    sampling: int


def compression_noise(
    file: str | os.PathLike | io.BytesIO, side: int | None = None, *, chroma_known: bool = False
) -> float:
    """The error of a JPEG's pixels, by `recompression_noise`; 0 for other files.

    Args:
        file: its path, or its bytes in memory.
        side: to which the shorter side is brought by area average, which makes the error of its
            pixels smaller.
        chroma_known: see `recompression_noise`.

    Raises:
        ImageError: a JPEG that cannot be read.
    """
    try:
        content = _content(file)
        with raster.opened_jpeg(content) as image:
            compression = image and compression_of(image)
            if image is None or not compression:
                return 0.0
            shorter = min(image.size)
            middle = raster.loaded(image, content)[0].crop(_middle_box(image.size)).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{file}: expected an image, got an error: {error}") from error
    pixels = np.asarray(middle, np.float32) / 255
    scale = (side or shorter) / shorter
    return recompression_noise(pixels, compression, scale, chroma_known=chroma_known)


def compression_in(file: str | os.PathLike) -> Compression | None:
    """How the pixels of a file were compressed, in the order in which they are read; None of what
    is no JPEG, and of one that EXIF turns.

    Raises:
        ImageError: a JPEG that cannot be read.
    """
    try:
        with raster.opened_jpeg(_content(file)) as image:
            turned = image is not None and image.getexif().get(ORIENTATION, 1) != 1
            return None if image is None or turned else compression_of(image)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{file}: expected an image, got an error: {error}") from error


def _content(file: str | os.PathLike | io.BytesIO) -> Path | bytes:
    if isinstance(file, io.BytesIO):
        return file.getvalue()
    return members.content(Path(file)) or Path(file)


def compression_of(image: Image.Image) -> Compression | None:
    """Of an open JPEG; None of other files. A grey one has no colours to sample."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return None
    return Compression(image.quantization, max(JpegImagePlugin.get_sampling(image), 0))


def recompression_noise(
    pixels: AnyImage,
    compression: Compression,
    scale: float = 1.0,
    *,
    chroma_known: bool = False,
) -> float:
    """The error that JPEG left in the pixels [h, w, 3] in [0, 1] that were read of it.

    They are moved by half a block, so that other blocks are rounded, and compressed once more as
    they were: what that changes is as large as what the first time changed. (Nominal errors,
    q^2 / 12 a coefficient, are two to six times too large, as most coefficients are 0.) Over 48
    photos of 8 to 64 px at quality 50 to 95 this was 0.8 to 1.05 of the true error with all
    colours. Colours of fewer pixels have lost what no second time can lose: there it was 0.5 to
    0.75, made up for by `LOST_COLOURS`.

    Args:
        pixels: of the photo; of a large one its middle counts.
        compression: how it was compressed.
        scale: by which its sides are brought smaller afterwards, by area average; at most 1.
        chroma_known: whether what is measured has lost the colours already (4:2:0 as part of an
            operator), so that what rounding changes is all. Over 50 photos of 16 to 64 px this was
            0.92 to 0.98 of the true error at quality 95, 0.83 to 0.89 at 75 and 50.
    """
    middle = _middle(np.asarray(pixels, np.float32))
    moved = np.pad(middle, ((HALF, 2 * HALF), (HALF, 2 * HALF), (0, 0)), "reflect")
    again = _compressed(moved, compression.tables, compression.sampling)
    fine = dict.fromkeys(compression.tables, [1] * 64)
    unrounded = _compressed(moved, fine, compression.sampling) if chroma_known else moved
    height, width = middle.shape[:2]
    error = (again - unrounded)[HALF : HALF + height, HALF : HALF + width]
    if scale < 1:
        shorter = min(height, width)
        error = resize_area(error[:shorter, :shorter], max(1, round(shorter * scale)))
    lost = LOST_COLOURS if compression.sampling and not chroma_known else 1.0
    return float(lost * np.sqrt(np.mean(error**2)))


def _compressed(pixels: np.ndarray, tables: dict[int, list[int]], sampling: int) -> np.ndarray:
    """Pixels in [0, 1] through a JPEG of these tables."""
    file = io.BytesIO()
    Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)).save(
        file, "JPEG", qtables=tables, subsampling=sampling
    )
    return np.asarray(Image.open(file), np.float32) / 255


def _middle(pixels: np.ndarray) -> np.ndarray:
    """At most `MOST_PIXELS` on a side."""
    left, top, right, bottom = _middle_box(pixels.shape[1::-1])
    return pixels[top:bottom, left:right]


def _middle_box(size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the middle of a photo of a width and a height."""
    left, top = (max(0, (side - MOST_PIXELS) // 2) for side in size)
    return left, top, min(left + MOST_PIXELS, size[0]), min(top + MOST_PIXELS, size[1])


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
