"""How far a mean over photos can be trusted: bootstrap intervals."""

from typing import NamedTuple

import numpy as np

RESAMPLES, LEVEL = 2_000, 0.95


class Interval(NamedTuple):
    """A mean, its percentile bootstrap interval, and the number of values."""

    mean: float
    low: float
    high: float
    count: int


def mean_interval(values: np.ndarray, *, seed: int = 0) -> Interval:
    """Mean of values [n] and its 95 % percentile bootstrap interval from 2,000 resamples (Efron and
    Tibshirani 1993); NaN are left out.

    The interval of a single value is that value; without any, all are NaN; where one is infinite,
    there is none. The same values give the same interval.
    """
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    if np.isinf(values).any():
        return Interval(float(values.mean()), np.nan, np.nan, len(values))
    rng = np.random.default_rng(seed)
    means = np.array(
        [values[rng.integers(0, len(values), len(values))].mean() for _ in range(RESAMPLES)]
    )
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(values.mean()), float(low), float(high), len(values))


def difference_interval(first: np.ndarray, second: np.ndarray, *, seed: int = 0) -> Interval:
    """The mean of first - second, [n] each over the same photos, with its interval; what a photo
    adds to both cancels."""
    return mean_interval(np.asarray(first, np.float64) - np.asarray(second, np.float64), seed=seed)
