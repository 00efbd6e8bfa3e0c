"""A look at the photos before the search: where they and the settings disagree, in one line."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from jaxsr.inspect import (
    Inspection,
    factor_for,
    inspect,
    is_clipped,
    is_noisy,
    is_rough,
)
from jaxsr.operators import OPERATORS
from restoration.jobs import Job
from restoration.options import Settings

MOST = 64  # photos that are looked at, evenly spaced: the rest of a folder is like them
FAR = 2.0  # times the noise that was told


def warning(jobs: Sequence[Job], settings: Settings, resolution: int) -> str:
    """What disagrees, each counted and with an example; "" where nothing does.

    Args:
        jobs: results to make. References are not looked at: they are degraded as the settings say.
        settings: how photos are read and restored.
        resolution: the prior's.
    """
    factors = {job.photo.file: job.photo.factor for job in jobs if not job.photo.is_reference}
    files = list(factors)[:: -(-len(factors) // MOST) or 1]
    kinds: dict[str, list[str]] = {}
    for file in files:
        for told in _look(file, factors[file], settings, resolution):
            kind, _, particular = told.partition(" (")
            kinds.setdefault(kind, []).append(f"{file}, {particular.removesuffix(')')}")
    if not kinds:
        return ""
    counted = "; ".join(
        f"{len(found)} {kind} ({'' if len(found) == 1 else 'the first: '}{found[0]})"
        for kind, found in kinds.items()
    )
    script = Path(sys.argv[0]).with_name("inspect.py")
    of = f"{len(files)} photos" if len(files) == len(factors) else f"{len(files)} photos looked at"
    return f"warning: of {of}, {counted}: python {script} tells more"


def _look(file: str, factor: int, settings: Settings, resolution: int) -> Iterator[str]:
    """Where a photo and the settings disagree; what comes in brackets differs between photos."""
    try:
        found = inspect(file, settings)
    except (ValueError, OSError):  # The search tells of a file that is gone since.
        return
    if OPERATORS[settings.operator].takes_factor:
        yield from _sizes(found, factor, settings, resolution)
    yield from _noises(found, settings)
    if is_clipped(found):
        yield f"is clipped to black or white ({found.clipped:.0%} of its numbers)"


def _sizes(found: Inspection, factor: int, settings: Settings, resolution: int) -> Iterator[str]:
    """What speaks against the factor and the kernel."""
    side = min(found.width, found.height)
    if found.enlarged > 1:
        about = "" if found.repeated.scale > 1 else "about "
        yield f"seems enlarged before: make it smaller first ({about}{found.enlarged} times)"
    elif settings.fit == "crop" and (factor_for(side, resolution) or factor) < factor:
        yield f"is cropped for --factor={factor} (factor {factor_for(side, resolution)} keeps more)"
    if is_rough(found):
        yield (
            f"has aliasing or was sharpened, which --kernel={settings.kernel} has not "
            f"(finest octave {found.roughness:.2f} of the next)"
        )


def _noises(found: Inspection, settings: Settings) -> Iterator[str]:
    """What speaks against the noise that is reckoned with."""
    if found.grid and settings.noise is None:
        yield (
            "holds a JPEG that its file does not tell of "
            f"(--noise={max(found.compression, found.noise):.2g})"
        )
    all_of_it = (found.compression**2 + found.noise**2) ** 0.5
    if settings.noise is not None and all_of_it > FAR * settings.noise:
        yield f"is noisier than --noise={settings.noise:g} ({all_of_it:.2g})"
    if settings.consistency == "exact" and (is_noisy(found) or found.compression):
        yield f"has noise, which --consistency=exact explains, too ({all_of_it:.2g})"
