"""The figures of a report: how often the intervals held, how wide they are, and for whom they are
not."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from calibration.judged import REPORTED, Judged, is_covered, levels_of, rank_correlation
from jaxsr import calibration
from jaxsr.calibration import Calibration

NOT_COVERED = (
    "a single pixel, a nucleus or a granule: the statement is of shares of whole photos",
    "one photo: the probability is over photos; some kinds may be missed more often (see by type)",
    "diagnosis, identity or age: an interval of colours is no statement about them",
    "photos of another laboratory, camera, stain, kernel or compression than those that calibrated",
    "several photos of one person, slide or film: one each counts, and none may be in both sets",
    "the lower and the upper picture as pictures: they bound each colour value by itself",
)


class Table(NamedTuple):
    """A table of a report: its title, what it shows, the columns, and rows of texts."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def tables(calibrated: Calibration, judged: Sequence[Judged], count: int) -> list[Table]:
    """All tables of a report of `count` solutions a photo."""
    found = [coverage(calibrated, judged)]
    level = _level(calibrated)
    if level is None or not judged:
        return found
    found += [by_type(calibrated, judged, level)] if any(j.label for j in judged) else []
    return [
        *found,
        by_width(judged, level),
        held(judged, level),
        facts(calibrated, judged, level, count),
    ]


def _level(calibrated: Calibration) -> float | None:
    """The level that the finer tables are of."""
    levels = levels_of(calibrated)
    return REPORTED if REPORTED in levels else levels[-1] if levels else None


def coverage(calibrated: Calibration, judged: Sequence[Judged]) -> Table:
    """Nominal against measured coverage, a row a level."""
    rows = []
    for level in levels_of(calibrated):
        hits = sum(is_covered(each, calibrated, level) for each in judged)
        low, high = calibration.coverage_range(len(calibrated.scores), level)
        given = [each.found[level] for each in judged]
        told = [found for found in given if found]
        rows.append(
            (
                f"{level:g}",
                _rate(hits, len(judged)),
                f"{low:.3f} to {high:.3f}",
                f"{calibrated.factor(level):.3g}",
                _mean([found.interval.width.mean() for found in told]),
                *_bounds(judged, level),
                *_sets(judged, level),
            )
        )
    return Table(
        "Coverage",
        f"Photos of which at least {calibrated.share:g} of the colour values lie in the interval, "
        f"of {len(judged)} photos that calibrated nothing, with the 95 % binomial interval; beside "
        f"it where the coverage of a calibration with {len(calibrated.scores)} photos lies 9 times "
        "in 10. Photos that no two solutions explain count as missed.",
        (
            "level",
            "covered",
            "one calibration gives",
            "factor",
            "mean width",
            "PSNR bound held",
            "mean bound (true PSNR)",
            "set of types held",
            "types in it",
        ),
        rows,
    )


def _bounds(judged: Sequence[Judged], level: float) -> tuple[str, str]:
    given = [(found.psnr_bound, each.psnr) for each in judged if (found := each.found[level])]
    hits = sum(bound <= psnr for bound, psnr in given)
    means = [f"{np.mean(part):.2f}" for part in zip(*given, strict=True)] if given else ["", ""]
    return _rate(hits, len(judged)), f"{means[0]} ({means[1]}) dB"


def _sets(judged: Sequence[Judged], level: float) -> tuple[str, str]:
    labelled = [each for each in judged if each.label]
    given = [(found.types, each.label) for each in labelled if (found := each.found[level])]
    if not any(types for types, _ in given):
        return "", ""
    hits = sum(label in types for types, label in given)
    return _rate(hits, len(labelled)), _mean([len(types) for types, _ in given], 2)


def by_type(calibrated: Calibration, judged: Sequence[Judged], level: float) -> Table:
    """Coverage of each labelled type."""
    rows = []
    for name in sorted({each.label for each in judged if each.label}):
        mine = [each for each in judged if each.label == name]
        hits = sum(is_covered(each, calibrated, level) for each in mine)
        widths = [found.interval.width.mean() for each in mine if (found := each.found[level])]
        kept = sum(name in found.types for each in mine if (found := each.found[level]))
        rows.append((name, _rate(hits, len(mine)), _mean(widths), _rate(kept, len(mine))))
    return Table(
        f"By type, level {level:g}",
        "The guarantee is for all photos together; a type may be missed more often.",
        ("type", "covered", "mean width", "set of types held"),
        rows,
    )


def by_width(judged: Sequence[Judged], level: float) -> Table:
    """Which share of the colour values is held where the interval is narrow, and where wide."""
    shares: list[list[float]] = [[], [], [], []]
    for each in judged:
        found = each.found[level]
        if found is None:
            continue
        width = found.interval.upper - found.interval.lower
        inside = (each.photo.truth >= found.interval.lower) & (
            each.photo.truth <= found.interval.upper
        )
        for part, mine in zip(np.array_split(np.argsort(width, axis=None), 4), shares, strict=True):
            mine.append(float(inside.ravel()[part].mean()))
    names = ("narrowest", "second", "third", "widest")
    return Table(
        f"By width, level {level:g}",
        "Share of the colour values held in each quarter of a photo's, by the interval's width; "
        "mean over photos.",
        ("quarter", "held"),
        [(name, _mean(mine)) for name, mine in zip(names, shares, strict=True)],
    )


def held(judged: Sequence[Judged], level: float) -> Table:
    """How the shares held are spread over photos."""
    edges = (0.0, 0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1.0)
    counts, _ = np.histogram([each.held[level] for each in judged], edges)
    pairs = zip(edges[:-1], edges[1:], counts, strict=True)
    return Table(
        f"Shares held, level {level:g}",
        "How many photos have which share of their colour values in the interval.",
        ("share", "photos"),
        [(f"{low:g} to {high:g}", str(count)) for low, high, count in pairs],
    )


def facts(calibrated: Calibration, judged: Sequence[Judged], level: float, count: int) -> Table:
    """What else tells whether the widths can be believed."""
    told = [(each, found) for each in judged if (found := each.found[level])]
    widths = [found.interval.width.mean() for _, found in told]
    errors = [math.sqrt(each.mean) for each, _ in told]
    single, mean = (float(np.sum([getattr(e, n) for e, _ in told])) for n in ("single", "mean"))
    gain = 10 * math.log10(single / mean) if told and mean > 0 else math.nan
    expected = 10 * math.log10(2 * count / (count + 1))
    rows = [
        (
            "scores of both sets of photos are of one distribution (Kolmogorov-Smirnov, p)",
            _one_distribution(calibrated, judged),
        ),
        ("photos that no two solutions explain", str(len(judged) - len(told))),
        (
            "rank correlation of width and error within a photo (Spearman, mean)",
            _mean([each.spearman for each, _ in told]),
        ),
        (
            "rank correlation of mean width and root mean squared error over photos",
            _mean([rank_correlation(np.array(widths), np.array(errors))], 2),
        ),
        (
            f"gain of the mean of {count} solutions over one",
            f"{gain:.2f} dB ({expected:.2f} for samples of the posterior)",
        ),
        (
            "share of the mean picture's contrast that the photo fixes",
            _mean([found.shares.fixed for _, found in told]),
        ),
        (
            "share of the solutions' variance that the operator sees",
            _mean([found.shares.seen for _, found in told], 5),
        ),
    ]
    return Table(f"Facts, level {level:g}", "", ("", "value"), rows)


def _one_distribution(calibrated: Calibration, judged: Sequence[Judged]) -> str:
    """A small p tells that the photos that calibrated are not like the others, which is all that
    the guarantee asks for."""
    others = [each.score for each in judged]
    first, second = (np.minimum(scores, 1e9) for scores in (calibrated.scores, others))
    return f"{stats.ks_2samp(first, second)[1]:.2g}"


def _rate(hits: int, count: int) -> str:
    low, high = calibration.binomial_range(hits, count)
    return f"{hits / max(count, 1):.3f} ({hits} of {count}; {low:.3f} to {high:.3f})"


def _mean(values: Sequence[float], digits: int = 3) -> str:
    finite = [value for value in values if not math.isnan(value)]
    return f"{np.mean(finite):.{digits}f}" if finite else ""
