"""What happens to a photo besides the linear operator: noise, rounding, compression. None of it is inverted by a search.

Images are [h, w, c] in [0, 1]. Functions of a key are jittable; `jpeg` and `gaussian_blur` run Pillow on the host, so they are not.
"""

import io

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from PIL import Image, ImageFilter

from jaxsr.images import to_uint8
from jaxsr.types import PRNGKey

AnyImage = Float[Array, "h w c"] | Float[np.ndarray, "h w c"]


def gaussian_noise(key: PRNGKey, y: AnyImage, *, sigma: float) -> jax.Array:
    """Adds independent N(0, sigma^2) to every value; not clipped. RLS's robustness test has sigma 0.1.

    Raises:
        ValueError: negative sigma.
    """
    if sigma < 0:
        raise ValueError(f"expected sigma >= 0, got {sigma}")
    return jnp.asarray(y) + sigma * jax.random.normal(key, y.shape)


def salt_and_pepper(key: PRNGKey, y: AnyImage, *, amount: float, salt: float = 0.5) -> jax.Array:
    """Replaces a share `amount` of the values (each channel for itself), a share `salt` of those by 1 and the others by 0.

    The "salt and pepper" of RLS's robustness test, as released, is salt alone: amount 0.05, salt 1.

    Raises:
        ValueError: amount or salt outside [0, 1].
    """
    if not (0 <= amount <= 1 and 0 <= salt <= 1):
        raise ValueError(f"expected amount and salt in [0, 1], got {amount} and {salt}")
    key_hit, key_salt = jax.random.split(key)
    hit = jax.random.uniform(key_hit, y.shape) < amount
    return jnp.where(hit, (jax.random.uniform(key_salt, y.shape) < salt).astype(jnp.float32), y)


def quantise(y: AnyImage) -> jax.Array:
    """Clips to [0, 1] and rounds to the nearest multiple of 1/255: what saving to an 8-bit file does."""
    return jnp.floor(jnp.clip(y, 0.0, 1.0) * 255.0 + 0.5) / 255.0


def jpeg(y: AnyImage, *, quality: int) -> AnyImage:
    """Through a real JPEG file in memory (Pillow's libjpeg, 4:2:0 as cameras save); the array comes back of the kind it went in.

    Raises:
        ValueError: a quality outside 1..95, above which libjpeg's scale means nothing.
    """
    if not 1 <= quality <= 95:
        raise ValueError(f"expected a JPEG quality from 1 to 95, got {quality}")
    file = io.BytesIO()
    Image.fromarray(to_uint8(y)).save(file, "JPEG", quality=quality)
    return _like(y, Image.open(file))


def gaussian_blur(y: AnyImage, *, radius: float = 1.0) -> AnyImage:
    """Pillow's GaussianBlur of that radius on the 8-bit image: RLS's robustness test, radius 1 on the low-resolution image.

    For a blur that a search can invert see `operators.gaussian_blur`.
    """
    return _like(y, Image.fromarray(to_uint8(y)).filter(ImageFilter.GaussianBlur(radius)))


def _like(y: AnyImage, image: Image.Image) -> AnyImage:
    pixels = np.asarray(image, np.float32) / 255.0
    return jnp.asarray(pixels) if isinstance(y, jax.Array) else pixels
