"""jaxsr.calibration: intervals that hold as often as they say, against crepes, dense matrices and
slow loops."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from crepes import ConformalRegressor
from scipy import stats

from jaxsr import calibration
from jaxsr.calibration import Calibration, Spread
from jaxsr.calibration.intervals import FLOORS

SHAPE, K, SHARE = (6, 6, 3), 8, 0.9


def photos(rng, count, *, explored: float | np.ndarray = 1.0, infeasible=0.0):
    """(truth, solutions [K], feasible [K]) whose deviations differ from photo to photo and pixel to
    pixel; the solutions have only `explored` of them, as those of searches that end alike."""
    made = []
    for _ in range(count):
        centre = rng.uniform(0.3, 0.7, SHAPE)
        deviation = rng.gamma(3.0, 0.01, SHAPE) * rng.gamma(4.0, 0.25)
        truth = centre + deviation * rng.standard_normal(SHAPE)
        solutions = centre + explored * deviation * rng.standard_normal((K, *SHAPE))
        feasible = np.full(K, rng.uniform() >= infeasible)
        made.append((np.clip(truth, 0, 1), np.clip(solutions, 0, 1), feasible))
    return made


def scores(made, floor):
    found = [(t, calibration.spread(s, f)) for t, s, f in made]
    return [calibration.score(truth, spread, floor, SHARE) for truth, spread in found]


@pytest.mark.parametrize("count, level", [(9, 0.9), (20, 0.8), (57, 0.9), (40, 0.95)])
def test_a_new_photo_is_covered_as_often_as_promised(count, level):
    """The printed probability is not that of new photos: over calibrations it is k / (n + 1), not
    less than the level and at most 1 / (n + 1) more."""
    rng, trials = np.random.default_rng(count), 5_000
    drawn = rng.gamma(2.0, 1.0, (trials, count + 1))
    hits = sum(row[-1] <= calibration.threshold(row[:-1], level) for row in drawn)
    rank = math.ceil(round((count + 1) * level, 9))
    assert level <= rank / (count + 1) <= level + 1 / (count + 1)
    low, high = stats.binom.ppf([1e-4, 1 - 1e-4], trials, rank / (count + 1))
    assert low <= hits <= high


@pytest.mark.parametrize("explored", [1.0, 0.25], ids=["samples", "restarts that end alike"])
def test_intervals_of_pictures_cover(explored):
    """The whole way, floor and all, misses more photos than its level says; or an interval that is
    not calibrated would have done as well."""
    rng = np.random.default_rng(3)
    tuning, ranked, new = (photos(rng, n, explored=explored) for n in (30, 150, 400))
    spreads = [calibration.spread(s, f) for _, s, f in tuning]
    floor = calibration.choose_floor(
        [truth for truth, _, _ in tuning], spreads, share=SHARE, level=0.9
    )
    factor = calibration.threshold(scores(ranked, floor), 0.9)

    def hits(factor):
        held = []
        for truth, solutions, feasible in new:
            spread = calibration.spread(solutions, feasible)
            assert spread is not None
            held.append(
                calibration.covered_share(truth, calibration.interval(spread, floor, factor))
            )
        return np.sum(np.asarray(held) >= SHARE)

    low, high = calibration.coverage_range(150, 0.9, mass=0.999)
    assert stats.binom.ppf(1e-3, 400, low) <= hits(factor) <= stats.binom.ppf(0.999, 400, high)
    assert hits(1.0) < 200  # one deviation, as it is, covers far fewer


def test_the_floor_makes_intervals_narrower():
    """Where solutions hardly differ, a deviation of almost 0 would make the factor huge, and with
    it the width everywhere else."""
    explored = np.where(np.arange(SHAPE[1])[:, None] < 3, 1.0, 0.02)  # half of the picture hardly
    made = photos(np.random.default_rng(5), 60, explored=explored)
    truths, spreads = [t for t, _, _ in made], [calibration.spread(s, f) for _, s, f in made]
    floor = calibration.choose_floor(truths, spreads, share=SHARE, level=0.9)

    def width(floor):
        factor = calibration.threshold(scores(made, floor), 0.9)
        found = [calibration.interval(s, floor, factor) for s in spreads if s]
        return np.mean([each.width.mean() for each in found])

    assert FLOORS[0] < floor < FLOORS[-1]
    assert width(floor) < 0.9 * width(1e-6)


def test_thresholds_are_those_of_crepes():
    """Another library's order statistic, of all photos and by group."""
    rng = np.random.default_rng(0)
    found, groups = rng.gamma(2.0, 1.0, 153), np.repeat(["a", "b", "c"], 51)
    for level in (0.6, 0.8, 0.9, 0.95):
        oracle = ConformalRegressor().fit(found)
        (_, expected), *_ = oracle.predict_int(np.zeros(1), confidence=level)
        assert calibration.threshold(found, level) == expected
        oracle = ConformalRegressor().fit(found, bins=groups)
        (*_, expected) = oracle.predict_int(
            np.zeros(3), bins=np.array(["a", "b", "c"]), confidence=level
        ).T
        got = calibration.thresholds(found.tolist(), groups.tolist(), ["a", "b", "c"], level)
        assert list(got.values()) == expected.tolist()


def test_small_groups_are_not_calibrated_apart():
    """A threshold of ten photos of a rare type varies too much to mean anything."""
    found, groups = list(range(109)), ["a"] * 60 + ["b"] * 49
    shared = calibration.threshold(found, 0.9)
    assert calibration.thresholds(found, groups, ["a", "b"], 0.9) == {"a": shared, "b": shared}
    apart = calibration.thresholds([*found, 200], [*groups, "b"], ["a", "b"], 0.9)
    assert apart["a"] < shared < apart["b"]
    with_stranger = calibration.thresholds([*found, 200], [*groups, "b"], ["a", "b", "c"], 0.9)
    assert len(set(with_stranger.values())) == 1  # nothing is known of a third type


@pytest.mark.parametrize("level, least", [(0.8, 4), (0.9, 9), (0.95, 19), (0.99, 99)])
def test_too_few_photos_are_refused(level, least):
    """A level that so few photos cannot give gets a number all the same."""
    assert calibration.least_photos(level) == least
    calibration.threshold(range(least), level)
    with pytest.raises(ValueError, match=f"at least {least} photos, got {least - 1}"):
        calibration.threshold(range(least - 1), level)
    with pytest.raises(ValueError, match=f"at least {least} photos"):
        calibration.coverage_range(least - 1, level)


@pytest.mark.parametrize(
    "count, low, high",
    [(20, 0.78, 0.98), (50, 0.83, 0.96), (100, 0.85, 0.945), (1000, 0.88, 0.915)],
)
def test_the_range_of_one_calibration(count, low, high):
    """The range that is printed is not that of real calibrations: uniform scores have their
    threshold for coverage."""
    got = calibration.coverage_range(count, 0.9)
    assert got == pytest.approx((low, high), abs=0.006)
    rng = np.random.default_rng(1)
    real = [calibration.threshold(rng.uniform(size=count), 0.9) for _ in range(4_000)]
    assert np.quantile(real, [0.05, 0.95]) == pytest.approx(got, abs=0.008)


def test_scores_are_those_of_a_slow_loop():
    """The factor of a photo is not the least with which the share is reached."""
    rng = np.random.default_rng(2)
    for truth, solutions, feasible in photos(rng, 5):
        feasible[rng.integers(K)] = False
        kept = [solutions[k] for k in range(K) if feasible[k]]
        ratios = []
        for place in np.ndindex(SHAPE):
            values = [float(each[place]) for each in kept]
            mean = sum(values) / len(values)
            variance = sum((v - mean) ** 2 for v in values) / (len(values) - 1)
            ratios.append(abs(truth[place] - mean) / math.sqrt(variance + 0.02**2))
        spread = calibration.spread(solutions, feasible)
        got = calibration.score(truth, spread, 0.02, SHARE)
        assert got == pytest.approx(sorted(ratios)[math.ceil(SHARE * len(ratios)) - 1], rel=1e-9)
        assert spread is not None
        for factor, is_enough in ((got * (1 + 1e-9), True), (got * (1 - 1e-6), False)):
            held = calibration.covered_share(truth, calibration.interval(spread, 0.02, factor))
            assert (held >= SHARE) == is_enough


def test_solutions_that_are_all_alike():
    """u = 0: a division by zero that warns, or NaN, or an interval that holds what it misses."""
    same = Spread(np.full(SHAPE, 0.5), np.zeros(SHAPE), K)
    assert calibration.score(np.full(SHAPE, 0.5), same, 0.0, SHARE) == 0
    assert calibration.score(np.full(SHAPE, 0.6), same, 0.0, SHARE) == np.inf
    assert calibration.score(np.full(SHAPE, 0.6), same, 0.1, SHARE) == pytest.approx(1.0)
    whole = calibration.interval(same, 0.0, np.inf)
    assert (whole.lower == 0).all() and (whole.upper == 1).all()


def test_infeasible_photos_count_as_missed():
    """Photos that no solution explains are left out of the calibration, and its level holds for the
    easy ones alone."""
    made = photos(np.random.default_rng(7), 100, infeasible=0.06)
    lost = sum(not feasible.any() for _, _, feasible in made)
    assert lost > 2
    found = scores(made, 0.02)
    assert sum(map(math.isinf, found)) == lost
    kept = [score for score in found if math.isfinite(score)]
    assert calibration.threshold(found, 0.9) > calibration.threshold(kept, 0.9)
    some = Calibration({}, "photos", SHARE, 0.02, 0.0, found, found)
    assert math.isfinite(some.factor(0.9))
    with pytest.raises(ValueError, match=f"{lost} of the 100 photos that calibrated have no two"):
        some.factor(0.99)
    truth, solutions, feasible = made[0]
    feasible = np.arange(K) < 1
    assert calibration.spread(solutions, feasible) is None
    assert calibration.score(truth, None, 0.02, SHARE) == np.inf
    assert calibration.psnr_score(truth, solutions, feasible) == np.inf


def test_what_the_photo_fixes_is_what_its_operator_sees():
    """The share is not that of the projection onto the rows of A, by a dense matrix."""
    operator, rng = toy.operator(4), np.random.default_rng(0)
    size = math.prod(operator.image_shape)
    matrix = np.asarray(jax.jacobian(operator.apply)(jnp.zeros(operator.image_shape)), np.float64)
    matrix = matrix.reshape(-1, size)
    dense = np.linalg.pinv(matrix) @ matrix

    def seen(image):
        return (dense @ image.ravel()).reshape(image.shape)

    solutions = rng.uniform(size=(4, *operator.image_shape))
    got = calibration.shares(solutions, lambda x: np.asarray(operator.pinv(operator(x)), float))
    mean, rows = solutions.mean(0), solutions - solutions.mean(0)
    expected = [sum(np.sum(seen(r) ** 2) for r in rows) / np.sum(rows**2)]
    contrast = mean - mean.mean((0, 1))
    expected.append(np.sum(seen(contrast) ** 2) / np.sum(contrast**2))
    assert (got.seen, got.fixed) == pytest.approx(expected, rel=1e-4)
    alike = np.stack([s - seen(s) + seen(solutions[0]) for s in solutions])
    assert calibration.shares(alike, seen).seen == pytest.approx(0, abs=1e-12)
    assert math.isnan(calibration.shares(np.full((2, 16, 16, 3), 0.5), seen).seen)


def test_sets_of_types_hold_the_truth():
    """Types that a restored cell shows are taken for its own more often than promised."""
    rng, types = np.random.default_rng(4), ["a", "b", "c", "d"]

    def drawn(count):
        truths = rng.integers(4, size=count)
        logits = rng.standard_normal((count, K, 4))
        logits[np.arange(count), :, truths] += rng.uniform(-0.5, 3, count)[:, None]
        return truths, logits

    known, limits = drawn(300), drawn(4_000)
    found = [
        calibration.type_score(logits, int(truth)) for truth, logits in zip(*known, strict=True)
    ]
    limit = calibration.threshold(found, 0.9)
    sets = [calibration.type_set(logits, types, limit) for logits in limits[1]]
    hits = sum(types[truth] in s for truth, s in zip(limits[0], sets, strict=True))
    low, high = calibration.coverage_range(300, 0.9, mass=0.999)
    assert stats.binom.ppf(1e-3, 4_000, low) <= hits <= stats.binom.ppf(0.999, 4_000, high) + 40
    likeliest = sum(types[t] == s[0] for t, s in zip(limits[0], sets, strict=True))
    assert likeliest < 0.85 * 4_000  # the likeliest type alone would not do
    assert all(sets) and np.mean([*map(len, sets)]) < 3.5
    assert calibration.type_score(np.zeros((0, 4)), 1) == np.inf


def test_the_bound_on_psnr_holds():
    """The bound that stands beside a result is above its real PSNR more often than it says."""
    rng = np.random.default_rng(6)
    known, new = photos(rng, 150, explored=0.5), photos(rng, 400, explored=0.5)
    excess = calibration.threshold([calibration.psnr_score(*each) for each in known], 0.9)
    pairs = [(calibration.psnr_bound(s, f, excess), calibration.psnr(s[0], t)) for t, s, f in new]
    low, high = calibration.coverage_range(150, 0.9, mass=0.999)
    hits = sum(bound <= real for bound, real in pairs)
    assert stats.binom.ppf(1e-3, 400, low) <= hits <= stats.binom.ppf(0.999, 400, high)
    naive = sum(calibration.psnr_bound(s, f, 0.0) <= calibration.psnr(s[0], t) for t, s, f in new)
    assert naive < 100  # solutions that end alike promise too much


def test_a_calibration_is_read_as_it_was_written(tmp_path):
    """Infinite scores become numbers, or another file is taken for a calibration."""
    found = Calibration(
        {"operator": "x", "eps": 0.002}, "photos", 0.9, 0.04, 0.001, [1.0, np.inf], [2.0, np.inf],
        ["a", ""], ["a", "b"], [0.5], "1234",
    )  # fmt: skip
    calibration.write(tmp_path / "c.json", found)
    assert calibration.read(tmp_path / "c.json") == found
    for content in ("{}", "[]", "no", json.dumps({"format": "another"})):
        (tmp_path / "other.json").write_text(content)
        with pytest.raises(ValueError, match="expected a calibration that"):
            calibration.read(tmp_path / "other.json")
    with pytest.raises(ValueError, match="cannot read the calibration: No such file"):
        calibration.read(tmp_path / "none.json")


def test_the_sentence_says_what_holds():
    """A reader takes the level for that of a pixel or of this one photo."""
    found = Calibration({}, "photos", 0.9, 0.04, 0.0, [1.0] * 99, [1.0] * 99)
    told = found.sentence(0.9)
    assert "probability at least 0.9, at least 0.9 of the colour values" in told
    assert "n = 99, alpha = 0.1, q = 0.9" in told and "0.847 to 0.944 (90 % range)" in told
