"""intervals: bootstrap intervals against what is known of the mean of normal numbers."""

import numpy as np
import pytest
from evaluation.intervals import difference_interval, mean_interval


def test_covers_the_true_mean_as_often_as_it_says():
    """A wrong level, or resampling without replacement, covers far more or less often than 95 %."""
    rng = np.random.default_rng(0)
    hits = [
        (found := mean_interval(rng.normal(3.0, 2.0, 60))).low <= 3.0 <= found.high
        for _ in range(200)
    ]
    assert 0.88 <= np.mean(hits) <= 0.99


def test_equals_the_normal_interval_for_many_values():
    values = np.random.default_rng(1).normal(0.0, 1.0, 4_000)
    found, half = mean_interval(values), 1.96 * values.std() / np.sqrt(len(values))
    np.testing.assert_allclose(
        [found.mean, found.low, found.high],
        values.mean() + np.array([0, -half, half]),
        atol=0.1 * half,
    )


def test_pairing_takes_out_what_photos_have_in_common():
    """An unpaired difference would be as uncertain as the photos are different."""
    rng = np.random.default_rng(2)
    photos = rng.normal(0.0, 10.0, 100)
    found = difference_interval(photos + 1.0 + rng.normal(0.0, 0.1, 100), photos)
    assert 0.9 < found.low < 1.0 < found.high < 1.1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], (np.nan,) * 3),
        ([2.0], (2.0,) * 3),
        ([np.nan, 2.0], (2.0,) * 3),
        ([1.0, 1.0], (1.0,) * 3),
    ],
)
def test_few_values(values, expected):
    np.testing.assert_array_equal(mean_interval(np.array(values))[:3], expected)
