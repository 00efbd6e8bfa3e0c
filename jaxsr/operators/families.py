"""Operators with parameters: of one family are those of all photos of a size, whose programs are
compiled once, or those among which a search finds the photo's own."""

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import numpy as np

from jaxsr.operators.linear import Operator, Shape
from jaxsr.operators.optics import optics
from jaxsr.operators.similarity import similarity
from jaxsr.resample import Kernel
from jaxsr.types import AnyArray

Theta = Mapping[str, AnyArray | np.floating | float]
# name -> start, least, greatest. The derivative in a blur vanishes at 0; a tenth of a pixel is none
# that anybody could measure.
OPTICS = {"blur": (0.1, 0.05, 1.5), "shift": (np.zeros(2), -1.0, 1.0), "gain": (1.0, 0.7, 1.4)}
NONE = {"blur": 0.0, "shift": np.zeros(2), "gain": 1.0}
# Moved further than this, a border pixel would hang on the tails of its kernel.
MOVES = {"move": (np.zeros(2), -0.75, 0.75), "turn": (0.0, -0.1, 0.1), "zoom": (0.0, -0.1, 0.1)}


class Family(NamedTuple):
    """Operators of the same shapes that differ in numbers only.

    Attributes:
        make: (theta) -> Operator; theta is name -> float32 array, which may be traced, of the
            names and shapes of `start`.
        start: the theta of a template, and where a search begins unless a photo has its own.
        bounds: name -> (least, greatest), for the parameters that a search moves; the others stay
            as given.
    """

    make: Callable[[Theta], Operator]
    start: dict[str, np.ndarray]
    bounds: dict[str, tuple[float, float]]


def similarities(
    image_shape: Shape,
    photo_shape: Shape,
    *,
    kernel: Kernel = "bicubic",
    free: Collection[str] = (),
) -> Family:
    """`similarity` for every photo of a size: theta is {"matrix": [2, 3], "seen": [h, w]} and,
    where something is free, {"move": [2], "turn": (), "zoom": ()} (see `similarity.moved`), of
    which those in `free` are searched. The template's matrix fills the photo with the picture.

    Raises:
        ValueError: as `similarity`, or a name in `free` that is none of these.
    """
    check_free(free, MOVES)
    scale = photo_shape[0] / image_shape[0]
    offset = (scale - 1) / 2
    matrix = np.asarray([[scale, 0, offset], [0, scale, offset]])
    start = {"matrix": matrix, "seen": np.ones(photo_shape[:2])}
    if free:
        start |= {name: row[0] for name, row in MOVES.items()}

    def make(theta: Theta) -> Operator:
        move = {name: theta[name] for name in MOVES} if free else None
        return similarity(
            image_shape,
            photo_shape,
            theta["matrix"],
            seen=theta["seen"],
            move=move,
            kernel=kernel,
        )

    return Family(make, _floats(start), {name: MOVES[name][1:] for name in free})


def cameras(
    factor: int, *, image_shape: Shape, kernel: Kernel = "bicubic", free: Collection[str] = ()
) -> Family:
    """`optics` of every camera: theta is {"blur": (), "shift": [2], "gain": ()}, of which those in
    `free` are searched and the others leave things as they are.

    Raises:
        ValueError: as `optics`, or a name in `free` that is none of these.
    """
    check_free(free, OPTICS)
    start = NONE | {name: OPTICS[name][0] for name in free}

    def make(theta: Theta) -> Operator:
        return optics(
            factor,
            theta["blur"],
            theta["shift"],
            theta["gain"],
            image_shape=image_shape,
            kernel=kernel,
        )

    return Family(make, _floats(start), {name: OPTICS[name][1:] for name in free})


def check_free(free: Collection[str], names: Collection[str]) -> None:
    """Raises ValueError for a parameter that a family does not have, or one named twice."""
    for name in free:
        if name not in names:
            raise ValueError(f"unknown parameter {name!r}: expected some of {', '.join(names)}")
    if len(set(free)) < len(free):
        raise ValueError(f"expected each parameter once, got {', '.join(free)}")


def _floats(theta: Mapping[str, AnyArray | float]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value, np.float32) for name, value in theta.items()}
