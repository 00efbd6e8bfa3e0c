"""Photos whose pixels were repeated: enlarged by nearest neighbour."""

from typing import NamedTuple

import numpy as np

LEAST_STEPS = 4  # changes along a side that a whole number must divide the distances of


class Runs(NamedTuple):
    """Pixels repeated.

    Attributes:
        scale: how many times, along both sides; 1: they are not.
        top, left: of the first whole run.
    """

    scale: int
    top: int = 0
    left: int = 0


def repeated(pixels: np.ndarray) -> Runs:
    """How many times pixels [h, w, c] were repeated: the greatest common divisor of the distances
    between changes, along columns and rows."""
    (down, top), (across, left) = (_along(np.moveaxis(pixels, axis, 0)) for axis in (0, 1))
    scale = int(np.gcd(down, across))
    return Runs(scale, top % scale, left % scale) if scale > 1 else Runs(1)


def _along(lines: np.ndarray) -> tuple[int, int]:
    """The divisor along the first axis, and the first change; (1, 0) where too little changes."""
    changes = np.flatnonzero((lines[1:] != lines[:-1]).any((1, 2))) + 1
    if len(changes) < LEAST_STEPS:
        return 1, 0
    return int(np.gcd.reduce(np.diff(changes))), int(changes[0])
