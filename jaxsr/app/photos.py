"""A photo as it was dropped, brought to a size that the prior restores."""

import os
from typing import NamedTuple

import jax
import numpy as np

from jaxsr import degradations, images, inspect, operators
from jaxsr.images import ImageError

REFERENCE_FACTOR = 8  # of a photo as large as the prior's pictures, which is made small first


class Prepared(NamedTuple):
    """A photo to restore.

    Attributes:
        y: [s, s, 3] in [0, 1], the low-resolution photo.
        factor: by which it is enlarged; s times this is the prior's side.
        reference: [side, side, 3], what it was made small from; None for a photo that is small
            itself.
        noise: standard deviation of its noise, of [0, 1].
        eps: the largest residual that counts as explained, a mean square.
        told: what was done to it, and what a restoration can be judged by.
    """

    y: np.ndarray
    factor: int
    reference: np.ndarray | None
    noise: float
    eps: float
    told: tuple[str, ...]


def factors_of(side: int) -> list[int]:
    """By which a prior of that side can enlarge."""
    return [factor for factor in range(2, side + 1) if side % factor == 0]


def prepare(file: str | os.PathLike, side: int, factor: int | None = None) -> Prepared:
    """Reads a photo for a prior of `side` px.

    One that is smaller than the prior's pictures is cropped to the size that the factor needs,
    around its centre; its pixels are not resampled. A larger one is brought to the prior's size by
    area average, made small by the factor (bicubic) and rounded to 8 bits, so that the result can
    be compared with it.

    Args:
        file: of any format that `jaxsr.images` reads.
        side: of the prior's pictures, px.
        factor: enlargement. Default: the one that crops least; 8 of a large photo.

    Raises:
        ImageError: a file that is no photo, or a photo too small for the factor.
    """
    picture = images.load(file)
    if min(picture.shape[:2]) >= side:
        return _made_small(picture, side, factor or min(REFERENCE_FACTOR, side))
    size = _size(picture, side, factor)
    fitted, done = picture.fit(size=size, mode="crop")
    y = fitted.image()
    compression = images.compression_noise(file)
    noise = images.noise_of(y, compression)
    eps = images.tolerance_of(y, compression=compression, kernel=images.KERNEL).eps
    told = (f"{size} x {size} px, to be enlarged {side // size} times", done, *picture.remarks)
    return Prepared(y, side // size, None, noise, eps, tuple(filter(None, told)))


def look(file: str | os.PathLike) -> list[str]:
    """What a photo's file and pixels tell before it is restored, a line each.

    Raises:
        ImageError: a file that is no photo.
    """
    found = inspect.inspect(file)
    told = [f"{found.width} x {found.height} px, {found.bits} bits; noise {255 * found.noise:.1f}"]
    told[0] += " of 255"
    if found.facts.quality is not None:
        about = "" if found.facts.quality.exact else "about "
        told.append(f"JPEG of quality {about}{found.facts.quality.value} {found.facts.chroma}")
    return told + [f"careful: {each}" for each in inspect.findings(found)]


def _size(picture: images.Picture, side: int, factor: int | None) -> int:
    """The side that is left of a small photo."""
    shorter = min(picture.shape[:2])
    sizes = [side // each for each in factors_of(side) if side // each <= shorter]
    if factor is None:
        return max(sizes)
    if side // factor not in sizes:
        raise ImageError(
            f"expected a photo of at least {side // factor} px on a side to be enlarged {factor} "
            f"times to {side} px, got {shorter} px: choose a larger factor"
        )
    return side // factor


def _made_small(picture: images.Picture, side: int, factor: int) -> Prepared:
    square, done = picture.square(mode="crop")
    reference = square.resize_area(side)
    operator = operators.downsample(factor, image_shape=reference.shape)
    y = np.asarray(degradations.recorded(operator(jax.numpy.asarray(reference))))
    told = (
        f"as large as the prior's pictures: made small {factor} times first, to {len(y)} x "
        f"{len(y)} px, so that the result can be compared with the photo",
        done,
        *picture.remarks,
    )
    eps = images.tolerance_of(y, kernel=images.KERNEL).eps
    return Prepared(y, factor, reference, images.noise_of(y), eps, tuple(filter(None, told)))
