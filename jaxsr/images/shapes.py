"""Images of another shape: cropped, padded, or made smaller."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from jaxsr.images.errors import ImageError
from jaxsr.types import AnyImage

Mode = Literal["crop", "pad"]
BLOCK = 4_000_000  # numbers that are averaged at once


def square(image: AnyImage, *, mode: Mode) -> tuple[np.ndarray, str]:
    """The image made square about its centre: cropped to its shorter side or padded to its longer;
    see `fit`."""
    return fit(
        image, size=min(image.shape[:2]) if mode == "crop" else max(image.shape[:2]), mode=mode
    )


def fit(
    image: AnyImage, *, mode: Mode, size: int | None = None, multiple: int | None = None
) -> tuple[np.ndarray, str]:
    """The image cropped or padded about its centre, and a short sentence of what was done ("" for
    nothing).

    Give one of `size`, after which the image is [size, size, 3], and `multiple`, after which each
    side is the nearest multiple of it: below for "crop", above for "pad". Padding mirrors the image
    at its border, the border pixel repeated. AnyImage are never resampled.

    Raises:
        ImageError: not exactly one of size and multiple, or a size that the mode cannot reach.
    """
    height, width = image.shape[:2]
    if (size is None) == (multiple is None) or (size or multiple or 0) < 1:
        raise ImageError(
            f"expected one of size and multiple, at least 1, got size {size} and multiple "
            f"{multiple}"
        )
    target = (
        (size, size)
        if size is not None
        else tuple(_nearest(side, multiple or 1, mode) for side in (height, width))
    )
    change = [new - old for new, old in zip(target, (height, width), strict=True)]
    if 0 in target or (max(change) > 0 if mode == "crop" else min(change) < 0):
        raise ImageError(
            f"cannot {mode} an image of {width} x {height} px to {target[1]} x {target[0]} px"
        )
    image = np.asarray(image)
    if change == [0, 0]:
        return image, ""
    before = [abs(step) // 2 for step in change]
    if mode == "crop":
        image = image[before[0] : before[0] + target[0], before[1] : before[1] + target[1]]
    else:
        widths = [(first, step - first) for first, step in zip(before, change, strict=True)]
        image = np.pad(image, [*widths, (0, 0)], mode="symmetric")
    done = "cropped to the centre" if mode == "crop" else "padded by mirroring"
    return image, f"{done}: {width} x {height} px became {target[1]} x {target[0]} px"


def _nearest(side: int, multiple: int, mode: Mode) -> int:
    return side // multiple * multiple if mode == "crop" else -(-side // multiple) * multiple


def scaled_line(was: int, side: int) -> str:
    """What is told of a square of `was` px that became one of `side` px: by area average where it
    is smaller now, bicubically where it is larger; "" where it is neither."""
    how = "by area average" if was > side else "bicubically"
    return "" if was == side else f"scaled {how}: {was} x {was} px became {side} x {side} px"


def resize_area(image: AnyImage, size: int) -> np.ndarray:
    """A square image brought down to [size, size, 3] by area average, exact for any ratio; for
    references and training data.

    Raises:
        ImageError: an image that is not square (see `square`) or smaller than `size`.
    """
    image = np.asarray(image)
    return resize_area_of(image.shape, lambda top, end: image[top:end], size)


def resize_area_of(
    shape: tuple[int, ...], rows: Callable[[int, int], np.ndarray], size: int
) -> np.ndarray:
    """`resize_area` of an image of a shape that is never held as a whole: `rows(top, end)` gives
    those of its rows. A block of them at a time is averaged."""
    height, width = shape[:2]
    if height != width or not 1 <= size <= height:
        raise ImageError(
            f"expected a square image of at least {size} x {size} px, got {width} x {height} px"
        )
    edges = np.arange(size + 1) * (height / size)
    step = max(1, int(BLOCK / (height / size * width * shape[2])))
    done = [_block(rows, edges[first : first + step + 1], edges) for first in range(0, size, step)]
    return np.concatenate(done).astype(np.float32)


def _block(
    rows: Callable[[int, int], np.ndarray], edges: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Means over the areas between edges of rows and of columns, in px."""
    top = int(edges[0])
    pixels = np.asarray(rows(top, int(np.ceil(edges[-1]))), np.float64)
    return _means(_means(pixels, edges - top).swapaxes(0, 1), columns).swapaxes(0, 1)


def _means(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Means of axis 0 between equally spaced edges, which may lie inside of a pixel: differences of
    the integral at the edges."""
    pixel = np.minimum(edges.astype(int), len(x) - 1)
    before = np.concatenate([np.zeros_like(x[:1]), np.cumsum(x, axis=0)])[pixel]
    return np.diff(before + (edges - pixel)[:, None, None] * x[pixel], axis=0) / np.diff(edges)[0]
