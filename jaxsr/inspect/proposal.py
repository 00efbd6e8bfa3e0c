"""What an inspection says in words, and which settings it proposes."""

from typing import NamedTuple

from jaxsr.inspect.edges import OVERSHOOT
from jaxsr.inspect.inspection import Inspection
from jaxsr.inspect.spectra import ROUGH

CLIPPED = 0.15  # share; validation photos of blood cells, nearly white behind, have up to 0.13
NOISY = 1 / 255
KERNEL = "bicubic"
METHOD = "auto"


class Proposal(NamedTuple):
    """Settings for `super_resolve.py`.

    Attributes:
        factor: enlargement; None where the prior restores no photo of that size.
        kernel: antialiased ones cannot be told apart: the usual one.
        eps: the residual that counts as explained.
        method: `--method`.
        shrink: by what to shrink the photo first; 1: not at all.
        why_not: why there is no factor, "" where there is one.
    """

    factor: int | None
    kernel: str
    eps: float
    method: str
    shrink: int
    why_not: str


def propose(found: Inspection, resolution: int) -> Proposal:
    """For a prior of a resolution in px. The factor is that of the photo as it is, or as it should
    be shrunk first; as super_resolve.py does, what is over is cropped.

    The method is always auto. Noise and JPEG cost RLS+ up to 1.5 dB, but no other method was
    measured to lose less, and every result is moved to its photo only as far as noise and tables
    allow (the card of pbc64; `jaxsr.methods.consistent`)."""
    left, top = found.repeated.left, found.repeated.top
    side = -(-min(found.width - left, found.height - top) // found.enlarged)
    factor = factor_for(side, resolution)
    why_not = "" if factor else _why_not(side, resolution)
    return Proposal(factor, KERNEL, found.tolerance.eps, METHOD, found.enlarged, why_not)


def factor_for(side: int, resolution: int) -> int | None:
    """The factor at which a prior restores most of a photo with this shorter side; None where there
    is none."""
    factors = [f for f in range(2, resolution + 1) if resolution % f == 0]
    return next((f for f in factors if resolution // f <= side < resolution), None)


def _why_not(side: int, resolution: int) -> str:
    if side >= resolution:
        return (
            f"{side} px on the shorter side are no less than the prior's {resolution} px: a prior "
            "of a higher resolution is needed"
        )
    return f"{side} px on the shorter side cannot be restored"


def findings(found: Inspection) -> list[str]:
    """What speaks against restoring the photo as it is, a sentence each; what comes in brackets
    differs from photo to photo."""
    told = [*_enlarged(found), *_compressed(found)]
    if is_noisy(found):
        told.append(f"noisy (standard deviation {255 * found.noise:.1f} of 255)")
    if is_rough(found):
        told.append(
            "too rough for an antialiased kernel: made small without one (nearest), sharpened, or "
            f"of such texture (finest octave {found.roughness:.2f} of the next)"
        )
    if is_sharpened(found):
        told.append(f"its edges overshoot, as after sharpening (by {found.overshoot:.0%})")
    if is_clipped(found):
        told.append(f"clipped to black or white ({found.clipped:.0%} of its numbers)")
    if found.is_grey:
        told.append("without colours")
    return told


def _enlarged(found: Inspection) -> list[str]:
    if found.repeated.scale > 1:
        return [f"enlarged before by repeating pixels ({found.repeated.scale} times)"]
    if found.smooth_scale > 1:
        return [f"as smooth as if enlarged before (about {found.smooth_scale} times)"]
    return []


def _compressed(found: Inspection) -> list[str]:
    if found.grid is None:
        return []
    quality = f"quality about {found.grid.quality}" if found.grid.quality else "quality unknown"
    return [f"holds a JPEG that its file does not tell of ({quality})"]


def is_noisy(found: Inspection) -> bool:
    """Whether its pixels show more than clean photos' texture does."""
    return found.noise > NOISY


def is_rough(found: Inspection) -> bool:
    """Whether its finest details are stronger than those of nearly any antialiased photo measured.
    Noise and sharpening do that, too."""
    return found.roughness is not None and found.roughness > ROUGH


def is_sharpened(found: Inspection) -> bool:
    """Whether its edges overshoot more than those of any photo measured."""
    return found.overshoot is not None and found.overshoot > OVERSHOOT


def is_clipped(found: Inspection) -> bool:
    """Whether so many of its numbers are black or white that the lack of what is beyond tells."""
    return found.clipped > CLIPPED
