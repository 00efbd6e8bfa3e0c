"""What nobody wrote down of a camera, found with the photo itself (--free), and what a row says of
it."""

from typing import cast

import numpy as np

from jaxsr import flags, operators
from jaxsr.operators import OPTICS, Family
from jaxsr.resample import Kernel
from jaxsr.types import Result
from restoration.options import Settings

COLUMNS = ("blur", "shift_x", "shift_y", "gain", "residual_at_start")
NEAR = 1e-3  # of the range between a parameter's bounds


def family(settings: Settings, factor: int, resolution: int) -> Family | None:
    """The operators among which a photo's own is searched; None: it is known."""
    free = flags.names("free", settings.free)
    if not free:
        return None
    kernel, shape = cast(Kernel, settings.kernel), (resolution, resolution, 3)
    return operators.cameras(factor, image_shape=shape, kernel=kernel, free=free)


def told(result: Result) -> dict:
    """What the row of one result says of its operator; {} where that was known."""
    if "operator" not in result.latent:
        return {}
    theta = result.latent["operator"]
    shift_x, shift_y = map(float, theta["shift"])
    found = {"blur": float(theta["blur"]), "shift_x": shift_x, "shift_y": shift_y}
    at_start = float(result.latent["residual_at_start"])
    return found | {"gain": float(theta["gain"]), "residual_at_start": at_start}


def remark(result: Result, settings: Settings) -> str:
    """Which parameters ran into a bound, so that they are no measurements; "" where none did."""
    free = flags.names("free", settings.free)
    ran = []
    for name in free:
        _, low, high = OPTICS[name]
        value, slack = np.asarray(result.latent["operator"][name]), NEAR * (high - low)
        if ((value > high - slack) | ((value < low + slack) & (name != "blur"))).any():
            ran.append(f"{name} {np.array2string(value, precision=3)} at its bound ({low}, {high})")
    return f"not found: {', '.join(ran)}" if ran else ""
