"""A look at the photos before the search: where they and the settings disagree, in one line."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from jaxsr.inspect import Inspection, factor_for, inspect, is_clipped, is_noisy, is_rough
from jaxsr.operators import OPERATORS
from restoration.jobs import Job, Source
from restoration.options import Settings
from restoration.plan import Plan

MOST = 64  # photos that are looked at, evenly spaced: the rest of a folder is like them
FAR = 2.0  # times the noise that was told


def warning(plan: Plan, missing: Sequence[Job]) -> str:
    """What disagrees, each counted and with an example; "" where nothing does. References are not
    looked at: they are degraded as the settings say.

    Args:
        plan: what is restored. Of photos that cannot be used it is told that they were enlarged.
        missing: results to make.
    """
    factors: dict[str, int | None] = {row["file"]: None for row in plan.unusable}
    factors |= {job.photo.file: job.photo.factor for job in missing if not job.photo.is_reference}
    files = list(factors)[:: -(-len(factors) // MOST) or 1]
    kinds: dict[str, list[str]] = {}
    for file in files:
        for told in _look(file, factors[file], plan.settings, plan.fitter.resolution):
            kind, _, particular = told.partition(" (")
            kinds.setdefault(kind, []).append(f"{file}, {particular.removesuffix(')')}")
    if not kinds:
        return ""
    counted = "; ".join(
        f"{len(found)} {kind} ({'' if len(found) == 1 else 'the first: '}{found[0]})"
        for kind, found in kinds.items()
    )
    of = f"{len(files)} photos" if len(files) == len(factors) else f"{len(files)} photos looked at"
    return f"warning: of {of}, {counted}: python {_script()} tells more"


@contextlib.contextmanager
def explained(sources: Sequence[Source], settings: Settings) -> Iterator[None]:
    """Adds to a ValueError that the photo it names was enlarged before."""
    try:
        yield
    except ValueError as error:
        files = [source.file for source in sources[:1] if source.file.name in str(error)]
        found = [_enlarged(_inspected(f.name, settings)) for f in files if not f.is_reference]
        if not any(found):
            raise
        raise ValueError(
            f"{error}; {found[0]}: python {_script()} tells how to make it smaller"
        ) from error


def _script() -> Path:
    return Path(sys.argv[0]).with_name("inspect.py")


def _inspected(file: str, settings: Settings) -> Inspection | None:
    """None of a file that cannot be read, of which others tell."""
    try:
        return inspect(file, settings)
    except (ValueError, OSError):
        return None


def _look(file: str, factor: int | None, settings: Settings, resolution: int) -> Iterator[str]:
    """Where a photo and the settings disagree; what comes in brackets differs between photos."""
    found = _inspected(file, settings)
    takes_factor = OPERATORS[settings.operator].takes_factor
    if found is None:
        return
    if takes_factor and (told := _enlarged(found)):
        yield told
    if factor is None:
        return
    if takes_factor:
        yield from _sizes(found, factor, settings, resolution)
    yield from _noises(found, settings)
    if is_clipped(found):
        yield f"clipped to black or white ({found.clipped:.0%} of its numbers)"


def _enlarged(found: Inspection | None) -> str:
    if found is None or found.enlarged == 1:
        return ""
    about = "" if found.repeated.scale > 1 else "about "
    return f"apparently enlarged before ({about}{found.enlarged} times)"


def _sizes(found: Inspection, factor: int, settings: Settings, resolution: int) -> Iterator[str]:
    """What speaks against the factor and the kernel."""
    best = factor_for(min(found.width, found.height), resolution)
    if found.enlarged == 1 and settings.fit == "crop" and best and best < factor:
        yield f"cropped more than need be for --factor={factor} (at factor {best} less is lost)"
    if is_rough(found):
        yield (
            f"with aliasing, or sharpened, which no --kernel={settings.kernel} leaves "
            f"(finest octave {found.roughness:.2f} of the next)"
        )


def _noises(found: Inspection, settings: Settings) -> Iterator[str]:
    """What speaks against the noise that is reckoned with."""
    whole = (found.compression**2 + found.noise**2) ** 0.5
    if settings.noise is not None:
        if whole > FAR * settings.noise:
            yield f"noisier than --noise={settings.noise:g} ({whole:.2g})"
        return
    if found.grid and found.grid.quality:
        yield f"with a JPEG inside that the file does not tell of (--noise={whole:.2g})"
    if settings.consistency == "exact" and (is_noisy(found) or found.compression):
        yield f"with noise that --consistency=exact explains, too ({whole:.2g})"
