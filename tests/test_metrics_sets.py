"""Distances between two sets of features: closed forms, the definitions, what does not change them,
and what is refused."""

import warnings

import numpy as np
import pytest

from jaxsr import metrics

# Each has the laws below; a new one is a row of the table.
DISTANCES = list(
    dict.fromkeys(row.measure for row in metrics.DISTANCES.values() if not row.spreads)
)


def test_frechet_distance_of_known_gaussians():
    """Diagonal covariances have a closed form: |m|^2 + sum (s - t)^2."""
    random = np.random.default_rng(0)
    white, _ = np.linalg.qr(random.normal(size=(500, 6)) - 0.0)
    white = (white - white.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(white.T)).T)
    s, t, shift = random.uniform(0.1, 2, 6), random.uniform(0.1, 2, 6), random.normal(size=6)
    expected = np.sum(shift**2) + np.sum((s - t) ** 2)
    np.testing.assert_allclose(
        metrics.frechet_distance(white * s + shift, white * t), expected, rtol=1e-10
    )
    assert metrics.frechet_distance(white * s, white * s) < 1e-12


def test_frechet_distance_equals_the_matrix_root():
    """The definition, by scipy's sqrtm, for correlated features; symmetric."""
    linalg = pytest.importorskip("scipy.linalg")
    random = np.random.default_rng(1)
    f, g = (
        random.normal(size=(300, 8)) @ random.normal(size=(8, 8)),
        random.normal(size=(200, 8)) @ random.normal(size=(8, 8)) + 0.3,
    )
    cov_f, cov_g = np.cov(f.T), np.cov(g.T)
    expected = np.sum((f.mean(0) - g.mean(0)) ** 2) + np.trace(
        cov_f + cov_g - 2 * linalg.sqrtm(cov_f @ cov_g).real
    )
    np.testing.assert_allclose(metrics.frechet_distance(f, g), expected, rtol=1e-9)
    np.testing.assert_allclose(metrics.frechet_distance(g, f), expected, rtol=1e-9)


def test_frechet_distance_warns_of_too_few_rows():
    """A singular covariance is measured as it is, and said; enough rows are silent."""
    few = np.random.default_rng(2).normal(size=(10, 16))
    with pytest.warns(RuntimeWarning, match="10 rows for 16 features"):
        assert metrics.frechet_distance(few, few) < 1e-10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics.frechet_distance(few.T[:, :4], few.T[:, :4])


@pytest.mark.parametrize(
    ("f", "g", "message"),
    [
        (np.zeros((9, 2)), np.zeros((9, 3)), "of one d"),
        (np.zeros((1, 2)), np.zeros((9, 2)), "n >= 2"),
        (np.full((9, 2), np.nan), np.zeros((9, 2)), "finite"),
    ],
)
@pytest.mark.parametrize("distance", [*DISTANCES, metrics.precision_recall])
def test_distances_refuse_bad_features(distance, f, g, message):
    """Otherwise a NaN appears in a results table hours later."""
    with pytest.raises(ValueError, match=message):
        distance(f, g)


def _features(seed: int, rows: int, shift: float = 0.0, width: int = 6) -> np.ndarray:
    return np.maximum(np.random.default_rng(seed).normal(shift, 1.0, (rows, width)), 0.0)


def test_kernel_distance_equals_the_definition():
    """Every pair of rows once, none with itself, by two loops; blocks of rows must not change
    it."""
    f, g = _features(0, 7), _features(1, 5)

    def mean(pairs):
        return np.mean([(x @ y / 6 + 1) ** 3 for x, y in pairs])

    within = [
        mean((x, y) for i, x in enumerate(h) for j, y in enumerate(h) if i != j) for h in (f, g)
    ]
    expected = sum(within) - 2 * mean((x, y) for x in f for y in g)
    np.testing.assert_allclose(metrics.kernel_distance(f, g), expected, rtol=1e-12)


def test_kernel_distance_of_many_rows():
    """More rows than one block of the kernel matrix holds; an uneven rest too."""
    f, g = _features(2, 2100), _features(3, 1030, 0.1)
    within = [
        (np.sum((h @ h.T / 6 + 1) ** 3) - np.sum((np.sum(h * h, 1) / 6 + 1) ** 3))
        / (len(h) * (len(h) - 1))
        for h in (f, g)
    ]
    np.testing.assert_allclose(
        metrics.kernel_distance(f, g), sum(within) - 2 * np.mean((f @ g.T / 6 + 1) ** 3), rtol=1e-9
    )


def test_kernel_distance_is_unbiased():
    """Sets of one distribution are 0 apart on average, however few rows; the Frechet distance is
    not."""
    values = np.array(
        [
            metrics.kernel_distance(_features(2 * i, 12, width=3), _features(2 * i + 1, 9, width=3))
            for i in range(400)
        ]
    )
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))
    assert (values < 0).any()


@pytest.mark.parametrize("distance", DISTANCES)
def test_distances_are_symmetric_and_ordered(distance):
    """The order of sets, of rows and of features means nothing; more shift is more distance."""
    f, g, random = _features(4, 300), _features(5, 200, 0.4), np.random.default_rng(6)
    rows, columns = random.permutation(300), random.permutation(6)
    np.testing.assert_allclose(distance(g, f), distance(f, g), rtol=1e-9)
    np.testing.assert_allclose(
        distance(f[rows][:, columns], g[:, columns]), distance(f, g), rtol=1e-9
    )
    assert distance(f, _features(5, 200)) < distance(f, g) < distance(f, _features(5, 200, 0.8))


def test_kernel_distance_subsets():
    """The whole set as the only subset is the distance itself; a seed fixes the rest; the mean
    estimates the distance."""
    f, g = _features(7, 400), _features(8, 300, 0.5)
    mean, deviation = metrics.kernel_distance_subsets(f[:300], g, num_subsets=2, subset_size=300)
    np.testing.assert_allclose(mean, metrics.kernel_distance(f[:300], g), rtol=1e-9)
    assert deviation < 1e-9 * mean
    scores = metrics.kernel_distance_subsets(f, g, num_subsets=50, subset_size=100, seed=1)
    assert scores == metrics.kernel_distance_subsets(f, g, num_subsets=50, subset_size=100, seed=1)
    assert abs(scores[0] - metrics.kernel_distance(f, g)) < scores[1]


@pytest.mark.parametrize(("num", "size"), [(0, 10), (1, 1), (1, 31)])
def test_kernel_distance_subsets_refuses(num, size):
    """A subset cannot be larger than the set; the default of 1000 needs 1000 rows."""
    with pytest.raises(ValueError, match="2 <= subset_size <= 30 rows"):
        metrics.kernel_distance_subsets(
            np.ones((30, 2)), np.ones((40, 2)), num_subsets=num, subset_size=size
        )


@pytest.mark.parametrize(
    ("rows", "size"), [pytest.param(1030, 1000, marks=pytest.mark.slow), (60, 30), (3, 2)]
)
def test_kernel_distance_as_it_is_printed(rows, size, recwarn):
    """Subsets of another size than the papers' without a word, or without spread."""
    f, g = _features(9, rows + 5), _features(10, rows, 0.3)
    found = metrics.kernel_distance_printed(f, g)
    assert found == metrics.kernel_distance_subsets(f, g, num_subsets=100, subset_size=size)
    told = [str(warning.message) for warning in recwarn]
    expected = [f"100 subsets of {size} of {rows} rows, where 1,000 are usual"]
    assert told == ([] if rows >= 1000 else expected)
    assert found.deviation > 0


@pytest.mark.parametrize("name", [name for name, row in metrics.DISTANCES.items() if row.spreads])
def test_a_mean_over_subsets_estimates_the_distance(name):
    """A column of subsets measures something else than the one of all rows."""
    f, g = _features(11, 400), _features(12, 400, 0.5)
    with pytest.warns(RuntimeWarning, match="100 subsets of 200"):
        mean, deviation = metrics.DISTANCES[name].measure(f, g)
    assert abs(mean - metrics.kernel_distance(f, g)) < deviation
