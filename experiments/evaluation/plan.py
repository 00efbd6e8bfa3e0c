"""What is to be evaluated: a suite with what the flags say otherwise, and its cells."""

import dataclasses
from typing import Any

from evaluation import suites
from evaluation.cells import REFERENCE, Cell
from evaluation.options import Settings
from evaluation.scores import COLUMNS
from evaluation.suites import Suite, Variant
from jaxsr import degradations, flags
from jaxsr.methods import METHODS
from jaxsr.operators import OPERATORS, is_image, make

DEFAULT_FACTOR = 8  # of methods that are compared, where the prior is large enough


def plan(settings: Settings, resolution: int) -> tuple[Suite, list[Cell]]:
    """The suite and its cells. Raises ValueError for a name or a factor that makes no sense."""
    suite = _suite(settings)
    _check_preset(suite, settings.preset)
    suite = _overridden(suite, settings, resolution)
    check_used(settings, suite.variants, suite.operators)
    if any(OPERATORS[name].takes_factor for name in suite.operators):
        _check_factors(suite.factors, resolution)
    _check_degradations(suite, resolution)
    return suite, _cells(suite)


def _suite(settings: Settings) -> Suite:
    """The suite that is asked for, or one of the methods that are."""
    if (settings.suite is None) == (not settings.methods) and not settings.smoke:
        known = ", ".join([*suites.SUITES, *suites.FIGURES])
        raise ValueError(f"give --suite or --methods, one of the two; suites: {known}")
    if settings.suite is not None:
        return suites.SUITES[settings.suite]
    names = flags.names("methods", settings.methods) or ["bicubic", "pulse"]
    for name in names:
        flags.choose(name, [*METHODS, REFERENCE], "method")
    variants = tuple(Variant(name, name) for name in names)
    return Suite("Comparison", variants, (), names[0], tuple(COLUMNS))


def _cells(suite: Suite) -> list[Cell]:
    """The operators that take a factor first, under the conditions of one table after the other."""
    shrinking = [name for name in suite.operators if OPERATORS[name].takes_factor]
    others = [name for name in suite.operators if name not in shrinking]
    at = [(name, factor) for name in shrinking for factor in suite.factors]
    at += [(name, 1) for name in others]
    return [
        Cell(variant, name, factor, degradation)
        for name, factor in at
        for degradation in suite.degradations
        for variant in suite.variants
    ]


def _check_factors(factors: tuple[int, ...], resolution: int) -> None:
    for factor in factors:
        if factor < 2:
            raise ValueError(f"expected factors of at least 2, got {factor}")
        if resolution % factor:
            fitting = ", ".join(str(f) for f in range(2, resolution + 1) if resolution % f == 0)
            raise ValueError(
                f"factor {factor} does not divide the prior's resolution of {resolution} px: "
                f"choose of {fitting}"
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
        "models": "a method with a model of its own, as laren and ddrm",
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


def _overridden(suite: Suite, settings: Settings, resolution: int) -> Suite:
    """The suite with what the flags say otherwise."""
    labels = [variant.label for variant in suite.variants]
    changed: dict[str, Any] = {
        "degradations": _chosen("degradations", settings, suite, list(degradations.ROBUSTNESS)),
        "operators": _chosen("operators", settings, suite, list(OPERATORS)),
        "baseline": flags.choose(settings.baseline or suite.baseline, labels, "baseline"),
        "solutions": settings.num_solutions or suite.solutions,
    }
    if settings.factors:
        changed |= {"factors": tuple(dict.fromkeys(settings.factors)), "stands_for": {}}
    else:
        scaled = suites.scaled(suite.factors, resolution)
        changed |= {
            "factors": tuple(scaled) or (min(DEFAULT_FACTOR, resolution // 2),),
            "stands_for": {ours: paper for ours, paper in scaled.items() if ours != paper},
        }
    return dataclasses.replace(suite, **changed)


def _chosen(flag: str, settings: Settings, suite: Suite, known: list[str]) -> tuple[str, ...]:
    """The names that a flag gives, or else the suite's."""
    found = tuple(flags.names(flag, getattr(settings, flag))) or getattr(suite, flag)
    for name in found:
        flags.choose(name, known, flag.removesuffix("s"))
    return found
