"""How much texture images have, and how fine it is."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxsr.metrics._checks import require_images
from jaxsr.operators.sampling import LUMA
from jaxsr.types import AnyImage, Images, Scalar

# Of `band_powers`, as shares of the highest frequency of a row: for 64 px up to 4, 8, 16, 24, 28,
# 32 cycles a picture, and the corners.
BAND_EDGES = (0.0, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 7 / 8, 1.0, np.inf)


def top_octave_power(x: AnyImage) -> Scalar:
    """Mean spectral power of the luma over the frequencies from a quarter to a half of the sampling
    rate, the top octave.

    The luma (BT.601) has its mean removed and is multiplied by a Hann window, which keeps the jump
    between opposite borders out of the high frequencies; frequency is radial, in cycles a pixel.
    The number means something as a ratio: divided by the reference's, 1 is all of its fine texture,
    and a smooth enlargement keeps next to none.
    """
    require_images(x)
    luma = jnp.einsum("hwc,c->hw", x, jnp.asarray(LUMA), precision="highest")
    radius = _frequencies(*luma.shape)
    band = (radius >= 0.25) & (radius <= 0.5)
    return jnp.sum(_power(luma) * band) / band.sum()


def band_powers(images: Images, edges: Sequence[float] = BAND_EDGES) -> Float[Array, " bands"]:
    """Mean spectral power of pictures [n, h, w, 3] in bands of radial frequency, over pictures,
    channels and frequencies of the band.

    Each channel has its mean removed and is multiplied by a Hann window; white noise of variance v
    has power v in every band.

    Args:
        images: in [0, 1].
        edges: ascending, as shares of the Nyquist frequency, which is half a side in cycles a
            picture; radii go up to 1.41 of it, in the corners. Band i holds the radii above
            edges[i] and up to edges[i + 1], so that a first edge of 0 leaves out the mean alone.

    Returns:
        [len(edges) - 1]; NaN for a band between the frequencies that so small a picture has.

    Raises:
        ValueError: not [n, h, w, 3] with floats in [0, 1]; edges that do not ascend.
    """
    if images.ndim != 4:
        raise ValueError(f"expected images [n, h, w, 3], got shape {tuple(images.shape)}")
    if len(edges) < 2 or not all(
        low < high for low, high in zip(edges[:-1], edges[1:], strict=True)
    ):
        raise ValueError(f"expected at least two edges that ascend, got {list(edges)}")
    require_images(images.reshape(-1, *images.shape[2:]))
    power = _power(jnp.moveaxis(jnp.asarray(images), 3, 1)).mean((0, 1))
    radius = 2 * _frequencies(*power.shape)
    bands = [
        (radius > low) & (radius <= high) for low, high in zip(edges[:-1], edges[1:], strict=True)
    ]
    return jnp.stack(
        [
            jnp.sum(power * band) / band.sum() if band.any() else jnp.full((), jnp.nan)
            for band in bands
        ]
    )


def _power(planes: jax.Array) -> jax.Array:
    """Spectral power of planes [..., h, w], less their mean and under a Hann window; as fft2 orders
    it."""
    height, width = planes.shape[-2:]
    window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1]).astype(np.float32)
    centred = planes - planes.mean((-2, -1), keepdims=True)
    return jnp.abs(jnp.fft.fft2(centred * window)) ** 2 / np.sum(window**2)


def _frequencies(height: int, width: int) -> np.ndarray:
    """Radial frequencies [h, w] in cycles a pixel; as fft2 orders them."""
    return np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
