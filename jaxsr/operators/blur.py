"""Blurs: by any kernel, a Gaussian, or a motion."""

import numbers
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.operators import spectra
from jaxsr.operators.linear import Operator, Shape, Spectrum, from_functions
from jaxsr.types import AnyArray

Boundary = Literal["reflect", "symmetric", "edge", "wrap", "constant"]
ROUNDING = 1e-6  # of a kernel's singular values: what is left of a product of two lines


def blur(kernel: AnyArray, image_shape: Shape, boundary: Boundary = "reflect") -> Operator:
    """Convolution of every channel of an image [h, w, c] with one kernel [kh, kw], whose sides are
    odd; the size stays.

    `boundary` is numpy.pad's: "reflect" (border pixel not repeated), "symmetric" (repeated),
    "edge", "wrap", "constant" (zeros). A blur all but erases some frequencies; the pseudo-inverse
    leaves those out (see `linear`).

    Raises:
        ValueError: a kernel that is not 2-D with odd sides and finite, or larger than the image
            allows; an unknown boundary.
    """
    kernel = np.asarray(kernel, np.float32)
    if (
        kernel.ndim != 2
        or not all(side % 2 for side in kernel.shape)
        or not np.isfinite(kernel).all()
    ):
        raise ValueError(
            f"expected a finite 2-D blur kernel with odd sides, got shape {kernel.shape}"
        )
    if boundary not in get_args(Boundary):
        raise ValueError(
            f"unknown boundary {boundary!r}: expected one of {', '.join(get_args(Boundary))}"
        )
    pads = [side // 2 for side in kernel.shape]
    if any(pad >= side for pad, side in zip(pads, image_shape, strict=False)):
        raise ValueError(
            f"expected a blur kernel of less than twice the image's sides {image_shape[:2]}, "
            f"got {kernel.shape}"
        )
    flipped = jnp.asarray(kernel[::-1, ::-1, None, None])
    widths = [(pad, pad) for pad in pads] + [(0, 0)]

    def apply(x: jax.Array) -> jax.Array:
        # Channels as the batch: a grouped convolution would be an order of magnitude slower on
        # XLA's CPU backend.
        planes = jnp.moveaxis(jnp.pad(x, widths, mode=boundary), 2, 0)[..., None]
        out = jax.lax.conv_general_dilated(
            planes,
            flipped,
            (1, 1),
            "VALID",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision="highest",
        )
        return jnp.moveaxis(out[..., 0], 0, 2)

    def spectrum() -> Spectrum:
        factors = _factors(kernel)
        if factors is None:
            return spectra.of_channels(apply, image_shape, "blur")
        rows, columns = (
            _matrix(line, side, boundary) for line, side in zip(factors, image_shape, strict=False)
        )
        return spectra.of_factors(rows, columns, image_shape[2])

    return from_functions(apply, image_shape, "blur")._replace(spectrum=spectrum)


def _factors(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The two lines whose product a kernel is, or None."""
    u, s, v = np.linalg.svd(kernel.astype(np.float64))
    if s[1:].max(initial=0.0) > ROUNDING * s[0]:
        return None
    return u[:, 0] * s[0], v[0]


def _matrix(line: np.ndarray, side: int, boundary: Boundary) -> np.ndarray:
    """The convolution of one axis of `side` pixels with a line, [side, side]."""
    pad = len(line) // 2
    padded = np.pad(np.eye(side), ((pad, pad), (0, 0)), mode=boundary)
    return sum(
        (weight * padded[i : i + side] for i, weight in enumerate(line[::-1])),
        np.zeros((side, side)),
    )


def gaussian_blur(sigma: float, *, image_shape: Shape, boundary: Boundary = "reflect") -> Operator:
    """Blur by a Gaussian of standard deviation `sigma` pixels, cut at 4 sigma and normalised."""
    if not 0 < sigma < np.inf:
        raise ValueError(f"expected a finite sigma > 0, got {sigma}")
    radius = int(np.ceil(4 * sigma))
    profile = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    profile /= profile.sum()
    return blur(np.outer(profile, profile), image_shape, boundary)._replace(
        name=f"gaussian blur {sigma:g}"
    )


def motion_kernel(length: int, angle: float, direction: float = 0.0) -> np.ndarray:
    """A line of odd `length` pixels as a kernel [length, length] of sum one.

    It points `angle` degrees anticlockwise from the right. `direction` in [-1, 1] tilts the
    weights: 0 is even, 1 has all the weight at the front falling linearly to none at the back, -1
    the reverse.
    """
    if (
        not isinstance(length, numbers.Integral)
        or length < 3
        or length % 2 == 0
        or not -1 <= direction <= 1
    ):
        raise ValueError(
            f"expected an odd length >= 3 and a direction in [-1, 1], got {length} and {direction}"
        )
    radius = length // 2
    along = np.linspace(-radius, radius, 8 * length + 1)
    weights = 1.0 + direction * along / radius
    rows, columns = (
        radius - along * np.sin(np.radians(angle)),
        radius + along * np.cos(np.radians(angle)),
    )
    grid = np.arange(length)

    def spread(centres: np.ndarray) -> np.ndarray:
        return np.maximum(1.0 - np.abs(grid[:, None] - centres), 0.0)

    kernel = np.einsum("rk,ck,k->rc", spread(rows), spread(columns), weights)
    return kernel / kernel.sum()


def motion_blur(
    length: int,
    angle: float,
    *,
    image_shape: Shape,
    direction: float = 0.0,
    boundary: Boundary = "reflect",
) -> Operator:
    """Blur along a line: see `motion_kernel`. RLS's robustness test has length 49, angle 45,
    direction 1."""
    return blur(motion_kernel(length, angle, direction), image_shape, boundary)._replace(
        name=f"motion blur {length}, {angle:g} degrees"
    )
