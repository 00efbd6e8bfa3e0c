"""How much fine texture an image has."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxsr.metrics._checks import require_images
from jaxsr.operators import LUMA
from jaxsr.types import Scalar

AnyImage = Float[Array, "h w 3"] | Float[np.ndarray, "h w 3"]


def top_octave_power(x: AnyImage) -> Scalar:
    """Mean spectral power of the luma over the frequencies from a quarter to a half of the sampling rate, the top octave.

    The luma (BT.601) has its mean removed and is multiplied by a Hann window, which keeps the jump between opposite borders out of the high
    frequencies; frequency is radial, in cycles a pixel. The number means something as a ratio: divided by the reference's, 1 is all of its
    fine texture, and a smooth enlargement keeps next to none.
    """
    require_images(x)
    height, width = x.shape[:2]
    luma = jnp.einsum("hwc,c->hw", x, jnp.asarray(LUMA), precision="highest")
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1]).astype(np.float32)
    power = jnp.abs(jnp.fft.fft2((luma - luma.mean()) * window)) ** 2 / np.sum(window**2)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    band = (radius >= 0.25) & (radius <= 0.5)
    return jnp.sum(power * band) / band.sum()
