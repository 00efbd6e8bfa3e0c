"""What the photo itself fixes of a picture, and what the prior filled in."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Shares(NamedTuple):
    """Shares in [0, 1], NaN where there is nothing to share.

    Attributes:
        fixed: of the mean picture's contrast, its squared deviation from its mean colour, what the
            operator sees: the photo fixes it. The rest the prior filled in.
        seen: of the variance among the solutions, what the operator sees: solutions that explain
            the photo exactly differ in nothing that it sees.
    """

    fixed: float
    seen: float


def shares(solutions: np.ndarray, seen: Callable[[np.ndarray], np.ndarray]) -> Shares:
    """Of K solutions [K, h, w, 3].

    Args:
        solutions: at least two.
        seen: (picture [h, w, 3]) -> A+ A picture, the orthogonal projection onto what the operator
            A sees; a picture's square is that of the two parts together (Pythagoras).
    """
    mean = np.mean(solutions, 0, dtype=np.float64)
    contrast = mean - mean.mean((0, 1))
    deviations = solutions - mean
    parts = np.array([np.sum(seen(each) ** 2) for each in deviations])
    return Shares(
        _share(np.sum(seen(contrast) ** 2), np.sum(contrast**2)),
        _share(parts.sum(), np.sum(deviations**2)),
    )


def _share(part: float, whole: float) -> float:
    return float(np.clip(part / whole, 0.0, 1.0)) if whole > 0 else float("nan")
