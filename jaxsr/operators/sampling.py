"""Operators that leave values out: smaller pictures, masks, grey, compressed sensing."""

import numbers

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.operators import spectra
from jaxsr.operators.linear import (
    Operator,
    Shape,
    check_shape,
    checked,
    einsum,
    from_functions,
    separable,
    separable_damped,
)
from jaxsr.resample import Kernel, downsample_matrix
from jaxsr.types import AnyArray, PRNGKey

LUMA = (0.299, 0.587, 0.114)  # BT.601, as Pillow's convert("L")


def downsample(factor: int, *, image_shape: Shape, kernel: Kernel = "bicubic") -> Operator:
    """Shrinks an image [h, w, c] to [h / factor, w / factor, c] with the kernel of that name (see
    `resample.downsample_matrix`).

    The pseudo-inverse is exact: A(A.pinv(y)) = y to 1e-5.

    Raises:
        ValueError: unknown kernel, or a factor that does not divide both sides.
    """
    check_shape(image_shape)
    height, width, _ = image_shape
    rows, columns = (
        downsample_matrix(height, factor, kernel),
        downsample_matrix(width, factor, kernel),
    )
    return from_functions(
        separable(rows, columns),
        image_shape,
        f"downsample {factor} {kernel}",
        separable_damped(rows, columns),
    )._replace(spectrum=lambda: spectra.of_factors(rows, columns, image_shape[2]))


def mask(mask: AnyArray, image_shape: Shape) -> Operator:
    """Inpainting: keeps the pixels where `mask` [h, w] is true and sets the others to zero, so a
    measurement is image-shaped.

    The pseudo-inverse is the operator itself: A(A.pinv(y)) = y for every y that is zero where
    nothing was seen. `jaxsr.restore` takes photos whose hidden pixels hold anything.

    Raises:
        ValueError: a mask of another shape, or with other values than false and true, or 0 and 1.
    """
    if np.shape(mask) != image_shape[:2]:
        raise ValueError(f"expected a mask of shape {image_shape[:2]}, got {np.shape(mask)}")
    others = np.setdiff1d(mask, [0, 1])
    if len(others):
        raise ValueError(f"expected a mask of 0 (hidden) and 1 (seen), got {others[0]:g}")
    keep = jnp.asarray(mask, jnp.float32)[:, :, None]
    seen = checked(lambda y: jnp.where(keep > 0, y, 0.0), image_shape, "mask, onto_range")
    return from_functions(
        lambda x: x * keep, image_shape, "mask", lambda y, damping: y * keep / (1.0 + damping)
    )._replace(
        onto_range=seen,
        spectrum=lambda: spectra.diagonal(np.broadcast_to(np.asarray(keep), image_shape)),
    )


def grey(image_shape: Shape) -> Operator:
    """The luma (BT.601) of an image [h, w, 3], [h, w, 1]; the pseudo-inverse is exact.

    Raises:
        ValueError: an image of another shape.
    """
    check_shape(image_shape)
    if image_shape[2] != 3:
        raise ValueError(f"expected images of 3 channels to make grey, got {image_shape[2]}")
    weights = np.asarray(LUMA, np.float32)[:, None]
    square = float(np.sum(weights**2))
    luma = from_functions(
        lambda x: einsum("hwc,cd->hwd", x, weights),
        image_shape,
        "grey",
        lambda y, damping: einsum("hwd,dc->hwc", y, weights.T) / (square + damping),
    )
    return luma._replace(spectrum=lambda: spectra.tight(luma, square**0.5))


def _cosines(size: int) -> np.ndarray:
    """The orthonormal DCT-II matrix [size, size]."""
    matrix = np.cos(np.pi / size * np.arange(size)[:, None] * (np.arange(size) + 0.5)) * np.sqrt(
        2.0 / size
    )
    matrix[0] /= np.sqrt(2.0)
    return matrix


def compressed_sensing(key: PRNGKey, measurements: int, image_shape: Shape) -> Operator:
    """`measurements` random projections of an image [h, w, c]: random signs, orthonormal DCT over
    all axes, a random subset.

    A A* = I, so the pseudo-inverse is the adjoint, and the damped one that over 1 + lambda. Memory
    is that of the image and of one [h, h] and one [w, w] matrix, not of a dense
    [measurements, h w c] one (structurally random matrices: Do, Gan, Nguyen and Tran, IEEE TSP 60,
    2012).
    """
    check_shape(image_shape)
    if not isinstance(key, jax.Array):
        raise ValueError(f"expected a key of jax.random.key, got {key!r}")
    size = int(np.prod(image_shape))
    if not (isinstance(measurements, numbers.Integral) and 1 <= measurements <= size):
        raise ValueError(
            f"expected between 1 and {size} measurements, a whole number, got {measurements}"
        )
    height, width, channels = image_shape
    key_signs, key_subset = jax.random.split(key)
    signs = np.asarray(jax.random.rademacher(key_signs, image_shape, jnp.int8))
    subset = np.asarray(jax.random.permutation(key_subset, size)[:measurements])
    transform, colours = (
        separable(_cosines(height), _cosines(width)),
        _cosines(channels).astype(np.float32),
    )

    def apply(x: jax.Array) -> jax.Array:
        return einsum("dc,hwc->hwd", colours, transform(x * signs)).reshape(-1)[subset]

    transpose = jax.linear_transpose(apply, jax.ShapeDtypeStruct(image_shape, jnp.float32))
    sensing = from_functions(
        apply,
        image_shape,
        f"compressed sensing {measurements}",
        lambda y, damping: transpose(y)[0] / (1.0 + damping),
    )
    return sensing._replace(spectrum=lambda: spectra.tight(sensing, 1.0))
