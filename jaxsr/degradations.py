"""What happens to a photo besides the linear operator: noise, rounding, compression. None of it is
inverted by a search.

Images are [h, w, c] in [0, 1]. `jpeg` and `gaussian_blur` run Pillow on the host and those of
`ROBUSTNESS` look at the values, so that they cannot be jitted; the others can.
"""

import functools
import io
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageFilter

from jaxsr.images import Compression, compression_of, to_uint8
from jaxsr.operators import is_image
from jaxsr.types import AnyImage, AnyMeasurement, PRNGKey

Keyed = Callable[[PRNGKey, AnyImage], AnyImage]
QUALITY = 75  # of a JPEG whose maker said nothing, in Pillow
OVERSHOOT = 0.5  # a bicubic kernel leaves [0, 1] at an edge, by less than this


def gaussian_noise(key: PRNGKey, y: AnyImage, *, sigma: float) -> jax.Array:
    """Adds independent N(0, sigma^2) to every value; not clipped. RLS's robustness test has sigma
    0.1.

    Raises:
        ValueError: negative sigma.
    """
    if sigma < 0:
        raise ValueError(f"expected sigma >= 0, got {sigma}")
    return jnp.asarray(y) + sigma * jax.random.normal(key, y.shape)


def salt_and_pepper(key: PRNGKey, y: AnyImage, *, amount: float, salt: float = 0.5) -> jax.Array:
    """Replaces a share `amount` of the values (each channel for itself), a share `salt` of those by
    1 and the others by 0.

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
    """Clips to [0, 1] and rounds to the nearest multiple of 1/255: what saving to an 8-bit file
    does."""
    return jnp.floor(jnp.clip(y, 0.0, 1.0) * 255.0 + 0.5) / 255.0


def recorded(y: AnyMeasurement) -> jax.Array:
    """A measurement as it is kept: `quantise` of a picture, and what is no picture as it is."""
    return quantise(y) if is_image(y.shape) else jnp.asarray(y)


def jpeg(y: AnyImage, *, quality: int) -> AnyImage:
    """Through a real JPEG file in memory (Pillow's libjpeg, 4:2:0 as cameras save); the array comes
    back of the kind it went in.

    Raises:
        ValueError: a quality outside 1..95, above which libjpeg's scale means nothing.
    """
    if not 1 <= quality <= 95:
        raise ValueError(f"expected a JPEG quality from 1 to 95, got {quality}")
    return _like(y, Image.open(_jpeg_file(y, quality)))


def _jpeg_file(y: AnyImage, quality: int) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(to_uint8(y)).save(file, "JPEG", quality=quality)
    return file


def gaussian_blur(y: AnyImage, *, radius: float = 1.0) -> AnyImage:
    """Pillow's GaussianBlur of that radius on the 8-bit image: RLS's robustness test, radius 1 on
    the low-resolution image.

    For a blur that a search can invert see `operators.gaussian_blur`.
    """
    return _like(y, Image.fromarray(to_uint8(y)).filter(ImageFilter.GaussianBlur(radius)))


@functools.partial(jax.jit, static_argnames=("size", "angle", "direction"))
def motion_blur(
    x: AnyImage, *, size: int = 49, angle: float = 45.0, direction: float = 1.0
) -> jax.Array:
    """The blur of a camera that moves: kornia's `motion_blur` with zeros beyond the border, which
    darkens size // 2 pixels along it.

    A line of `size` weights, from (1 + direction) / 2 evenly down (or up) to (1 - direction) / 2
    and divided by their sum, is turned `angle` degrees anticlockwise to the nearest pixels; each
    pixel becomes the sum of its neighbours under it. RLS's robustness test has size 49, angle 45
    and direction 1 on photos of 1024 px. For a blur that a search can invert see
    `operators.motion_blur`.

    Args:
        x: [h, w, c].
        size: odd, at least 3.
        angle: in degrees.
        direction: in [-1, 1]; 0 weighs the line evenly.

    Raises:
        ValueError: another size or direction.
    """
    if size < 3 or size % 2 == 0 or not -1 <= direction <= 1:
        raise ValueError(
            f"expected an odd size >= 3 and a direction in [-1, 1], got {size} and {direction}"
        )
    kernel, (height, width) = (
        _turned_line(np.linspace(1 + direction, 1 - direction, size), angle),
        x.shape[:2],
    )
    padded = jnp.pad(x, [(size // 2, size // 2)] * 2 + [(0, 0)])
    # Only some `size` of the weights differ from 0: on the CPU at 1024 px fifty times faster than a
    # convolution.
    return jnp.sum(
        jnp.stack(
            [
                float(kernel[r, c]) * padded[r : r + height, c : c + width]
                for r, c in np.argwhere(kernel)
            ]
        ),
        axis=0,
    )


def _turned_line(weights: np.ndarray, angle: float) -> np.ndarray:
    """Weights [n] on the middle row of a kernel [n, n] that is then turned, each pixel taking the
    nearest of before; its sum is 1."""
    radius = len(weights) // 2
    down, right = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    turn = np.radians(angle)
    # Without the cut to 6 decimals rounding errors would decide where a pixel falls on the middle
    # between two, as at 30 degrees.
    row = np.rint(np.round(np.sin(turn) * right + np.cos(turn) * down, 6) + radius).astype(int)
    column = np.rint(np.round(np.cos(turn) * right - np.sin(turn) * down, 6) + radius).astype(int)
    on_line = (row == radius) & (column >= 0) & (column < len(weights))
    kernel = np.where(on_line, weights[np.clip(column, 0, len(weights) - 1)], 0.0)
    return kernel / kernel.sum()


def _like(y: AnyImage, image: Image.Image) -> AnyImage:
    pixels = np.asarray(image, np.float32) / 255.0
    return jnp.asarray(pixels) if isinstance(y, jax.Array) else pixels


class Degradation(NamedTuple):
    """What happens to a photo before and after the operator that a search assumes.

    Attributes:
        on_image: (key, x [H, W, 3]) -> x; x in [0, 1].
        on_measurement: (key, y) -> y, float32 in [0, 1] as an 8-bit file keeps it; y = A(x), which
            may leave [0, 1] by `OVERSHOOT`.

        compression: what the header of the file tells, where it is a JPEG.

    The two raise ValueError for values that are not floats, not finite or further out.
    """

    on_image: Keyed
    on_measurement: Keyed
    compression: Compression | None = None


def _same(key: PRNGKey, x: AnyImage) -> AnyImage:
    return x


def _degradation(on_image: Keyed = _same, on_measurement: Keyed = _same) -> Degradation:
    """The two with their checks. The measurement is clipped and rounded last, so that all differ
    from "clean" by one thing."""

    def degrade_image(key: PRNGKey, x: AnyImage) -> AnyImage:
        _require_range(x, 0.0, 1.0)
        return on_image(key, x)

    def degrade_measurement(key: PRNGKey, y: AnyImage) -> AnyImage:
        _require_range(y, -OVERSHOOT, 1.0 + OVERSHOOT)
        return quantise(on_measurement(key, y))

    return Degradation(degrade_image, degrade_measurement)


def _require_range(x: AnyImage, low: float, high: float) -> None:
    """Against images in 0..255 or -1..1, which rounding would clip to nonsense, and NaN."""
    least, most = float(np.min(x)), float(np.max(x))
    if not (jnp.issubdtype(x.dtype, jnp.floating) and low <= least and most <= high):
        raise ValueError(
            f"expected finite floats in [0, 1], got {x.dtype} from {least:g} to {most:g}"
        )


def _scaled_motion_blur(key: PRNGKey, x: AnyImage) -> AnyImage:
    """RLS's 49 px on 1024 px, and the odd size nearest to that share on smaller photos."""
    return motion_blur(x, size=max(3, 2 * int(min(x.shape[:2]) * 49 / 1024 / 2) + 1))


ROBUSTNESS: dict[str, Degradation] = {
    "clean": _degradation(),
    # The four of RLS's robustness test (Table 4), as its release has them: its "salt & pepper" is
    # salt alone.
    "gaussian_noise": _degradation(on_measurement=lambda key, y: gaussian_noise(key, y, sigma=0.1)),
    "salt": _degradation(
        on_measurement=lambda key, y: salt_and_pepper(key, y, amount=0.05, salt=1.0)
    ),
    "gaussian_blur": _degradation(on_measurement=lambda key, y: gaussian_blur(y, radius=1.0)),
    "motion_blur": _degradation(on_image=_scaled_motion_blur),
    # Not of the test.
    "jpeg": _degradation(on_measurement=lambda key, y: jpeg(y, quality=QUALITY))._replace(
        compression=compression_of(Image.open(_jpeg_file(np.zeros((8, 8, 3)), QUALITY)))
    ),
}
