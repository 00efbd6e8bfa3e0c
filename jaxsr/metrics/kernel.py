"""Kernel distance between two sets of features."""

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float

from jaxsr.metrics._checks import check_features

Features = Float[Array, "..."] | Float[np.ndarray, "..."]
# Number and rows of KID's subsets where a paper does not say (clean-fid, torch-fidelity).
SUBSETS, SUBSET = 100, 1_000
_ROWS = 1024  # of the kernel matrix at a time: 50,000 rows would need 20 GB at once


def _kernel_sum(f: np.ndarray, g: np.ndarray) -> float:
    """The sum of (x.y / d + 1)^3 over all rows x of f [n, d] and y of g [m, d]."""
    blocks = (f[i : i + _ROWS] @ g.T / f.shape[1] + 1.0 for i in range(0, len(f), _ROWS))
    return float(sum(np.sum(block * block * block) for block in blocks))  # a power takes ten times


def _within(f: np.ndarray) -> float:
    """The mean kernel of two different rows of f [n, d]."""
    diagonal = np.sum((np.sum(f * f, 1) / f.shape[1] + 1.0) ** 3)
    return (_kernel_sum(f, f) - diagonal) / (len(f) * (len(f) - 1))


def kernel_distance(f: Features, g: Features) -> float:
    """Unbiased squared maximum mean discrepancy of two sets of features, [n, d] and [m, d], over
    all rows, in float64.

    The kernel is (x.y / d + 1)^3, and a row is not compared with itself (Binkowski et al.,
    arXiv:1801.01401, eq. 4): unlike the Frechet distance its mean does not depend on the number of
    rows, and that of two sets of one distribution is 0, so values below 0 occur.

    Raises:
        ValueError: sets that are not two-dimensional with one d, fewer than two rows, or non-finite
            features.
    """
    f, g = np.asarray(f, np.float64), np.asarray(g, np.float64)
    check_features(f, g)
    return float(_within(f) + _within(g) - 2.0 * _kernel_sum(f, g) / (len(f) * len(g)))


def kernel_distance_subsets(
    f: Features, g: Features, *, num_subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Mean and standard deviation of `kernel_distance` over random subsets of both sets, as KID is
    printed (mostly times 1000).

    Rows are drawn without replacement within a subset. The deviation (divided by num_subsets) is
    that between subsets, as printed by others too: not the error of the mean, since the subsets
    share rows.

    Raises:
        ValueError: as `kernel_distance`; no subset, or a subset size that is not between 2 and the
            rows of the smaller set.
    """
    f, g = np.asarray(f, np.float64), np.asarray(g, np.float64)
    check_features(f, g)
    rows = min(len(f), len(g))
    if num_subsets < 1 or not 2 <= subset_size <= rows:
        raise ValueError(
            f"expected num_subsets >= 1 and 2 <= subset_size <= {rows} rows, got "
            f"{num_subsets} and {subset_size}"
        )
    random = np.random.default_rng(seed)
    values = [
        kernel_distance(
            *(
                features[random.choice(len(features), subset_size, replace=False)]
                for features in (f, g)
            )
        )
        for _ in range(num_subsets)
    ]
    return float(np.mean(values)), float(np.std(values))


class Spread(NamedTuple):
    """A mean over subsets, and the standard deviation between them."""

    mean: float
    deviation: float


def kernel_distance_printed(f: Features, g: Features) -> Spread:
    """`kernel_distance_subsets` of 100 subsets of 1,000 rows, as KID is printed; of half the rows
    where the smaller set has fewer, since subsets of all rows would not spread.

    Warns:
        RuntimeWarning: fewer than 1,000 rows; it says the size of the subsets.

    Raises:
        ValueError: as `kernel_distance`.
    """
    rows = min(len(f), len(g))
    size = SUBSET if rows >= SUBSET else max(2, rows // 2)
    if size < SUBSET:
        message = f"{SUBSETS} subsets of {size} of {rows} rows, where {SUBSET:,} are usual"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    check_features(np.asarray(f), np.asarray(g))
    return Spread(*kernel_distance_subsets(f, g, num_subsets=SUBSETS, subset_size=size))
