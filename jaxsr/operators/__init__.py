"""Linear measurement operators: what is known of an image, as bundles of pure functions. OPERATORS
has those that a command takes, by their names.

A new operator is its function in a file here, its import and its row in this file, "mine":
Kind(lambda c: mine(c.shape), "what a photo lacks", ...), and its row in tests/operator_table.py.
`Kind` says what commands read of the row.

Everything is written for one image and float32, and works under jit and vmap. Noise, rounding and
compression are no part of an operator (see `jaxsr.degradations`).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from jaxsr.operators.blur import blur, gaussian_blur, motion_blur, motion_kernel
from jaxsr.operators.chroma import chroma_420, is_fancy, means, read_back
from jaxsr.operators.families import OPTICS, Family, Theta, cameras, similarities
from jaxsr.operators.linear import Operator, Spectrum, compose, identity, linear
from jaxsr.operators.optics import optics
from jaxsr.operators.sampling import compressed_sensing, downsample, grey, mask
from jaxsr.operators.similarity import moved, similarity
from jaxsr.operators.spectra import spectrum
from jaxsr.operators.views import as_image, enlarged, image_side, is_image
from jaxsr.resample import Kernel

__all__ = [
    "OPERATORS",
    "OPTICS",
    "Family",
    "Kind",
    "Operator",
    "Spectrum",
    "Theta",
    "as_image",
    "blur",
    "cameras",
    "chroma_420",
    "compose",
    "compressed_sensing",
    "downsample",
    "enlarged",
    "gaussian_blur",
    "grey",
    "identity",
    "image_side",
    "is_fancy",
    "is_image",
    "linear",
    "make",
    "mask",
    "means",
    "motion_blur",
    "motion_kernel",
    "moved",
    "optics",
    "read_back",
    "similarities",
    "similarity",
    "spectrum",
]

MOTION_ANGLE = 45.0
SENSED = 10  # numbers of an image for each that is measured


class Conditions(NamedTuple):
    """What an operator is made for.

    Attributes:
        side: of the prior's images, px.
        factor: by which `downsample` shrinks them, with `kernel`.
        kernel: a name in `resample`.
        seen: bool [side, side], the pixels that `inpainting` sees; None: all but the centre.
    """

    side: int
    factor: int = 1
    kernel: Kernel = "bicubic"
    seen: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.side, self.side, 3)


class Kind(NamedTuple):
    """A row of OPERATORS.

    Attributes:
        make: (conditions) -> Operator.
        summary: what a photo lacks then, in a few words.
        takes_factor: whether it reads the factor and the kernel.
        takes_mask: whether it reads `seen`.
        idempotent: whether a photo as people have it, of the prior's size, is measured again: one
            that lacks the same already measures alike. Other operators take a photo that is
            the measurement, of the prior's size too, so that one that changes the size is for
            references alone.
        halves_colours: whether it holds what a JPEG of 4:2:0 does to colours, so that the error of
            such a file is smaller.
    """

    make: Callable[[Conditions], Operator]
    summary: str
    takes_factor: bool = False
    takes_mask: bool = False
    idempotent: bool = False
    halves_colours: bool = False


def _all_but_the_centre(side: int) -> np.ndarray:
    """A mask [side, side] that hides the centre square of half the side, a quarter of the
    picture."""
    seen = np.ones((side, side), bool)
    seen[side // 4 : side // 4 + side // 2, side // 4 : side // 4 + side // 2] = False
    return seen


def _inpainting(c: Conditions) -> Operator:
    return mask(_all_but_the_centre(c.side) if c.seen is None else c.seen, c.shape)


def _downsample_420(c: Conditions) -> Operator:
    smaller = downsample(c.factor, image_shape=c.shape, kernel=c.kernel)
    return compose(smaller, chroma_420(smaller.measurement_shape))


def _compressed_sensing(c: Conditions) -> Operator:
    return compressed_sensing(jax.random.key(0), math.prod(c.shape) // SENSED, c.shape)


OPERATORS: dict[str, Kind] = {
    "downsample": Kind(
        lambda c: downsample(c.factor, image_shape=c.shape, kernel=c.kernel),
        "made small",
        takes_factor=True,
    ),
    "downsample_420": Kind(
        _downsample_420,
        "made small and saved as a JPEG of 4:2:0",
        takes_factor=True,
        halves_colours=True,
    ),
    "inpainting": Kind(_inpainting, "pixels are missing", takes_mask=True, idempotent=True),
    "motion_blur": Kind(
        lambda c: motion_blur(max(3, c.side // 8 | 1), MOTION_ANGLE, image_shape=c.shape),
        "blurred by motion",
    ),
    "gaussian_blur": Kind(
        lambda c: gaussian_blur(c.side / 32, image_shape=c.shape), "out of focus"
    ),
    "grey": Kind(lambda c: grey(c.shape), "without colour", idempotent=True),
    "compressed_sensing": Kind(
        _compressed_sensing, "a tenth as many random projections as numbers"
    ),
}


def make(
    name: str,
    side: int,
    *,
    factor: int = 1,
    kernel: Kernel = "bicubic",
    seen: np.ndarray | None = None,
) -> Operator:
    """The operator of that name for images [side, side, 3].

    Raises:
        ValueError: a factor that does not divide the side, an unknown kernel, or a mask of another
            shape.
    """
    return OPERATORS[name].make(Conditions(side, factor, kernel, seen))
