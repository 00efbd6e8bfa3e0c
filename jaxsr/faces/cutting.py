"""The part of a photo around a face as a measurement: whole pixels, cut out, none changed."""

from typing import NamedTuple

import numpy as np

from jaxsr.faces.alignment import Matrix, Square, after, similarity


class Cut(NamedTuple):
    """A part of a photo, of one of a few sizes, so that a search compiled for one face serves
    others.

    Attributes:
        pixels: float32 [n, n, 3], those of the photo, 0 beyond it.
        seen: float32 [n, n], 1 in the photo, 0 beyond it.
        matrix: float64 [2, 3], from the prior's pixels to these (see `similarity`).
        box: left, top, right and bottom (exclusive) of the photo's part in the photo.
    """

    pixels: np.ndarray
    seen: np.ndarray
    matrix: Matrix
    box: tuple[int, int, int, int]


def cut(image: np.ndarray, square: Square, resolution: int) -> Cut:
    """The part of a photo [h, w, 3] that holds every pixel that a square touches, for a prior of
    that resolution."""
    corners = square.corners + 0.5
    low, high = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
    side = canvas_side(int((high - low).max()))
    left, top = (low - (side - (high - low)) // 2).tolist()
    height, width = image.shape[:2]
    box = (max(left, 0), max(top, 0), min(left + side, width), min(top + side, height))
    place = (slice(box[1] - top, box[3] - top), slice(box[0] - left, box[2] - left))
    pixels, seen = np.zeros((side, side, 3), np.float32), np.zeros((side, side), np.float32)
    pixels[place], seen[place] = image[box[1] : box[3], box[0] : box[2]], 1
    matrix = after(similarity(square, resolution), shift=(left, top))
    return Cut(pixels, seen, matrix, box)


def canvas_side(least: int) -> int:
    """The next of 8, 12, 16, 24, 32, 48, ...: two sizes an octave."""
    step = max(4, 1 << max(0, (max(least, 8) - 1).bit_length() - 2))
    return max(8, -(-least // step) * step)
