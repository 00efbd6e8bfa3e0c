"""OPERATORS: name -> operator for a prior's size."""

from collections.abc import Callable

import numpy as np

from jaxsr.operators.blur import gaussian_blur, motion_blur
from jaxsr.operators.linear import Operator
from jaxsr.operators.sampling import downsample, grey, mask
from jaxsr.resample import Kernel

MOTION_ANGLE = 45.0


def _square(side: int) -> tuple[int, int, int]:
    return (side, side, 3)


def _missing_centre(side: int) -> np.ndarray:
    """A mask [side, side] that hides the centre square of half the side, a quarter of the picture."""
    seen = np.ones((side, side), np.float32)
    seen[side // 4 : side // 4 + side // 2, side // 4 : side // 4 + side // 2] = 0.0
    return seen


# name -> (the prior's resolution, factor, kernel) -> operator; only "downsample" reads the last two.
OPERATORS: dict[str, Callable[[int, int, Kernel], Operator]] = {
    "downsample": lambda side, factor, kernel: downsample(factor, image_shape=_square(side), kernel=kernel),
    "inpainting": lambda side, factor, kernel: mask(_missing_centre(side), _square(side)),
    "motion_blur": lambda side, factor, kernel: motion_blur(max(3, side // 8 | 1), MOTION_ANGLE, image_shape=_square(side)),
    "gaussian_blur": lambda side, factor, kernel: gaussian_blur(side / 32, image_shape=_square(side)),
    "grey": lambda side, factor, kernel: grey(_square(side)),
}
