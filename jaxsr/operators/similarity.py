"""The prior's picture drawn at a photo's own pixels after a similarity, so that the photo itself is
never resampled."""

import math
from collections.abc import Mapping
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.operators.linear import (
    Function,
    Operator,
    Shape,
    check_shape,
    checked,
    einsum,
    parametric,
)
from jaxsr.resample import Kernel, cubic, triangle
from jaxsr.types import AnyArray

KERNELS = ("bicubic", "box", "bilinear")
BLOCK = 1 << 22  # numbers of the largest array in between, some 16 MB
ON_THE_EDGE = 1e-3  # of a prior's pixel: float32 rounding of a corner


def similarity(
    image_shape: Shape,
    photo_shape: Shape,
    matrix: AnyArray,
    *,
    seen: AnyArray | None = None,
    move: Mapping[str, AnyArray | np.floating | float] | None = None,
    kernel: Kernel = "bicubic",
) -> Operator:
    """What a photo [h, w, c] shows of the prior's picture [H, W, c] that lies in it turned, scaled
    and moved.

    Each photo pixel is the weighted mean of the picture's pixels around it. The weight of one is
    k(dx) k(dy), where (dx, dy) is how far from the photo pixel the similarity puts it, along the
    photo's axes in photo pixels: the kernel covers the photo pixel's own footprint, whatever its
    size in the picture, which is the antialiasing. Where the picture is the coarser of the two, the
    kernel is as wide as its pixels and interpolates. Weights beyond the picture's border are
    dropped and the rest made to sum to one, as `downsample` does with the same kernels: turned by
    nothing and a whole number of times smaller, it is that operator.

    A photo pixel is measured where the picture, as `matrix` has it, covers all of it and `seen`
    says so; others are 0 in each measurement, `onto_range` makes them 0 in a photo, and means over
    a measurement count them in. The pseudo-inverse and the damped one are found by conjugate
    gradients (see `linear`).

    `matrix`, `seen` and `move` may be traced. `apply` and `adjoint` are differentiable in `matrix`
    and `move` (which photo pixels are measured stays as it is); the inverses take both for
    constant.

    Args:
        image_shape: of the prior's picture.
        photo_shape: of the photo, or of a canvas around it.
        matrix: [2, 3], prior's pixel coordinates (x, y, 1) to photo's (x, y); x is to the right, y
            down, and pixel centres lie at whole numbers in both. A picture that the photo shows
            `f` times smaller at the same place has [[1/f, 0, o], [0, 1/f, o]], o = (1/f - 1) / 2.
        seen: [h, w], 1 or true for the pixels of a canvas that are the photo's; None: all are.
        move: a further small similarity, see `moved`.
        kernel: "bicubic", "box" (mean over the footprint's overlap) or "bilinear".

    Raises:
        ValueError: shapes that do not fit, another kernel, or a matrix that is no similarity.
    """
    check_shape(image_shape)
    check_shape(photo_shape)
    _check(image_shape, photo_shape, matrix, seen, kernel)
    inside = jnp.ones(photo_shape[:2]) if seen is None else jnp.asarray(seen, jnp.float32)
    base = jax.lax.stop_gradient(jnp.asarray(matrix, jnp.float32))
    measured = ((inside > 0) & covered(image_shape, photo_shape, base))[..., None]
    name = f"similarity {kernel}"

    def applied(theta: dict[str, jax.Array]) -> Function:
        turned = theta["matrix"] if move is None else moved(theta["matrix"], theta, image_shape)
        ones = jnp.ones((*image_shape[:2], 1))
        total = jnp.where(measured, _sums(ones, photo_shape, turned, kernel), jnp.inf)
        return lambda x: _sums(x, photo_shape, turned, kernel) / total

    theta = {"matrix": matrix} | (dict(move) if move else {})
    keep = checked(lambda y: jnp.where(measured, y, 0.0), photo_shape, f"{name}, onto_range")
    return parametric(applied, theta, image_shape, name)._replace(onto_range=keep)


def moved(matrix: jax.Array, move: Mapping[str, jax.Array], image_shape: Shape) -> jax.Array:
    """The matrix [2, 3] after a further small similarity about the picture's centre: "move" [2],
    (x, y) in photo pixels, "turn" in radians (from x to y, clockwise as pictures are shown), and
    "zoom", the logarithm of a scale."""
    height, width = image_shape[:2]
    centre = jnp.asarray([(width - 1) / 2, (height - 1) / 2])
    cosine, sine = jnp.cos(move["turn"]), jnp.sin(move["turn"])
    by = jnp.exp(move["zoom"]) * jnp.stack([cosine, -sine, sine, cosine]).reshape(2, 2)
    at = einsum("ij,j->i", matrix[:, :2], centre) + matrix[:, 2]
    linear = einsum("ij,jk->ik", by, matrix[:, :2])
    return jnp.concatenate(
        [linear, (at + move["move"] - einsum("ij,j->i", linear, centre))[:, None]], 1
    )


def covered(image_shape: Shape, photo_shape: Shape, matrix: jax.Array) -> jax.Array:
    """Bool [h, w]: the photo pixels whose four corners lie in the prior's picture."""
    linear, offset = matrix[:, :2], matrix[:, 2]
    y, x = jnp.mgrid[: photo_shape[0], : photo_shape[1]].astype(jnp.float32)
    corners = jnp.asarray([(-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5)])
    there = jnp.stack([x, y], -1)[:, :, None] + corners - offset
    back = einsum("hwnj,ij->hwni", there, jnp.linalg.inv(linear))
    sides = jnp.asarray([image_shape[1], image_shape[0]], jnp.float32)
    within = (back >= -0.5 - ON_THE_EDGE) & (back <= sides - 0.5 + ON_THE_EDGE)
    return within.all((-1, -2))


def _sums(x: jax.Array, photo_shape: Shape, matrix: jax.Array, kernel: str) -> jax.Array:
    """The sums [h, w, c] of the weighted pixels of x [H, W, c], not normalised.

    Rows of the picture are taken some at a time, and their weights made anew in the backward pass:
    those of all would be as many as a photo's side times the picture's pixels."""
    height, width, channels = x.shape
    rows = _rows_at_once(height, width * channels * photo_shape[1])

    @jax.checkpoint
    def add(total: jax.Array, block: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        pixels, first = block
        down, across = _weights(first + jnp.arange(rows), width, photo_shape, matrix, kernel)
        weighted = across[..., None] * pixels.reshape(1, -1, channels)
        return total + einsum("hp,wpc->hwc", down, weighted), None

    blocks = x.reshape(height // rows, rows, width, channels)
    zeros = jnp.zeros((*photo_shape[:2], channels), x.dtype)
    firsts = jnp.arange(0, height, rows)
    return jax.lax.scan(add, zeros, (blocks, firsts))[0]


def _rows_at_once(height: int, each: int) -> int:
    """The largest divisor of a picture's height of which the rows, of `each` numbers, are at most
    BLOCK; at least 1."""
    return max(n for n in range(1, height + 1) if height % n == 0 and (n == 1 or n * each <= BLOCK))


def _weights(
    rows: jax.Array, width: int, photo_shape: Shape, matrix: jax.Array, kernel: str
) -> tuple[jax.Array, jax.Array]:
    """k of how far each pixel of the picture's `rows` is from each of the photo's rows, [h, rows *
    width], and from each of its columns, [w, rows * width]."""
    y, x = (
        each.reshape(-1).astype(jnp.float32)
        for each in jnp.meshgrid(rows, jnp.arange(width), indexing="ij")
    )
    scale = jnp.sqrt(matrix[0, 0] * matrix[1, 1] - matrix[0, 1] * matrix[1, 0])
    u, v = (a * x + b * y + c for a, b, c in matrix)
    down, across = (
        _profile(kernel, at - jnp.arange(side, dtype=jnp.float32)[:, None], scale)
        for at, side in zip((v, u), photo_shape, strict=False)
    )
    return down, across


def _profile(kernel: str, distance: jax.Array, scale: jax.Array) -> jax.Array:
    """The kernel at distances in photo pixels, where a prior's pixel is `scale` of them wide."""
    distance, pixel = distance / jnp.maximum(scale, 1.0), jnp.minimum(scale, 1.0)
    if kernel == "box":
        overlap = (1.0 + pixel) / 2 - abs(distance)
        return jnp.clip(overlap, 0.0, pixel) / pixel
    return {"bicubic": cubic, "bilinear": triangle}[kernel](distance)


def _check(
    image_shape: Shape, photo_shape: Shape, matrix: AnyArray, seen: AnyArray | None, kernel: str
) -> None:
    if kernel not in KERNELS:
        hint = (
            " (the others differ at a picture's border only)" if kernel in get_args(Kernel) else ""
        )
        raise ValueError(
            f"similarity: expected a kernel of {', '.join(KERNELS)}, got {kernel!r}{hint}"
        )
    if image_shape[2] != photo_shape[2]:
        raise ValueError(
            f"similarity: expected a photo of {image_shape[2]} channels, got {photo_shape[2]}"
        )
    if seen is not None and np.shape(seen) != photo_shape[:2]:
        raise ValueError(
            f"similarity: expected `seen` of shape {photo_shape[:2]}, got {np.shape(seen)}"
        )
    if np.shape(matrix) != (2, 3):
        raise ValueError(f"similarity: expected a matrix [2, 3], got shape {np.shape(matrix)}")
    if not isinstance(matrix, jax.core.Tracer):
        check_similarity(np.asarray(matrix, np.float64))


def check_similarity(matrix: np.ndarray) -> None:
    """Raises ValueError for a matrix [2, 3] that does not turn, scale and move alone."""
    (a, b, _), (c, d, _) = matrix
    scale = math.sqrt(abs(a * d - b * c))
    if not np.isfinite(matrix).all() or scale == 0 or max(abs(a - d), abs(b + c)) > 1e-3 * scale:
        raise ValueError(
            "similarity: expected a finite matrix [[a, -b, x], [b, a, y]] that turns and scales, "
            f"not mirrored, got {matrix.tolist()}"
        )
