"""From K solutions of a photo to a lower and an upper picture."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LEAST_SOLUTIONS = 2  # that explain their photo: of one there is no deviation
FLOORS = np.geomspace(1 / 255, 0.3, 16)  # of the deviation of a colour value


class Spread(NamedTuple):
    """Mean and standard deviation [h, w, 3] of the solutions of a photo that explain it, and their
    number."""

    mean: np.ndarray
    deviation: np.ndarray
    count: int


class Interval(NamedTuple):
    """A lower and an upper picture [h, w, 3] in [0, 1]."""

    lower: np.ndarray
    upper: np.ndarray

    @property
    def width(self) -> np.ndarray:
        """[h, w], mean over channels."""
        return (self.upper - self.lower).mean(-1)


def spread(solutions: np.ndarray, feasible: np.ndarray) -> Spread | None:
    """Of the feasible ones of K solutions [K, h, w, 3]; None of fewer than two: such a photo is
    infeasible, and counts as missed.

    Raises:
        ValueError: numbers of solutions and of feasibilities that differ.
    """
    if solutions.ndim != 4 or len(solutions) != len(feasible):
        raise ValueError(
            f"expected solutions [K, h, w, 3] and K feasibilities, got {solutions.shape} and "
            f"{len(feasible)}"
        )
    kept = np.asarray(solutions, np.float64)[np.asarray(feasible, bool)]
    if len(kept) < LEAST_SOLUTIONS:
        return None
    return Spread(kept.mean(0), kept.std(0, ddof=1), len(kept))


def scale(found: Spread, floor: float) -> np.ndarray:
    """u = sqrt(variance + floor^2) [h, w, 3]. Solutions differ along few directions, so that the
    deviation alone is near 0 where the truth may differ."""
    return np.sqrt(found.deviation**2 + floor**2)


def score(truth: np.ndarray, found: Spread | None, floor: float, share: float) -> float:
    """The least factor with which at least a `share` of the colour values of a photo [h, w, 3] lie
    in mean +- factor u; infinite for an infeasible photo, and where u = 0 is missed.

    Raises:
        ValueError: a truth of another shape.
    """
    if found is None:
        return np.inf
    if truth.shape != found.mean.shape:
        raise ValueError(f"expected a truth of shape {found.mean.shape}, got {truth.shape}")
    error, unit = np.abs(truth - found.mean), scale(found, floor)
    ratio = np.where(error > 0, np.inf, 0.0)
    np.divide(error, unit, out=ratio, where=unit > 0)
    # The ceil(share N)-th smallest, and nothing between two: the share is reached, not neared.
    return float(np.quantile(ratio, share, method="inverted_cdf"))


def interval(found: Spread, floor: float, factor: float) -> Interval:
    """mean -+ factor u, clipped to [0, 1]; an infinite factor gives all of it."""
    unit = scale(found, floor)
    reach = np.full_like(unit, np.inf)
    np.multiply(unit, factor, out=reach, where=np.isfinite(factor))
    return Interval(np.clip(found.mean - reach, 0, 1), np.clip(found.mean + reach, 0, 1))


def covered_share(truth: np.ndarray, found: Interval) -> float:
    """The share of a photo's colour values that lie in the interval."""
    return float(np.mean((truth >= found.lower) & (truth <= found.upper)))


def choose_floor(
    truths: Sequence[np.ndarray], spreads: Sequence[Spread | None], *, share: float, level: float
) -> float:
    """The floor of the deviation that makes the mean width least at this level.

    It is a choice made by looking at the truth: the photos that it is made on must take no part in
    the scores that `threshold` ranks, which then stay exchangeable with a new photo's.

    Raises:
        ValueError: no feasible photo.
    """
    pairs = [(t, s) for t, s in zip(truths, spreads, strict=True) if s is not None]
    if not pairs:
        raise ValueError(
            f"expected photos that two solutions explain, to choose the floor of the deviation by, "
            f"got none among {len(truths)}"
        )

    def mean_width(floor: float) -> float:
        scores = [score(truth, found, floor, share) for truth, found in pairs]
        factor = float(np.quantile(scores, level, method="inverted_cdf"))
        return float(np.mean([interval(found, floor, factor).width.mean() for _, found in pairs]))

    return float(min(FLOORS, key=mean_width))
