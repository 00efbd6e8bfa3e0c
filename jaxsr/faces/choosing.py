"""Which of a photo's faces are restored, and what is to be said of each."""

import re
from collections.abc import Sequence

import numpy as np

from jaxsr.faces.alignment import Face, covered

CHOICES = ("all", "largest", "centre")
FEWEST = 5.0  # px between the eyes, below which points and results are guesses
LEAST_COVERED = 0.5  # of a square


def check_choice(which: str) -> None:
    """Raises ValueError for what is none of `CHOICES` and no number."""
    if which not in CHOICES and not re.fullmatch(r"\d+", which):
        raise ValueError(
            f"expected a face of {', '.join(CHOICES)} or a number from 0 on, got {which!r}"
        )


def chosen(faces: Sequence[Face], which: str, width: int, height: int) -> list[int]:
    """The indices of the faces asked for, of a photo of that size: all, the largest, the one
    nearest to the photo's centre, or the one of that number.

    Raises:
        ValueError: there is no face, or none of that number.
    """
    check_choice(which)
    if not faces:
        raise ValueError("expected a face, found none")
    if which == "all":
        return list(range(len(faces)))
    if which == "largest":
        return [max(range(len(faces)), key=lambda i: faces[i].square.side)]
    if which == "centre":
        middle = (np.array([width, height]) - 1) / 2
        distances = [float(np.hypot(*(face.square.centre - middle))) for face in faces]
        return [int(np.argmin(distances))]
    if int(which) >= len(faces):
        raise ValueError(f"expected face {which}, found {len(faces)}, numbered from 0 on")
    return [int(which)]


def check_usable(face: Face, width: int, height: int, resolution: int) -> None:
    """Raises ValueError for a face of which the photo shows less than half of the square, or that
    has more pixels than the prior draws."""
    share, side = covered(face.square, width, height), face.square.side
    if share < LEAST_COVERED:
        raise ValueError(
            f"expected at least {LEAST_COVERED:.0%} of the face's square in the photo, got "
            f"{share:.0%}"
        )
    if side > resolution:
        raise ValueError(
            f"expected a face whose square is smaller than the prior's {resolution} px, got "
            f"{side:.0f} px: make the photo smaller, or use a prior of a higher resolution"
        )


def check_inside(face: Face, width: int, height: int) -> None:
    """Raises ValueError for points that were given and do not lie in the photo."""
    used = np.concatenate([face.eyes, face.mouth[None]])
    for x, y in used:
        if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            raise ValueError(
                f"expected points in the photo of {width}x{height} px, got one at "
                f"({x:.1f}, {y:.1f})"
            )


def remarks(face: Face, width: int, height: int) -> list[str]:
    """What a user should know of a face before believing its result."""
    eyes, share = float(np.hypot(*face.eye_to_eye)), covered(face.square, width, height)
    told = [face.remark]
    if eyes < FEWEST:
        told.append(f"tiny face ({eyes:.1f} px between the eyes): compare several --num_solutions")
    if face.is_profile:
        told.append("profile: FFHQ holds few such heads")
    if share < 1 - 1e-6:
        told.append(f"face at the border ({share:.0%} of its square in the photo)")
    return [line for line in told if line]
