"""Peak signal-to-noise ratio, of RGB and of luma."""

import jax
import jax.numpy as jnp

from jaxsr.metrics._checks import require_pair
from jaxsr.metrics._luma import studio_luma
from jaxsr.types import AnyImage, Scalar

# [h, w, c]; two shapes are a ValueError of their own.


def _difference(x: AnyImage, ref: AnyImage) -> jax.Array:
    require_pair(x, ref)
    return jnp.clip(x, 0.0, 1.0) - jnp.clip(ref, 0.0, 1.0)


def psnr(x: AnyImage, ref: AnyImage) -> Scalar:
    """-10 log10 of the mean squared difference over all pixels and channels (RGB), in dB; inf for
    equal images.

    Both images are clipped to [0, 1], as a saved file would be, and not rounded to 8 bits.

    Raises:
        ValueError: images of different shapes; outside jit also integers, NaN, or values far
            outside [0, 1].
    """
    return -10.0 * jnp.log10(jnp.mean(_difference(x, ref) ** 2))


def psnr_y(x: AnyImage, ref: AnyImage) -> Scalar:
    """PSNR of the y channel, in dB; inf for equal images: the number that most super-resolution
    papers print as "PSNR".

    y is MATLAB's (BT.601 in studio range, 16 to 235 for black to white, not rounded) and the peak
    255 all the same, as in BasicSR's `calculate_psnr(..., test_y_channel=True)`: a grey difference
    scores 20 log10(255 / 219) = 1.32 dB more than in RGB. No border is cropped. Both images, RGB
    [h, w, 3], are clipped to [0, 1] as in `psnr`.

    Raises:
        ValueError: images of different shapes; outside jit also integers, NaN, or values far
            outside [0, 1].
    """
    return -10.0 * jnp.log10(jnp.mean((studio_luma(_difference(x, ref)) / 255.0) ** 2))
