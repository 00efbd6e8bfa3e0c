"""Resampling along one axis as exact matrices, and the bicubic enlargement that baselines and grids
show.

A downsampling kernel is a function of the distance in output pixels. What sets the kernels of one
name apart is the border, and two programs that disagree there give measurements that no image
explains, so each is named after the program that it equals.
"""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from jaxsr.types import AnyImage

Kernel = Literal["bicubic", "bicubic_matlab", "bicubic_pulse", "box", "bilinear"]
Matrix = Float64[np.ndarray, "m n"]
Profile = Callable[[np.ndarray], np.ndarray]


def cubic(x: Any) -> Any:
    """Keys' cubic convolution kernel, a = -0.5 (Keys 1981, eq. 15), support |x| < 2; of an array of
    NumPy or JAX, in its own precision."""
    x = abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1.0
    far = -0.5 * x**3 + 2.5 * x**2 - 4.0 * x + 2.0
    return near * (x < 1.0) + far * ((x >= 1.0) & (x < 2.0))


def triangle(x: Any) -> Any:
    """The kernel of linear interpolation, support |x| < 1; as `cubic`."""
    return (1.0 - abs(x)) * (abs(x) < 1.0)


def _rectangle(x: np.ndarray) -> np.ndarray:
    return (np.abs(x) < 0.5).astype(np.float64)


def _centres(size: int, factor: int) -> np.ndarray:
    """Where each output pixel's centre lies among the input pixels: [size / factor, 1]."""
    return ((np.arange(size // factor) + 0.5) * factor - 0.5)[:, None]


def _renormalised(size: int, factor: int, profile: Profile) -> np.ndarray:
    """Weights beyond the border are dropped and the rest made to sum to one: Pillow and
    jax.image.resize."""
    weights = profile((np.arange(size)[None] - _centres(size, factor)) / factor)
    return weights / weights.sum(1, keepdims=True)


def _folded(positions: np.ndarray, weights: np.ndarray, size: int) -> np.ndarray:
    """Adds each weight, its row made to sum to one, to the input pixel at the same place of
    `positions` [outputs, taps]."""
    matrix = np.zeros((len(positions), size))
    rows = np.broadcast_to(np.arange(len(positions))[:, None], positions.shape)
    np.add.at(matrix, (rows, positions), weights / weights.sum(1, keepdims=True))
    return matrix


def _matlab(size: int, factor: int) -> np.ndarray:
    """MATLAB's imresize: normalised first, then mirrored at the border with the border pixel
    repeated."""
    centres = _centres(size, factor)
    positions = np.floor(centres).astype(int) + np.arange(-2 * factor - 1, 2 * factor + 2)
    mirrored = positions % (2 * size)
    return _folded(
        np.minimum(mirrored, 2 * size - 1 - mirrored), cubic((positions - centres) / factor), size
    )


def _pulse(size: int, factor: int) -> np.ndarray:
    """PULSE's release: 4 factor taps, stride factor, mirrored at the border without repeating the
    border pixel.

    The number of taps is even, so an odd factor's window lies half an input pixel off centre, as in
    the release.
    """
    taps = np.arange(4 * factor)
    before = 3 * factor // 2
    if factor < 2 or 3 * factor - before >= size:
        got = f"size {size} and factor {factor}"
        raise ValueError(
            f"bicubic_pulse mirrors {3 * factor - before} pixels: expected factor >= 2 and a "
            f"larger size, got {got}"
        )
    positions = np.abs(np.arange(size // factor)[:, None] * factor - before + taps)
    weights = np.broadcast_to(cubic((taps - 2 * factor + 0.5) / factor), positions.shape)
    return _folded(np.minimum(positions, 2 * (size - 1) - positions), weights, size)


_MATRICES: dict[str, Callable[[int, int], np.ndarray]] = {
    "bicubic": lambda size, factor: _renormalised(size, factor, cubic),
    "bicubic_matlab": _matlab,
    "bicubic_pulse": _pulse,
    "box": lambda size, factor: _renormalised(size, factor, _rectangle),
    "bilinear": lambda size, factor: _renormalised(size, factor, triangle),
}


def downsample_matrix(size: int, factor: int, kernel: Kernel = "bicubic") -> Matrix:
    """The matrix [size / factor, size] that shrinks one axis by an integer factor; every row sums
    to one.

    Kernels, all antialiased (their support grows with the factor):
        "bicubic": a = -0.5, weights renormalised at the border; equal to Pillow's BICUBIC on float
            images and to `jax.image.resize(..., "bicubic", antialias=True)`.
        "bicubic_matlab": the same inside, mirrored at the border (border pixel repeated); equal to
            MATLAB's imresize.
        "bicubic_pulse": the release of PULSE (arXiv:2003.03808), mirrored without repeating the
            border pixel; factor >= 2.
        "box": the mean of each block (area average).
        "bilinear": the triangle of half-width `factor`, renormalised; equal to Pillow's BILINEAR.
            Frameworks' "bilinear" without antialiasing, which reads two pixels an axis, is another
            kernel.

    Raises:
        ValueError: unknown kernel, a factor that is not a positive divisor of the size, or a size
            too small for the mirror.
    """
    if kernel not in _MATRICES:
        raise ValueError(f"unknown kernel {kernel!r}: expected one of {', '.join(_MATRICES)}")
    if factor < 1 or size < 1 or size % factor:
        raise ValueError(
            f"expected a factor that divides the side, got factor {factor} and side {size}"
        )
    return _MATRICES[kernel](size, factor)


def upsample(y: AnyImage, factor_or_shape: int | tuple[int, int]) -> jax.Array:
    """Bicubic enlargement of [h, w, c] by a factor or to (height, width), the usual baseline: a =
    -0.5, not clipped."""
    height, width, channels = y.shape
    by = factor_or_shape
    shape = (height * by, width * by) if isinstance(by, int) else by
    return jax.image.resize(jnp.asarray(y), (*shape, channels), "bicubic")
