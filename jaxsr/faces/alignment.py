"""The square around a face that priors of FFHQ were trained on, and its map between the pixels of
the prior and those of the photo.

Points and maps count pixel centres: (0, 0) is the centre of the first pixel, x goes to the right, y
down. Pillow's quad counts pixel edges and is half a pixel more.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Points = Float[np.ndarray, "n 2"]
Matrix = Float[np.ndarray, "2 3"]

LONG_FACE = 1.3  # times that the eye-mouth term of the side may surpass the eye term
ASIDE = 0.35  # of the eye distance: how far a nose may be from between the eyes


class Square(NamedTuple):
    """A turned square in a photo.

    Attributes:
        centre: (x, y) in pixels of the photo.
        across: half its side as a vector, along the face's eyes to the right of the upright face;
            its y axis is this one turned a quarter turn clockwise as seen.
    """

    centre: np.ndarray
    across: np.ndarray

    @property
    def down(self) -> np.ndarray:
        return np.array([-self.across[1], self.across[0]])

    @property
    def side(self) -> float:
        """In pixels of the photo."""
        return 2 * float(np.hypot(*self.across))

    @property
    def corners(self) -> Points:
        """[4, 2]: top left, bottom left, bottom right, top right of the upright face, on the edges
        of the outermost pixels."""
        x, y = self.across, self.down
        return self.centre + np.stack([-x - y, -x + y, x + y, x - y])


@dataclasses.dataclass(frozen=True, eq=False)
class Face:
    """A face in a photo.

    Attributes:
        points: float64 [5, 2]: the eye on the left of the upright face, as one sees it, the other
            eye, nose, left and right corner of the mouth (as YuNet and RetinaFace give them); or
            [68, 2], those of dlib and 300-W.
        score: the detector's, of [0, 1]; 1 for points that were given.
        remark: what is to be told of how it was found.
    """

    points: Points
    score: float = 1.0
    remark: str = ""

    def __post_init__(self) -> None:
        points = np.asarray(self.points, np.float64)
        if points.shape not in ((5, 2), (68, 2)) or not np.isfinite(points).all():
            raise ValueError(
                "expected 5 or 68 points (x, y) of a face, finite, got an array of shape "
                f"{np.shape(self.points)}"
            )
        object.__setattr__(self, "points", points)
        if np.cross([*self.eye_to_eye, 0], [*self.eye_to_mouth, 0])[2] <= 0:
            raise ValueError(
                "expected the left eye of the upright face, as one sees it, first, and the mouth "
                "below the eyes, got points of a mirrored face, or in another order"
            )

    @property
    def eyes(self) -> Points:
        """[2, 2], the centres of the eyes: left and right as one sees the upright face."""
        points = self.points
        return (
            points[:2] if len(points) == 5 else np.stack([points[i : i + 6].mean(0) for i in EYE])
        )

    @property
    def mouth(self) -> np.ndarray:
        """Between the corners of the mouth."""
        return self.points[list(MOUTH[len(self.points)])].mean(0)

    @property
    def nose(self) -> np.ndarray:
        return self.points[NOSE[len(self.points)]]

    @property
    def eye_to_eye(self) -> np.ndarray:
        return self.eyes[1] - self.eyes[0]

    @property
    def eye_to_mouth(self) -> np.ndarray:
        return self.mouth - self.eyes.mean(0)

    @property
    def square(self) -> Square:
        """See `ffhq_square`."""
        return ffhq_square(self)

    @property
    def is_profile(self) -> bool:
        """Whether the head is turned further than most of FFHQ's: by the nose, or by an eye
        distance that is short for the height of the face."""
        width = np.hypot(*self.eye_to_eye)
        aside = abs((self.nose - self.eyes.mean(0)) @ self.eye_to_eye) / width
        return bool(
            aside > ASIDE * width or 1.8 * np.hypot(*self.eye_to_mouth) > LONG_FACE * 2.0 * width
        )


EYE = (36, 42)  # of 68 points, where the six of each eye begin
MOUTH = {5: (3, 4), 68: (48, 54)}
NOSE = {5: 2, 68: 30}


def ffhq_square(face: Face) -> Square:
    """The square of FFHQ (Karras et al., arXiv:1812.04948; `recreate_aligned_images` of their
    release) around a face.

    With e from eye to eye and m from the eyes' middle to the mouth's: its x axis points along e +
    (m_y, -m_x); its half side is the larger of 2.0 |e| and 1.8 |m|; its centre lies 0.1 m below the
    eyes' middle.
    """
    e, m = face.eye_to_eye, face.eye_to_mouth
    across = e + np.array([m[1], -m[0]])
    half = max(2.0 * np.hypot(*e), 1.8 * np.hypot(*m))
    return Square(face.eyes.mean(0) + 0.1 * m, across / np.hypot(*across) * half)


def similarity(square: Square, resolution: int) -> Matrix:
    """The map (u, v, 1) -> (x, y) from pixels of the prior's picture [resolution, resolution, 3] to
    those of the photo, float64 [2, 3].

    The square's edges are the outer edges of the picture's pixels, so its corner is at
    (-0.5, -0.5).
    """
    x, y = square.across, square.down
    step = 2 / resolution
    origin = square.centre - x - y + (x + y) / resolution
    return np.stack([step * x, step * y, origin], axis=1)


def inverse(matrix: Matrix) -> Matrix:
    """The map back, [2, 3]."""
    turn = np.linalg.inv(matrix[:, :2])
    return np.concatenate([turn, -turn @ matrix[:, 2:]], axis=1)


def after(matrix: Matrix, *, scale: float = 1.0, shift: tuple[float, float] = (0, 0)) -> Matrix:
    """The same map into a photo that was cut to begin at pixel `shift` (x, y), and then enlarged
    `scale` times: its pixel p is at scale p + (scale - 1) / 2."""
    cut = matrix - np.array([[0, 0, shift[0]], [0, 0, shift[1]]])
    return scale * cut + np.array([[0, 0, (scale - 1) / 2]] * 2)


def mapped(matrix: Matrix, points: np.ndarray) -> np.ndarray:
    """Points [..., 2] through a map."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def covered(square: Square, width: int, height: int) -> float:
    """The share of the square's area that a photo of that size covers."""
    inside = square.corners[::-1] + 0.5
    for axis, limit in ((0, width), (1, height)):
        inside = _clipped(inside, axis, 0.0, 1.0)
        inside = _clipped(inside, axis, float(limit), -1.0)
    return _area(inside) / square.side**2


def _clipped(polygon: np.ndarray, axis: int, limit: float, sign: float) -> np.ndarray:
    """The part of a convex polygon [n, 2] on one side of a line (Sutherland and Hodgman 1974)."""
    kept = []
    for point, following in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        here, there = sign * (point[axis] - limit), sign * (following[axis] - limit)
        if here >= 0:
            kept.append(point)
        if here * there < 0:
            kept.append(point + here / (here - there) * (following - point))
    return np.array(kept).reshape(-1, 2)


def _area(polygon: np.ndarray) -> float:
    x, y = polygon.T
    return 0.5 * abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))
