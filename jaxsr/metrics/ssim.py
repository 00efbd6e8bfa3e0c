"""Structural similarity."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.metrics._checks import require_pair
from jaxsr.types import AnyImage, Scalar

# [h, w, c]; two shapes are a ValueError of their own.
_SIGMA, _RADIUS = 1.5, 5
_C1, _C2 = 0.01**2, 0.03**2


def _blur(x: jax.Array) -> jax.Array:
    """Gaussian means over every 11 x 11 window that lies inside x [h, w, c]: [h - 10, w - 10,
    c]."""
    profile = np.exp(-0.5 * (np.arange(-_RADIUS, _RADIUS + 1) / _SIGMA) ** 2)
    weights = [float(value) for value in profile / profile.sum()]
    height, width = x.shape[0] - 2 * _RADIUS, x.shape[1] - 2 * _RADIUS
    x = sum(
        (weight * x[i : i + height] for i, weight in enumerate(weights)),
        jnp.zeros((height, *x.shape[1:])),
    )
    return sum(
        (weight * x[:, i : i + width] for i, weight in enumerate(weights)),
        jnp.zeros((height, width, x.shape[2])),
    )


def similarity_maps(x: jax.Array, ref: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The luminance and the contrast-structure term (Wang et al. 2004, eqs. 6 and 9 with 10) of
    every window, [h - 10, w - 10, c] each."""
    # Moments about 1/2 lose fewer digits in float32 than those about 0.
    x, ref = x - 0.5, ref - 0.5
    # One pass over all moments: separate ones are fused into a program that blurs along the first
    # axis again for each tap of the second.
    moments = _blur(jnp.concatenate([x, ref, x * x, ref * ref, x * ref], -1))
    mean_x, mean_ref, square_x, square_ref, product = jnp.split(moments, 5, -1)
    var_x, var_ref, covariance = (
        square_x - mean_x**2,
        square_ref - mean_ref**2,
        product - mean_x * mean_ref,
    )
    mean_x, mean_ref = mean_x + 0.5, mean_ref + 0.5
    luminance = (2.0 * mean_x * mean_ref + _C1) / (mean_x**2 + mean_ref**2 + _C1)
    return luminance, (2.0 * covariance + _C2) / (var_x + var_ref + _C2)


def ssim(x: AnyImage, ref: AnyImage) -> Scalar:
    """Mean structural similarity (Wang et al. 2004) over RGB, at most 1: 11 x 11 Gaussian windows
    of sigma 1.5 inside the image.

    Equal to scikit-image's `structural_similarity(x, ref, gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=1, channel_axis=-1)`. Both images are clipped to [0, 1],
    as in `psnr`.

    Raises:
        ValueError: images of different shapes, or with a side below 11 pixels; values as `psnr`.
    """
    require_pair(x, ref)
    if min(x.shape[:2]) <= 2 * _RADIUS:
        raise ValueError(f"expected images of at least 11 pixels a side, got {x.shape}")
    luminance, contrast = similarity_maps(jnp.clip(x, 0.0, 1.0), jnp.clip(ref, 0.0, 1.0))
    return jnp.mean(luminance * contrast)
