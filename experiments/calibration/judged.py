"""A calibration made of the searched photos, and what it says of photos that it has not seen."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from restoration import intervals_made
from restoration.intervals_made import TypeReader, find, seen_by
from scipy import stats

from calibration.searches import Bench, Searched
from jaxsr import calibration
from jaxsr.calibration import Calibration
from jaxsr.calibration.type_sets import likeliest

LEVELS, REPORTED = (0.8, 0.9, 0.95), 0.9
TUNED = 0.2  # of the photos that calibrate: they choose the floor and have no score


def calibrate(
    bench: Bench, found: Sequence[Searched], reader: TypeReader | None, labels: dict[str, str]
) -> Calibration:
    """The floor from the first fifth of the photos, which are in a random order, and the scores of
    the others.

    Raises:
        ValueError: too few photos.
    """
    share = bench.settings.share
    cut = math.ceil(TUNED * len(found))
    tuning, ranked = found[:cut], found[cut:]
    if len(ranked) < calibration.least_photos(LEVELS[0]):
        raise ValueError(
            f"expected at least {least_photos(LEVELS[0])} photos to calibrate with, got "
            f"{len(found)} that can be used"
        )
    floor = calibration.choose_floor(
        [photo.truth for photo in tuning],
        [calibration.spread(photo.solutions, photo.feasible) for photo in tuning],
        share=share,
        level=REPORTED,
    )
    spreads = [calibration.spread(photo.solutions, photo.feasible) for photo in ranked]
    typed = [_typed(photo, reader, labels) for photo in ranked] if reader else []
    return Calibration(
        fingerprint=bench.fingerprint,
        source=str(bench.settings.data),
        share=share,
        floor=floor,
        noise=max(photo.noise for photo in ranked),
        scores=[
            calibration.score(photo.truth, spread, floor, share)
            for photo, spread in zip(ranked, spreads, strict=True)
        ],
        excesses=[
            calibration.psnr_score(photo.truth, photo.solutions, photo.feasible) for photo in ranked
        ],
        groups=[group for group, _ in typed],
        types=reader.types if reader else (),
        type_scores=[score for _, score in typed if score is not None],
        features=reader.digest if reader else "",
    )


def least_photos(level: float) -> int:
    """Of which a calibration of this level can be made, those that choose the floor included."""
    least = calibration.least_photos(level)
    return next(n for n in range(least, 3 * least + 3) if n - math.ceil(TUNED * n) >= least)


def _typed(photo: Searched, reader: TypeReader, labels: dict[str, str]) -> tuple[str, float | None]:
    """The type read off the solutions, and the score of the labelled one."""
    logits = reader.logits(photo.solutions[photo.feasible])
    label = labels.get(photo.name)
    score = calibration.type_score(logits, reader.types.index(label)) if label else None
    return (reader.types[likeliest(logits)] if len(logits) else "", score)


class Judged(NamedTuple):
    """What the calibration said of a photo, beside its truth.

    Attributes:
        photo: with its solutions.
        score: infinite where too few solutions explain the photo.
        found: level -> what was said; None where too few solutions explain the photo.
        held: level -> the share of its colour values that the interval holds; 0 without one.
        spearman: rank correlation of width and error over the photo's pixels; NaN without.
        single, mean: mean squared errors of the solutions (their mean) and of their mean picture.
        psnr: of the first solution that explains the photo.
        label: the photo's type; "" without.
    """

    photo: Searched
    score: float
    found: dict[float, intervals_made.Found | None]
    held: dict[float, float]
    spearman: float
    single: float
    mean: float
    psnr: float
    label: str


def levels_of(calibrated: Calibration) -> list[float]:
    """Those of LEVELS that the calibration has photos enough for, feasible ones."""
    possible = [
        level for level in LEVELS if len(calibrated.scores) >= calibration.least_photos(level)
    ]
    return [
        level
        for level in possible
        if math.isfinite(calibration.threshold(calibrated.scores, level))
    ]


def judge(
    bench: Bench,
    calibrated: Calibration,
    found: Sequence[Searched],
    reader: TypeReader | None,
    labels: dict[str, str],
) -> list[Judged]:
    """Of photos that took no part in the calibration."""
    seen = seen_by(bench.fitter.operator(bench.factor))
    return [_judge(calibrated, photo, seen, reader, labels.get(photo.name, "")) for photo in found]


def _judge(
    calibrated: Calibration,
    photo: Searched,
    seen: Callable[[np.ndarray], np.ndarray],
    reader: TypeReader | None,
    label: str,
) -> Judged:
    found = {
        level: find(calibrated, level, photo.solutions, photo.feasible, seen=seen, reader=reader)
        for level in levels_of(calibrated)
    }
    held = {
        level: calibration.covered_share(photo.truth, each.interval) if each else 0.0
        for level, each in found.items()
    }
    some = next((each for each in found.values() if each), None)
    if some is None:
        return Judged(photo, math.inf, found, held, math.nan, math.nan, math.nan, math.nan, label)
    kept = photo.solutions[photo.feasible]
    error = np.abs(photo.truth - some.spread.mean)
    return Judged(
        photo,
        calibration.score(photo.truth, some.spread, calibrated.floor, calibrated.share),
        found,
        held,
        rank_correlation(some.interval.width, error.mean(-1)),
        float(np.mean((kept - photo.truth) ** 2)),
        float(np.mean(error**2)),
        calibration.psnr(kept[0], photo.truth),
        label,
    )


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's; NaN of fewer than three, or where one of them is the same everywhere."""
    if first.size < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return math.nan
    return float(np.corrcoef(*(stats.rankdata(part.ravel()) for part in (first, second)))[0, 1])


def is_covered(judged: Judged, calibrated: Calibration, level: float) -> bool:
    """Whether the interval holds the share of the photo that is guaranteed."""
    return judged.held[level] >= calibrated.share
