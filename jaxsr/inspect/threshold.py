"""From noise and doubt to the residual that counts as explained."""

from typing import NamedTuple

import numpy as np

ROUNDING = 1 / 12 / 255**2
KERNEL = 1.5e-4  # of a kernel that is unknown but antialiased, at most (8x, 10 photos)
CERTAIN = 1.645  # standard deviations of the noise's own mean square: 95 %


class Terms(NamedTuple):
    """Mean square errors, of [0, 1], that the true picture leaves unexplained."""

    noise: float
    rounding: float
    jpeg: float
    kernel: float

    @property
    def eps(self) -> float:
        return sum(self)


def threshold(image: np.ndarray, *, noise: float, compression: float) -> Terms:
    """The terms of a photo [h, w, 3] in [0, 1]: noise^2 (1 + z sqrt(2 / m)) of its m numbers, the
    95 % quantile of white noise's mean square; rounding to 8 bits; JPEG's error; a kernel that is
    not known. They add up to at most the variance of the photo, which a single colour explains.

    Args:
        image: the photo.
        noise: standard deviation of its pixels', without rounding.
        compression: standard deviation of JPEG's error (`images.recompression_noise`).
    """
    above = 1 + CERTAIN * np.sqrt(2 / image.size)
    terms = Terms(float(noise**2 * above), ROUNDING, compression**2, KERNEL)
    most = max(float(np.var(image, axis=(0, 1)).mean()), ROUNDING)
    share = min(1.0, most / terms.eps)
    return Terms(*(share * term for term in terms))
