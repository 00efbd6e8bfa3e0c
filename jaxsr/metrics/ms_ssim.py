"""Structural similarity over several scales."""

import jax
import jax.numpy as jnp

from jaxsr.metrics._checks import require_pair
from jaxsr.metrics.ssim import similarity_maps
from jaxsr.types import AnyImage, Scalar

# [h, w, c]; two shapes are a ValueError of their own.
# Finest scale first; Wang et al. 2003, section 3.2.
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_SMALLEST = 10 * 2 ** (len(_WEIGHTS) - 1) + 1


def _halved(x: jax.Array) -> jax.Array:
    """Means of 2 x 2 pixels [h, w, c]; an odd side gets a line of zeros in front, which counts, as
    in pytorch-msssim."""
    height, width, channels = x.shape
    x = jnp.pad(x, ((height % 2, 0), (width % 2, 0), (0, 0)))
    return x.reshape((height + 1) // 2, 2, (width + 1) // 2, 2, channels).mean((1, 3))


def ms_ssim(x: AnyImage, ref: AnyImage) -> Scalar:
    """Structural similarity over five scales (Wang, Simoncelli and Bovik 2003) of RGB [h, w, 3], in
    [0, 1]; 1 for equal images.

    For each channel the mean contrast-structure term of the four finer scales and the mean
    similarity of the coarsest, where negative replaced by 0, are multiplied with the paper's
    exponents; the mean over channels is returned. Equal to pytorch-msssim's `ms_ssim(x, ref,
    data_range=1)`. Both images are clipped to [0, 1], as in `psnr`.

    Raises:
        ValueError: images of different shapes, or too small for five scales of 11 x 11 windows: a
            side below 161 pixels.
    """
    require_pair(x, ref)
    if min(x.shape[:2]) < _SMALLEST:
        raise ValueError(f"expected images of at least {_SMALLEST} pixels a side, got {x.shape}")
    x, ref = jnp.clip(x, 0.0, 1.0), jnp.clip(ref, 0.0, 1.0)
    product = jnp.ones(x.shape[2])
    for weight in _WEIGHTS[:-1]:
        _, contrast = similarity_maps(x, ref)
        product *= jnp.maximum(contrast.mean((0, 1)), 0.0) ** weight
        x, ref = _halved(x), _halved(ref)
    luminance, contrast = similarity_maps(x, ref)
    return jnp.mean(product * jnp.maximum((luminance * contrast).mean((0, 1)), 0.0) ** _WEIGHTS[-1])
