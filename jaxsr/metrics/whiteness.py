"""Whether what is left of a measurement is noise: how far its pixels are related to each other."""

import numpy as np
from jax import numpy as jnp

from jaxsr.types import AnyImage, Scalar

QUANTILE = 1.645  # of the standard normal distribution, at 95 %
LEAST_PIXELS = 16


def whiteness(residual: AnyImage) -> Scalar:
    """Sum over all lags but 0 of the squared normalised autocorrelation of a residual [h, w, c],
    mean over the channels; about 1 for white noise of any size, the larger, the more structured.

    The residual whiteness principle (Lanza, Pragliola, Calatroni and Sgallari, ETNA 53, 2020, 329)
    minimises W(r) = |r * r|^2 / |r|^4, where * correlates over lags that wrap around; this is
    W - 1. For n pixels the autocorrelation of white noise has mean 0 and variance 1 / n at each of
    n - 1 lags. By Parseval it is n sum P^2 / (sum P)^2 - 1 of the periodogram P. The mean of the
    residual is not taken away: a colour that is off is structure too.

    It tells the kind of a residual, not its size. What a residual of none is, 0 everywhere, has no
    whiteness (NaN).

    Raises:
        ValueError: no array [h, w, c], or one of fewer than 16 pixels.
    """
    if residual.ndim != 3 or residual.shape[0] * residual.shape[1] < LEAST_PIXELS:
        raise ValueError(
            f"expected a residual [h, w, c] of at least {LEAST_PIXELS} px, got {residual.shape}"
        )
    # Scaled, so that the squares of small residuals do not underflow.
    scaled = residual / jnp.abs(residual).max()
    power = jnp.abs(jnp.fft.fft2(scaled, axes=(0, 1))) ** 2
    pixels = residual.shape[0] * residual.shape[1]
    each = pixels * jnp.sum(power**2, (0, 1)) / jnp.sum(power, (0, 1)) ** 2 - 1
    return jnp.mean(each)


def white_limit(shape: tuple[int, ...]) -> float:
    """The `whiteness` below which 95 % of white noises of a shape [h, w, c] lie.

    Of n values P of a white periodogram half are independent and exponentially distributed, so that
    n sum P^2 / (sum P)^2 has variance 8 / n, and the mean over c channels 8 / (n c): the limit is
    1 + z sqrt(8 / (n c)). Of draws of 4 to 64 px on a side 93 to 95 % lay below it.
    """
    height, width, channels = shape
    return 1.0 + QUANTILE * float(np.sqrt(8.0 / (height * width * channels)))
