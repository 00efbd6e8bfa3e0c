"""Which number of a file means white."""

import dataclasses
from typing import NamedTuple

import numpy as np

from jaxsr.images.errors import ImageError

# The largest numbers of cameras of 8 to 16 bits.
CAMERAS = (255, 1023, 4095, 16383, 65535)
# Of floats. A float photo is seldom darker; 12 bits over 65535 are a sixteenth.
SMALL_FLOATS = 1 / 16


@dataclasses.dataclass(frozen=True)
class Reading:
    """How photos are read.

    Attributes:
        white: The number that means white in photos of more than 8 bits: 4095 of a camera that
            writes 12 bits into 16. auto takes the largest number of 8, 10, 12, 14 or 16 bits that
            none of the photo exceeds. Default: the largest that the file can hold, 1 of floats.
        max_megapixels: A photo of more pixels is not read, for it may be made to fill the memory.
    """

    white: str | None = None
    max_megapixels: int = 179

    def __post_init__(self) -> None:
        """Raises ValueError for a white that is none and a limit below 1."""
        if self.white not in (None, "auto"):
            _number(self.white)
        if self.max_megapixels < 1:
            raise ValueError(f"--max_megapixels must be at least 1, got {self.max_megapixels}")

    def require_size(self, height: int, width: int) -> None:
        """Raises ImageError for a photo of more pixels than `max_megapixels`."""
        if height * width > self.max_megapixels * 1e6:
            raise ImageError(
                f"expected at most {self.max_megapixels} megapixels, got {width} x {height} px, "
                "which exceeds limit --max_megapixels"
            )


def _number(white: str) -> float:
    try:
        number = float(white)
    except ValueError:
        number = float("nan")
    if not 0 < number < float("inf"):
        raise ValueError(f"--white: expected auto or a number above 0, got {white!r}")
    return number


class Level(NamedTuple):
    """The number that means white, and what the user is told of it, "" for nothing."""

    white: float
    remark: str = ""


def level_of(colours: np.ndarray, bits: int, white: str | None) -> Level:
    """Of a file's colours [h, w, c], unsigned or signed integers or floats.

    Args:
        colours: as they are stored; alpha is not among them.
        bits: that the file gives each number.
        white: see `Reading`.

    Raises:
        ImageError: NaN or infinity, numbers below 0 or above white, or such as have no agreed
            white and `white` is None.
    """
    low, high = colours.min().item(), colours.max().item()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError("expected finite pixels, got NaN or infinity")
    kind = colours.dtype.kind
    if kind == "u" and bits <= 8:
        return Level(2.0**bits - 1)
    if low < 0:
        expected = "float pixels in [0, 1]" if kind == "f" else "pixels of 0 and above"
        shift = f"add {-low:g} to all, and save it as unsigned integers of 16 bits"
        raise ImageError(
            f"expected {expected}, got values from {low:g} to {high:g}, of which none is agreed to "
            f"be black: {shift}"
        )
    if white is not None:
        return _asked_for(high, kind, white)
    if kind == "f":
        return _of_floats(low, high)
    if kind == "i" or bits > 16:
        signed = "signed " if kind == "i" else ""
        raise ImageError(
            f"expected unsigned pixels of 8 or 16 bits, or floats, got {signed}{bits}-bit integers "
            f"up to {high}: --white=NUMBER or --white=auto tells which of them is white"
        )
    return _of_integers(high, 2**bits - 1)


def _asked_for(high: float, kind: str, white: str) -> Level:
    if white == "auto":
        if kind == "f" and high <= 1:
            return Level(1.0)
        found = next((level for level in CAMERAS if high <= level), None)
        if found is None:
            raise ImageError(f"expected pixels up to 65535 with --white=auto, got {high:g}")
        return Level(float(found), f"white level found (--white=auto: {found}, largest {high:g})")
    level = _number(white)
    if high > level:
        raise ImageError(f"expected pixels up to --white={white}, got {high:g}")
    return Level(level)


def _of_floats(low: float, high: float) -> Level:
    if high > 1:
        raise ImageError(
            f"expected float pixels in [0, 1], got values from {low:g} to {high:g}: "
            "--white=NUMBER or --white=auto tells which is white"
        )
    if 0 < high < SMALL_FLOATS:
        return Level(1.0, _small(high, 1.0, f"{high:.3g}"))
    return Level(1.0)


def _of_integers(high: int, full: int) -> Level:
    nearest = next(level for level in CAMERAS if high <= level)
    if high == 0 or nearest >= full:
        return Level(float(full))
    return Level(float(full), _small(high, full, str(nearest)))


def _small(high: float, full: float, white: str) -> str:
    share = f"{high / full:.2g}" if high / full < 0.01 else f"{high / full:.0%}"
    return (
        f"a small part of the range is used (the largest number is {high:g} of {full:g}, "
        f"{share}: --white={white} or --white=auto scales it)"
    )
