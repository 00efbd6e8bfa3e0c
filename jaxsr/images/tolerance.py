"""How large a residual the truth itself may leave in a photo: what noise, file and doubt add up to.
Mean squares, of [0, 1]."""

from typing import NamedTuple

import numpy as np

from jaxsr.images.noise import seen_noise
from jaxsr.types import AnyImage

STEP = 1 / 255
# A photo is rounded to steps of 1/255, and so is the result whose residual is measured.
ROUNDING = 2 * STEP**2 / 12
# What one antialiased kernel makes of a picture differs from what another one makes by 5e-5 to
# 2e-4 (Lanczos, box or bilinear against bicubic; photos of 256 px brought to 64, 32 and 16 px).
KERNEL = 1.5e-4
QUANTILE = 1.645  # of the standard normal distribution, at 95 %


class Tolerance(NamedTuple):
    """The largest residual, a mean square, that counts as feasible for a photo (Morozov's
    discrepancy principle), as the sum of its terms.

    Attributes:
        sigma: standard deviation of white noise.
        rounding: of the photo and of the result, to 8 bits.
        compression: the error of a JPEG's pixels.
        kernel: how much is not known of how the photo was made small.
        registration: how much is not known of where the photo lies in the prior's frame.
        numbers: how many were measured, pixels times channels.
        variance: of the photo, what a picture of one colour leaves.
        share: of the measurement's numbers, how many were measured; the others leave no residual.
    """

    sigma: float
    rounding: float
    compression: float
    kernel: float
    registration: float
    numbers: int
    variance: float
    share: float = 1.0

    @property
    def slack(self) -> float:
        """By how much the mean square of `numbers` normal draws exceeds its expectation in one of
        20 photos: 1 + z sqrt(2 / m)."""
        return 1.0 + QUANTILE * float(np.sqrt(2.0 / self.numbers))

    @property
    def expected(self) -> float:
        """What noise and compression leave of the truth in the mean; a residual far below it
        explains them too."""
        return self.share * (self.sigma**2 + self.compression)

    @property
    def terms(self) -> dict[str, float]:
        """The mean squares by their names; what is random is at its 95 % quantile."""
        return {
            "noise": self.sigma**2 * self.slack,
            "rounding": self.rounding * self.slack,
            "jpeg": self.compression * self.slack,
            "kernel": self.kernel,
            "registration": self.registration,
        }

    @property
    def eps(self) -> float:
        """The sum of the terms. Never above the variance, since what a picture of one colour
        explains as well is no solution; of a photo of one colour the rounding is left."""
        terms = self.terms
        return self.share * max(min(sum(terms.values()), self.variance), terms["rounding"])

    @property
    def line(self) -> str:
        """The terms that count, in one line."""
        told = " + ".join(f"{name} {value:.2g}" for name, value in self.terms.items() if value)
        capped = self.eps < self.share * sum(self.terms.values())
        most = f", at most the variance {self.variance:.2g}" if capped else ""
        return f"{told or 'nothing'}{most}"


def tolerance_of(
    image: AnyImage,
    *,
    compression: float = 0.0,
    kernel: float = 0.0,
    registration: float = 0.0,
    share: float = 1.0,
) -> Tolerance:
    """The tolerance of a photo [h, w, 3 or 1] in [0, 1], with the noise that its pixels show.

    Args:
        image: the photo.
        compression: standard deviation of a JPEG's error, see `compression_noise`; 0 where the
            search compresses as well.
        kernel: mean square; `KERNEL` where the photo was made small by some antialiased kernel, 0
            where by a known one.
        registration: mean square; half a pixel of the photo amounts to 0.002 to 0.009.
        share: how many of the pixels were measured, where a mask hides the others.

    Raises:
        ValueError: no image, or a term that is negative or not finite.
    """
    pixels = np.asarray(image, np.float64)
    if pixels.ndim != 3 or not pixels.size:
        raise ValueError(f"expected a photo [h, w, 3 or 1], got shape {pixels.shape}")
    given = {"compression": compression, "kernel": kernel, "registration": registration}
    for name, value in given.items():
        if not 0 <= value < np.inf:
            raise ValueError(f"{name}: expected a number of at least 0, got {value}")
    variance = float(pixels.var((0, 1)).mean())
    numbers = max(1, round(pixels.size * share))
    doubts = (kernel, registration)
    return Tolerance(
        seen_noise(pixels), ROUNDING, compression**2, *doubts, numbers, variance, share
    )
