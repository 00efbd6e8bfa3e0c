"""How photos meet a prior: the operator asked for, with its mask, and the sizes that fit."""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

import numpy as np

from jaxsr import flags, images, operators, resample
from jaxsr.operators import OPERATORS, Kind

REFERENCE_FACTOR = 8  # of a reference, when none is asked for


class OperatorChoice(NamedTuple):
    """What the flags say of the operator.

    Attributes:
        operator: a name in OPERATORS.
        factor: enlargement; None: the photo's.
        kernel: how photos were made small.
        mask: a picture of what is missing; None: the centre.
    """

    operator: str = "downsample"
    factor: int | None = None
    kernel: str = "bicubic"
    mask: str | None = None

    def check(self) -> None:
        """Raises ValueError for an unknown name, and for what the operator does not read."""
        kind = OPERATORS[flags.choose(self.operator, OPERATORS, "operator")]
        flags.choose(self.kernel, get_args(resample.Kernel), "kernel")
        unread = {
            "factor": self.factor is not None and not kind.takes_factor,
            "kernel": self.kernel != "bicubic" and not kind.takes_factor,
            "mask": self.mask is not None and not kind.takes_mask,
        }
        for flag, is_unread in unread.items():
            if is_unread:
                readers = _names("takes_mask" if flag == "mask" else "takes_factor")
                raise ValueError(
                    f"--{flag} is for {readers}, not for {self.operator}: leave it out"
                )


def _names(trait: str) -> str:
    return " or ".join(name for name, kind in OPERATORS.items() if getattr(kind, trait))


def check_has_photos(operator: str, *, given: bool) -> None:
    """Raises ValueError where no photos are given and a prior's examples do not fit."""
    if not given and not OPERATORS[operator].takes_factor:
        raise ValueError(
            f"--operator={operator} needs --input or --reference: the prior's examples are small "
            "photos"
        )


class Fitter(NamedTuple):
    """How photos meet the prior.

    Attributes:
        resolution: the prior's.
        factor: asked for; None: the photo's.
        fit: what to do with sides that no factor fits.
        kind: what photos lack.
        operator: (factor) -> the operator; of a kind that takes no factor, whatever the factor.
        mask: height and width of the picture of what is missing, if there is one, which photos must
            have the proportions of.
        reading: how photos are read.
    """

    resolution: int
    factor: int | None
    fit: Literal["crop", "pad"]
    kind: Kind
    operator: Callable[[int], operators.Operator]
    mask: tuple[int, ...] | None = None
    reading: images.Reading = images.AS_FILES_ARE


def make_fitter(
    resolution: int,
    choice: OperatorChoice,
    fit: Literal["crop", "pad"],
    *,
    references: bool,
    reading: images.Reading = images.AS_FILES_ARE,
) -> Fitter:
    """Raises ValueError when the factor, or that of the references, does not divide the prior's
    resolution, and for an unusable mask."""
    kind = OPERATORS[choice.operator]
    factor = choice.factor or (REFERENCE_FACTOR if references else 1)
    if kind.takes_factor and resolution % factor:
        fitting = ", ".join(str(f) for f in range(2, resolution + 1) if resolution % f == 0)
        raise ValueError(
            f"--factor={factor} does not divide the prior's resolution of {resolution} px: "
            f"choose one of {fitting}"
        )
    mask = read_mask(choice.mask, resolution) if choice.mask else None
    seen = mask and mask.seen
    kernel = cast(resample.Kernel, choice.kernel)
    operator = functools.cache(
        lambda f: operators.make(choice.operator, resolution, factor=f, kernel=kernel, seen=seen)
    )
    return Fitter(resolution, choice.factor, fit, kind, operator, mask and mask.shape, reading)


def factor_of(height: int, width: int, fitter: Fitter) -> int:
    """The factor for a photo of these sides: the one asked for, or the one that fits best. Raises
    ValueError when none does."""
    find = _check_factor if fitter.factor else _find_factor
    return find(height, width, fitter)


def _check_factor(height: int, width: int, fitter: Fitter) -> int:
    """The factor asked for, if a photo of these sides can be brought to its size without losing
    half of a side."""
    factor, pad = fitter.factor or 1, fitter.fit == "pad"
    size, side = fitter.resolution // factor, max(height, width) if pad else min(height, width)
    needs = (
        f"{width}x{height} px, but the prior's {fitter.resolution} px at --factor={factor} need "
        f"{size} px on a side"
    )
    if side >= 2 * size or (pad and side > size):
        raise ValueError(
            f"{needs}: leave --factor out{', use --fit=crop' if pad else ''}, or give a "
            "larger photo as --reference"
        )
    if side < size and not pad:
        raise ValueError(
            f"{needs}: leave --factor out"
            f"{', or use --fit=pad' if 2 * max(height, width) > size else ''}"
        )
    return factor


def _find_factor(height: int, width: int, fitter: Fitter) -> int:
    """The factor that keeps most of a photo (crop) or adds least to it (pad)."""
    resolution, pad = fitter.resolution, fitter.fit == "pad"
    side = max(height, width) if pad else min(height, width)
    sizes = {f: resolution // f for f in range(2, resolution + 1) if resolution % f == 0}
    factors = [
        f for f, size in sizes.items() if (size >= side if pad else size <= side < resolution)
    ]
    if not factors:
        most = resolution // 2
        raise ValueError(
            f"{width}x{height} px is too large for a prior of {resolution}x{resolution} px, which "
            f"restores at most {most}x{most} px: give it as --reference to degrade it first, or "
            "use a prior of a higher resolution"
        )
    return max(factors) if pad else min(factors)


GREY = 0.05  # largest share of a mask that is neither black nor white: soft edges


class Mask(NamedTuple):
    """A picture of what is missing: the pixels that are seen, bool [r, r], and the sides of the
    picture, (height, width)."""

    seen: np.ndarray
    shape: tuple[int, ...]


def read_mask(file: str, resolution: int) -> Mask:
    """What a picture leaves black is seen. Each pixel that white touches, when it is brought to the
    prior's resolution, is hidden.

    Raises:
        ValueError: a picture that cannot be read, is too small, is not of black and white (but for
            soft edges), or hides nothing or everything.
    """
    try:
        image = images.read(file)
        white = np.broadcast_to(
            (image.max(2, keepdims=True) >= 0.5).astype(np.float32), image.shape
        )
        if min(image.shape[:2]) < resolution:
            raise ValueError(
                f"{image.shape[1]}x{image.shape[0]} px is smaller than the prior's "
                f"{resolution}x{resolution} px"
            )
        grey = np.mean((image.max(2) > 0.1) & (image.max(2) < 0.9))
        if grey > GREY:
            raise ValueError(
                "expected white where pixels are missing and black elsewhere, got a picture of "
                f"which {grey:.0%} is neither"
            )
        hidden = images.resize_area(images.square(white, mode="crop")[0], resolution).max(2) > 0
        if hidden.all() or not hidden.any():
            got = (
                "no black (what is transparent is read as white)" if hidden.all() else "black alone"
            )
            raise ValueError(
                f"expected white where pixels are missing and black elsewhere, got {got}"
            )
    except (ValueError, OSError) as error:
        raise ValueError(f"--mask={file}: {str(error).removeprefix(f'{file}: ')}") from error
    return Mask(~hidden, image.shape[:2])


def mask_digest(file: str | None) -> str | None:
    """Of a mask's file: under the same name it may be another one later. None without a mask; ""
    for one that cannot be read."""
    try:
        return file and hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
    except OSError:
        return ""
