"""Split conformal prediction (Vovk et al. 2005; Angelopoulos and Bates, arXiv:2107.07511): one
order statistic of the scores of exchangeable photos."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

LEAST_GROUP = 50  # photos of each group, before groups are calibrated apart


def _rank(count: int, level: float) -> int:
    """ceil((n + 1) level); 10 x 0.9 is 9, whatever its last bit."""
    return math.ceil(round((count + 1) * level, 9))


def least_photos(level: float) -> int:
    """The fewest photos of which a calibration of this level can be made: 9 for 0.9, 19 for 0.95.

    Raises:
        ValueError: a level that is not between 0 and 1.
    """
    _require_level(level)
    least = math.floor(level / (1 - level))
    return next(n for n in range(max(least - 1, 1), least + 3) if _rank(n, level) <= n)


def _require_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1, got {level:g}")


def threshold(scores: Sequence[float] | np.ndarray, level: float) -> float:
    """The ceil((n + 1) level)-th smallest of n scores: a new photo's score, exchangeable with them,
    is at most that with probability at least `level`. Infinite where so many scores are.

    Raises:
        ValueError: a level that is not between 0 and 1, fewer scores than it needs, or NaN.
    """
    values = np.sort(np.asarray(scores, np.float64))
    if np.isnan(values).any():
        raise ValueError("expected scores that are numbers, got NaN")
    least = least_photos(level)
    if len(values) < least:
        raise ValueError(
            f"the level {level:g} needs a calibration with at least {least} photos, got "
            f"{len(values)}"
        )
    return float(values[_rank(len(values), level) - 1])


def thresholds(
    scores: Sequence[float], groups: Sequence[str], known: Sequence[str], level: float
) -> dict[str, float]:
    """A threshold for each known group of its own photos (Mondrian: the level then holds within
    each), where every one has 50 photos; else one of all photos for each.

    Args:
        scores: n.
        groups: n names, that tell of a photo what can be seen without its truth.
        known: all groups that a photo can be of.
        level: see `threshold`.

    Raises:
        ValueError: as `threshold`.
    """
    members = {
        name: [s for s, g in zip(scores, groups, strict=True) if g == name] for name in known
    }
    if members and all(len(part) >= LEAST_GROUP for part in members.values()):
        return {name: threshold(part, level) for name, part in members.items()}
    return dict.fromkeys(known, threshold(scores, level))


def coverage_range(count: int, level: float, mass: float = 0.9) -> tuple[float, float]:
    """Between which limits the coverage that one calibration of `count` photos gives lies with
    probability `mass`: it is Beta(k, n + 1 - k), k = ceil((n + 1) level), over calibrations (Vovk
    2012, arXiv:1209.2673), for scores without ties.

    Raises:
        ValueError: fewer photos than the level needs.
    """
    rank = _rank(count, level)
    if rank > count:
        raise ValueError(
            f"the level {level:g} needs a calibration with at least {least_photos(level)} photos, "
            f"got {count}"
        )
    low, high = stats.beta.ppf([(1 - mass) / 2, (1 + mass) / 2], rank, count + 1 - rank)
    return float(low), float(high)


def binomial_range(hits: int, count: int, mass: float = 0.95) -> tuple[float, float]:
    """The interval of Clopper and Pearson (1934) for the probability behind `hits` of `count`; (0,
    1) of none."""
    if count == 0:
        return 0.0, 1.0
    found = stats.binomtest(hits, count).proportion_ci(mass, method="exact")
    return float(found.low), float(found.high)
