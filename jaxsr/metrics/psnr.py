"""Peak signal-to-noise ratio."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxsr.types import Scalar

# [h, w, c]; two shapes are a ValueError of their own.
AnyImage = Float[Array, "..."] | Float[np.ndarray, "..."]


def psnr(x: AnyImage, ref: AnyImage) -> Scalar:
    """-10 log10 of the mean squared difference over all pixels and channels (RGB), in dB; inf for equal images.

    Both images are clipped to [0, 1], as a saved file would be, and not rounded to 8 bits.

    Raises:
        ValueError: images of different shapes.
    """
    if x.shape != ref.shape:
        raise ValueError(f"expected two images of one shape, got {x.shape} and {ref.shape}")
    return -10.0 * jnp.log10(jnp.mean((jnp.clip(x, 0.0, 1.0) - jnp.clip(ref, 0.0, 1.0)) ** 2))
