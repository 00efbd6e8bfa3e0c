"""What a camera does besides making small, in numbers that a search may find: blur, sub-pixel shift
and gain."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.operators.linear import Function, Operator, Shape, check_shape, einsum, parametric
from jaxsr.resample import Kernel, downsample_matrix
from jaxsr.types import AnyArray


def optics(
    factor: int,
    blur: AnyArray | np.floating | float,
    shift: AnyArray,
    gain: AnyArray | np.floating | float,
    *,
    image_shape: Shape,
    kernel: Kernel = "bicubic",
) -> Operator:
    """gain * downsample(shifted(blurred(x))) of an image [h, w, c].

    An image is taken for its cosine series, reflected at the borders with the border pixel
    repeated, of which every shift is exact. The blur is the Gaussian of pixels: that of which two
    after each other are again one, their variances added (Lindeberg, IEEE PAMI 12, 1990); above a
    pixel it is the sampled Gaussian to a few thousandths. Blur 0, shift 0 and gain 1 leave
    `downsample`. Everything may be traced and is differentiable, see `parametric`; the derivative
    in the blur vanishes at 0.

    Args:
        factor: as for `downsample`.
        blur: standard deviation, at least 0, in low-resolution pixels.
        shift: [2], how far (x, y) to the right and down the photo shows everything, in
            low-resolution pixels.
        gain: of the light.
        image_shape: (h, w, c).
        kernel: as for `downsample`.

    Raises:
        ValueError: as `downsample`.
    """
    check_shape(image_shape)
    shrunk = [downsample_matrix(side, factor, kernel) for side in image_shape[:2]]

    def applied(theta: dict[str, jax.Array]) -> Function:
        deviation = factor * theta["blur"]
        rows, columns = (
            einsum("ok,ki->oi", matrix, _moved(matrix.shape[1], deviation, factor * by))
            for matrix, by in zip(map(jnp.float32, shrunk), theta["shift"][::-1], strict=True)
        )
        return lambda x: (
            theta["gain"] * einsum("pw,owc->opc", columns, einsum("oh,hwc->owc", rows, x))
        )

    theta = {"blur": blur, "shift": shift, "gain": gain}
    return parametric(applied, theta, image_shape, f"optics {factor} {kernel}")


def _moved(size: int, deviation: jax.Array, by: jax.Array) -> jax.Array:
    """The matrix [size, size] that blurs a line of pixels by that deviation and moves it, in
    pixels."""
    frequency = np.pi / size * np.arange(size)
    scale = np.where(frequency == 0, 1 / size, 2 / size)
    at = jnp.arange(size) + 0.5 - by
    damped = scale * jnp.exp(-(deviation**2) * (1 - np.cos(frequency)))
    into = np.cos((np.arange(size) + 0.5)[:, None] * frequency).astype(np.float32)
    return einsum("ok,ik->oi", damped * jnp.cos(at[:, None] * frequency), into)
