"""A restored face drawn into its photo, which is enlarged bicubically for it.

An enlargement by a whole number `scale` puts the centre of a photo's pixel p at
scale p + (scale - 1) / 2 (`alignment.after`). What is drawn into 16 bits stays float until it is
written. Colours are left as they are: a result that explains its photo has the photo's.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from jaxsr import resample
from jaxsr.faces.alignment import Matrix, Square, after, inverse, mapped, similarity

FEATHER = 0.08  # of a square's side, from its edge to where the face alone is seen
MOST = 50_000_000  # pixels of an enlarged photo
ROWS = 128  # that are drawn at once, which bounds the memory


def scale_for(squares: Iterable[Square], resolution: int, shape: Sequence[int]) -> int:
    """By what whole number a photo [h, w, ...] is enlarged so that it holds what the prior drew of
    its smallest square, as far as the photo then has no more than `MOST` pixels; at least 1."""
    wanted = max(math.ceil(resolution / square.side - 1e-6) for square in squares)
    return max(1, min(wanted, math.isqrt(MOST // (shape[0] * shape[1]))))


def enlarged(image: np.ndarray, scale: int) -> np.ndarray:
    """The photo [h, w, 3] bicubically enlarged, float32 in [0, 1]; itself, copied, at scale 1."""
    if scale == 1:
        return np.array(image, np.float32)
    return np.clip(np.asarray(resample.upsample(image, scale)), 0, 1)


def paste(photo: np.ndarray, scale: int, square: Square, result: np.ndarray) -> None:
    """Draws a result [r, r, 3] over its square of an enlarged photo [h, w, 3], in place.

    Where the result's pixels are smaller than the photo's, each of those is a mean of several
    points. The mask rises as a raised cosine from 0 at the square's edge to 1 at `FEATHER` of its
    side. Outside of the square nothing changes.
    """
    resolution = len(result)
    matrix = after(similarity(square, resolution), scale=scale)
    left, top, right, bottom = _box(after_corners(square, scale), photo.shape)
    for first in range(top, bottom, ROWS):
        rows = np.arange(first, min(first + ROWS, bottom))
        drawn, mask = _drawn(result, matrix, rows, np.arange(left, right))
        part = photo[rows[0] : rows[-1] + 1, left:right]
        part += mask[..., None] * (drawn - part)


def after_corners(square: Square, scale: int) -> np.ndarray:
    """The corners [4, 2] of a square in the enlarged photo."""
    return scale * square.corners + (scale - 1) / 2


def paste_all(
    image: np.ndarray, scale: int, faces: Sequence[tuple[Square, np.ndarray]]
) -> np.ndarray:
    """The photo [h, w, 3] enlarged, with the result of each square. Small squares, of faces that
    are far, come first, so that nearer ones cover them; two results are never averaged but where
    a mask fades."""
    photo = enlarged(image, scale)
    for square, result in sorted(faces, key=lambda face: face[0].side):
        paste(photo, scale, square, result)
    return photo


def _box(corners: np.ndarray, shape: Sequence[int]) -> tuple[int, int, int, int]:
    """left, top, right, bottom (exclusive) of the pixels around corners, inside of an image."""
    left, top = np.floor(corners.min(0) + 0.5).astype(int).tolist()
    right, bottom = np.ceil(corners.max(0) + 0.5).astype(int).tolist()
    return max(left, 0), max(top, 0), min(right, shape[1]), min(bottom, shape[0])


def _drawn(
    result: np.ndarray, matrix: Matrix, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What a result shows at these pixels of the photo, [n, m, 3], and the mask [n, m]."""
    back = inverse(matrix)
    step = float(np.hypot(*back[:, 0]))
    points = max(1, math.ceil(step - 1e-6))
    at = (np.arange(points) + 0.5) / points - 0.5
    total = np.zeros((len(rows), len(columns), 3), np.float32)
    for dy in at:
        for dx in at:
            there = np.stack(np.meshgrid(columns + dx, rows + dy), axis=-1)
            total += sampled(result, mapped(back, there))
    centres = mapped(back, np.stack(np.meshgrid(columns, rows), axis=-1))
    return total / points**2, mask_at(centres, len(result))


def mask_at(positions: np.ndarray, resolution: int) -> np.ndarray:
    """The weight of a result at positions [..., 2] in its pixels, float32 in [0, 1]."""
    inside = (positions + 0.5) / resolution
    edge = np.minimum(inside, 1 - inside).min(-1)
    ramp = np.clip(edge / FEATHER, 0, 1)
    return (0.5 - 0.5 * np.cos(np.pi * ramp)).astype(np.float32)


def sampled(image: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The image [h, w, c] at positions [..., 2] (x, y), pixel centres at whole numbers, by cubic
    convolution (a = -0.5), border pixels repeated; float32 [..., c]."""
    base = np.floor(positions).astype(int)
    limits = np.array(image.shape[1::-1]) - 1
    weights = [resample.cubic(positions - base - tap) for tap in range(-1, 3)]
    index = [np.clip(base + tap, 0, limits) for tap in range(-1, 3)]
    total = np.zeros((*positions.shape[:-1], image.shape[2]), np.float32)
    for j in range(4):
        for i in range(4):
            weight = (weights[j][..., 1] * weights[i][..., 0]).astype(np.float32)
            total += weight[..., None] * image[index[j][..., 1], index[i][..., 0]]
    return total
