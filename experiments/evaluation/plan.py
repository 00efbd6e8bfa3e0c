"""What is to be evaluated: a suite with what the flags say otherwise, and its cells."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from evaluation import suites
from evaluation.cells import REFERENCE, Cell
from evaluation.options import LEAST_JUDGED, Settings, consistency_of
from evaluation.scores import COLUMNS
from evaluation.suites import Suite
from evaluation.variants import Variant
from jaxsr import degradations, flags
from jaxsr.methods import METHODS, Consistency
from jaxsr.methods.auto import AUTO
from jaxsr.operators import OPERATORS, is_image, make

DEFAULT_FACTOR = 8  # of methods that are compared, where the prior is large enough


def plan(settings: Settings, resolution: int) -> tuple[Suite, list[Cell]]:
    """The suite and its cells. Raises ValueError for a name or a factor that makes no sense."""
    suite = _suite(settings)
    _check_preset(suite, settings.preset)
    suite = _overridden(suite, settings, resolution)
    check_used(settings, suite.variants, suite.operators)
    cells = _cells(suite, resolution, consistency_of(settings))
    _check_factors(cells, resolution)
    _check_degradations(suite, resolution)
    return suite, cells


def _suite(settings: Settings) -> Suite:
    """The suite that is asked for, or one of the methods that are."""
    if (settings.suite is None) == (not settings.methods) and not settings.smoke:
        known = ", ".join([*suites.SUITES, *suites.FIGURES])
        raise ValueError(f"give --suite or --methods, one of the two; suites: {known}")
    if settings.suite is not None:
        return suites.SUITES[settings.suite]
    names = flags.names("methods", settings.methods) or ["bicubic", "pulse"]
    for name in names:
        flags.choose(name, [*METHODS, REFERENCE, AUTO], "method")
    variants = tuple(Variant(name, name) for name in names)
    return Suite("Comparison", variants, (), names[0], tuple(COLUMNS))


def _cells(suite: Suite, resolution: int, moved: Sequence[Consistency]) -> list[Cell]:
    """The operators that take a factor first, under the conditions of one table after the other."""
    shrinking = [name for name in suite.operators if OPERATORS[name].takes_factor]
    others = [name for name in suite.operators if name not in shrinking]
    at = [(name, factor) for name in shrinking for factor in suite.factors]
    at += [(name, 1) for name in others]
    searches = [
        Cell(variant, name, factor, degradation, _judged(suite, factor, resolution))
        for name, factor in at
        for degradation in suite.degradations
        for variant in suite.variants
    ]
    # Nothing moves a real photo.
    return [
        cell._replace(consistency=way)
        for cell in searches
        for way in (moved if len(moved) > 1 and cell.variant.method != REFERENCE else [None])
    ]


def _judged(suite: Suite, factor: int, resolution: int) -> int | None:
    """px, where it is another side than the prior's."""
    side = suite.low * factor if suite.low and factor > 1 else suite.judge_at
    return None if side == resolution else side


def _check_factors(cells: list[Cell], resolution: int) -> None:
    """Raises ValueError for a factor that leaves no whole picture, or one that the prior's
    resolution is no multiple of."""
    for cell in (cell for cell in cells if cell.takes_factor):
        side, factor = cell.side(resolution), cell.factor
        if factor < 2:
            raise ValueError(f"expected factors of at least 2, got {factor}")
        whole = "the prior's resolution" if cell.judge_at is None else "the judged side"
        if side % factor:
            fitting = ", ".join(str(f) for f in range(2, side + 1) if side % f == 0)
            raise ValueError(
                f"factor {factor} does not divide {whole} of {side} px: choose of {fitting}"
            )
        if resolution % (side // factor):
            raise ValueError(
                f"--judge_at={side}: photos of {side // factor} px at factor {factor} do not "
                f"divide the prior's resolution of {resolution} px"
            )


def _check_degradations(suite: Suite, resolution: int) -> None:
    """Raises ValueError for a degradation of pictures where an operator's measurement is none."""
    others = ", ".join(name for name in suite.degradations if name != "clean")
    for name in suite.operators if others else ():
        if OPERATORS[name].takes_factor:
            continue
        if not is_image(make(name, resolution).measurement_shape):
            raise ValueError(
                f"--operators={name} measures no picture: expected --degradations=clean, got "
                f"{others}"
            )


def _check_preset(suite: Suite, preset: str) -> None:
    """Raises ValueError for a preset that none of the suite's methods has."""
    kinds = [
        METHODS[variant.method].Config for variant in suite.variants if variant.method in METHODS
    ]
    if not kinds and preset != "paper" and any(v.method == AUTO for v in suite.variants):
        raise ValueError(
            f"--preset={preset} is for a method, not for --methods={AUTO}: leave it out"
        )
    if kinds and not any(preset in kind.PRESETS for kind in kinds):
        known = sorted({name for kind in kinds for name in kind.PRESETS})
        raise ValueError(
            f"--preset={preset}: none of the methods has it, expected {' or '.join(known)}"
        )


def check_used(
    settings: Settings, variants: tuple[Variant, ...], operators: tuple[str, ...]
) -> None:
    """Raises ValueError for a flag that no method and no operator reads."""
    methods = [METHODS[variant.method] for variant in variants if variant.method in METHODS]
    readers = {
        "network": "a method with a perceptual term",
        "models": "a method with a model of its own",
        "factors": "an operator that makes photos small",
    }
    is_read = {
        "network": any(hasattr(method.Config, "network") for method in methods),
        "models": any(method.kind in ("learned", "diffusion") for method in methods),
        "factors": any(OPERATORS[name].takes_factor for name in operators),
    }
    for name, reader in readers.items():
        if getattr(settings, name) is not None and not is_read[name]:
            raise ValueError(f"--{name} is for {reader}, of which there is none here: leave it out")


def check_figure(settings: Settings) -> None:
    """Raises ValueError for a flag of photos, of which a figure of the prior alone reads none."""
    check_used(settings, (), ())
    for name in ("eps", "judge_at", "landmarks", "noise", "pick", "reference_free"):
        if getattr(settings, name):
            raise ValueError(
                f"--{name} is for photos, of which --suite={settings.suite} reads none: leave it "
                "out"
            )


def _overridden(suite: Suite, settings: Settings, resolution: int) -> Suite:
    """The suite with what the flags say otherwise."""
    suite = _without_references(suite, settings) if settings.reference_free else suite
    suite = dataclasses.replace(suite, **_sizes(suite, settings, resolution))
    labels = [variant.label for variant in suite.variants]
    changed: dict[str, Any] = {
        "degradations": _chosen("degradations", settings, suite, list(degradations.ROBUSTNESS)),
        "operators": _chosen("operators", settings, suite, list(OPERATORS)),
        "baseline": flags.choose(settings.baseline or suite.baseline, labels, "baseline"),
        "solutions": settings.num_solutions or suite.solutions,
    }
    suite = dataclasses.replace(suite, **changed)
    if suite.reference_free:
        _check_reference_free(suite, settings)
    return suite


def _sizes(suite: Suite, settings: Settings, resolution: int) -> dict[str, Any]:
    """Factors and the side that results are judged at. Raises ValueError for a side that results do
    not have."""
    asked = settings.judge_at
    judged = min(suite.judge_at or resolution, resolution) if asked is None else asked
    if judged > resolution or (asked is not None and asked < LEAST_JUDGED):
        raise ValueError(
            f"--judge_at={judged}: expected from {LEAST_JUDGED} to {resolution} px, the prior's "
            "resolution, since results show no more"
        )
    scaled = suites.scaled(suite.factors, judged)
    factors = tuple(scaled) or (min(DEFAULT_FACTOR, judged // 2),)
    stands_for = {ours: paper for ours, paper in scaled.items() if ours != paper}
    if settings.factors:
        factors, stands_for = tuple(dict.fromkeys(settings.factors)), {}
    low = None if settings.judge_at or not suite.low else suite.low
    return {
        "factors": factors,
        "stands_for": stands_for,
        "judge_at": judged,
        "low": low and max(1, min(low, resolution // max(factors))),
    }


def _without_references(suite: Suite, settings: Settings) -> Suite:
    """The suite for photos that are low-resolution already. Raises ValueError where the real photo
    is asked for by its name."""
    if settings.methods and any(variant.method == REFERENCE for variant in suite.variants):
        raise ValueError(
            f"--methods={REFERENCE} needs photos of full resolution: leave --reference_free out"
        )
    variants = tuple(variant for variant in suite.variants if variant.method != REFERENCE)
    return dataclasses.replace(suite, variants=variants, reference_free=True)


def _check_reference_free(suite: Suite, settings: Settings) -> None:
    """Raises ValueError for what only photos of full resolution have."""
    odd = [f"--operators={name}" for name in suite.operators if not OPERATORS[name].takes_factor]
    odd += [f"--degradations={name}" for name in suite.degradations if name != "clean"]
    odd += ["--landmarks"] if settings.landmarks else []
    if odd:
        raise ValueError(
            f"{odd[0]} needs photos of full resolution, and these are low-resolution already "
            "(reference-free): leave it out"
        )


def _chosen(flag: str, settings: Settings, suite: Suite, known: list[str]) -> tuple[str, ...]:
    """The names that a flag gives, or else the suite's."""
    found = tuple(flags.names(flag, getattr(settings, flag))) or getattr(suite, flag)
    for name in found:
        flags.choose(name, known, flag.removesuffix("s"))
    return found
