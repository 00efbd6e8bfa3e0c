"""Linear measurement operators: what is known of an image, as bundles of pure functions.

Everything is written for one image and float32, and works under jit and vmap. Noise, rounding and compression are no part of an operator
(see `jaxsr.degradations`).
"""

import itertools
import numbers
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.resample import Kernel, downsample_matrix
from jaxsr.types import PRNGKey

LUMA = (0.299, 0.587, 0.114)  # BT.601, as Pillow's convert("L")
Shape = tuple[int, ...]
AnyArray = jax.Array | np.ndarray
Function = Callable[[jax.Array], jax.Array]
CheckedFunction = Callable[[AnyArray], jax.Array]
Boundary = Literal["reflect", "symmetric", "edge", "wrap", "constant"]


class Operator(NamedTuple):
    """A linear map A from an image to a measurement; `A(x)` is `A.apply(x)`.

    Attributes:
        apply: image -> measurement.
        adjoint: measurement -> image, the transpose.
        pinv: measurement -> image of least norm among those that explain it best (Moore-Penrose).
        image_shape: shape of an image, mostly (h, w, 3).
        measurement_shape: shape of a measurement.
        name: for reports.
        onto_range: measurement -> the nearest one that an image can give, where arrays of the shape exist that none can and that are known
            in closed form (a mask's hidden pixels, NaN included); else None.

    The three functions raise ValueError when an argument's shape is not the expected one.
    """

    apply: CheckedFunction
    adjoint: CheckedFunction
    pinv: CheckedFunction
    image_shape: Shape
    measurement_shape: Shape
    name: str
    onto_range: CheckedFunction | None = None

    def __call__(self, x: AnyArray) -> jax.Array:
        """A(x), the measurement of an image."""
        return self.apply(x)


def _einsum(formula: str, *arrays) -> jax.Array:
    # Accelerators round matrix products to 10 mantissa bits by default, far more than the tolerance of a pseudo-inverse.
    return jnp.einsum(formula, *arrays, precision="highest")


def _checked(function: Function, shape: Shape, what: str) -> CheckedFunction:
    """The function, refusing arrays of another shape, which would broadcast silently in some operators."""

    def checked(array: AnyArray) -> jax.Array:
        if np.shape(array) != shape:
            raise ValueError(f"{what}: expected an array of shape {shape}, got {np.shape(array)}")
        return function(jnp.asarray(array, jnp.float32))

    return checked


def _least_squares(apply: Function, adjoint: Function, shape: Shape, iterations: int) -> Function:
    """The pseudo-inverse by conjugate gradients for least squares (Hestenes & Stiefel 1952) from x = 0.

    Iterates stay in the range of the adjoint, so they tend to the solution of least norm, also when A is rank deficient or y is outside
    its range, and no damping is needed. It stops when |A* r| <= 1e-6 |A* y|; a second pass corrects the rounding of the first.
    """

    def descend(y: jax.Array, floor: jax.Array, x: jax.Array) -> jax.Array:
        def step(state):
            x, r, p, gamma, count = state
            q = apply(p)
            alpha = gamma / jnp.maximum(jnp.vdot(q, q), jnp.finfo(jnp.float32).tiny)
            x, r = x + alpha * p, r - alpha * q
            s = adjoint(r)
            return x, r, s + jnp.vdot(s, s) / gamma * p, jnp.vdot(s, s), count + 1

        r = y - apply(x)
        s = adjoint(r)
        start = (x, r, s, jnp.vdot(s, s), 0)
        return jax.lax.while_loop(lambda state: (state[3] > floor) & (state[4] < iterations), step, start)[0]

    def pinv(y: jax.Array) -> jax.Array:
        s = adjoint(y)
        floor = 1e-12 * jnp.vdot(s, s)
        return jax.lax.fori_loop(0, 2, lambda _, x: descend(y, floor, x), jnp.zeros(shape))

    return jax.jit(pinv)


def _differentiable(solve: Function, transposed: Function) -> Function:
    """`solve` with a reverse-mode derivative: the transpose of a pseudo-inverse is that of the transpose, another least-squares problem."""
    differentiable = jax.custom_vjp(solve)
    differentiable.defvjp(lambda y: (solve(y), None), lambda _, cotangent: (transposed(cotangent),))
    return differentiable


def linear(apply: Function, image_shape: Shape, *, name: str = "linear", pinv: Function | None = None, iterations: int = 200) -> Operator:
    """The operator of any linear JAX function of an image.

    The adjoint is its transpose (`jax.linear_transpose`). Unless given, the pseudo-inverse is at most twice `iterations` steps of
    conjugate gradients, exact when A has few or well-conditioned singular values and otherwise a regularised one: components whose singular
    value is tiny are left out. It runs under jit, vmap and reverse-mode differentiation.

    Raises:
        ValueError: a function that is not linear (A(0) is not 0, or JAX knows no transpose), or returns more than one array.
    """
    _check_linear(apply, image_shape, name)
    return _operator(apply, image_shape, name, pinv, iterations)


def _check_linear(apply: Function, image_shape: Shape, name: str) -> None:
    if not hasattr(image_shape, "__len__") or not all(isinstance(side, numbers.Integral) for side in image_shape):
        raise ValueError(f"{name}: expected an image_shape such as (64, 64, 3), got {image_shape!r}")
    image = jax.ShapeDtypeStruct(tuple(image_shape), jnp.float32)
    measurement = jax.eval_shape(apply, image)
    if not isinstance(measurement, jax.ShapeDtypeStruct):
        raise ValueError(f"{name}: expected a function that returns one array, got {type(measurement).__name__}")
    try:
        jax.eval_shape(jax.linear_transpose(apply, image), measurement)
    except (NotImplementedError, TypeError, AssertionError) as error:  # by what primitive is not linear in what; some say nothing
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(f"{name}: expected a linear function, got one without a transpose ({why})") from error
    offset = float(jnp.abs(apply(jnp.zeros(image_shape))).max())
    if offset != 0:
        raise ValueError(f"{name}: expected a linear function, got one that makes {offset:g} of an image of zeros")


def _operator(apply: Function, image_shape: Shape, name: str, pinv: Function | None = None, iterations: int = 200) -> Operator:
    """`linear` of a function that is known to be."""
    image = jax.ShapeDtypeStruct(image_shape, jnp.float32)
    measurement_shape = jax.eval_shape(apply, image).shape
    transpose = jax.linear_transpose(apply, image)

    def adjoint(y: jax.Array) -> jax.Array:
        return transpose(y)[0]

    if pinv is None:
        transposed = _least_squares(adjoint, apply, measurement_shape, iterations)
        pinv = _differentiable(_least_squares(apply, adjoint, image_shape, iterations), transposed)
    return Operator(
        _checked(apply, image_shape, name),
        _checked(adjoint, measurement_shape, f"{name}, adjoint"),
        _checked(pinv, measurement_shape, f"{name}, pinv"),
        image_shape,
        measurement_shape,
        name,
    )


def _check_image(shape: Shape) -> None:
    """Raises ValueError for what is no shape [h, w, c] of an image."""
    if not (isinstance(shape, tuple | list) and len(shape) == 3 and all(isinstance(side, numbers.Integral) for side in shape)):
        raise ValueError(f"expected an image_shape (height, width, channels), got {shape!r}")


def identity(image_shape: Shape) -> Operator:
    """The image itself."""
    return _operator(lambda x: x, image_shape, "identity", lambda y: y)


def _separable(rows: np.ndarray, columns: np.ndarray) -> Function:
    """x [h, w, c] -> rows x columns^T for every channel."""
    left, right = rows.astype(np.float32), columns.astype(np.float32)
    return lambda x: _einsum("pw,owc->opc", right, _einsum("oh,hwc->owc", left, x))


def _right_inverse(matrix: np.ndarray) -> np.ndarray:
    """The pseudo-inverse of a matrix of full row rank, whose condition number is below 2 for every kernel of `resample`."""
    return np.linalg.solve(matrix @ matrix.T, matrix).T


def downsample(factor: int, *, image_shape: Shape, kernel: Kernel = "bicubic") -> Operator:
    """Shrinks an image [h, w, c] to [h / factor, w / factor, c] with the kernel of that name (see `resample.downsample_matrix`).

    The pseudo-inverse is exact: A(A.pinv(y)) = y to 1e-5.

    Raises:
        ValueError: unknown kernel, or a factor that does not divide both sides.
    """
    _check_image(image_shape)
    height, width, _ = image_shape
    rows, columns = downsample_matrix(height, factor, kernel), downsample_matrix(width, factor, kernel)
    inverse_rows = _right_inverse(rows)
    inverse_columns = inverse_rows if width == height else _right_inverse(columns)
    pinv = _separable(inverse_rows, inverse_columns)
    return _operator(_separable(rows, columns), image_shape, f"downsample {factor} {kernel}", pinv)


def blur(kernel: AnyArray, image_shape: Shape, boundary: Boundary = "reflect") -> Operator:
    """Convolution of every channel of an image [h, w, c] with one kernel [kh, kw], whose sides are odd; the size stays.

    `boundary` is numpy.pad's: "reflect" (border pixel not repeated), "symmetric" (repeated), "edge", "wrap", "constant" (zeros).
    A blur all but erases some frequencies; the pseudo-inverse leaves those out (see `linear`).

    Raises:
        ValueError: a kernel that is not 2-D with odd sides and finite, or larger than the image allows; an unknown boundary.
    """
    kernel = np.asarray(kernel, np.float32)
    if kernel.ndim != 2 or not all(side % 2 for side in kernel.shape) or not np.isfinite(kernel).all():
        raise ValueError(f"expected a finite 2-D blur kernel with odd sides, got shape {kernel.shape}")
    if boundary not in get_args(Boundary):
        raise ValueError(f"unknown boundary {boundary!r}: expected one of {', '.join(get_args(Boundary))}")
    pads = [side // 2 for side in kernel.shape]
    if any(pad >= side for pad, side in zip(pads, image_shape, strict=False)):
        raise ValueError(f"expected a blur kernel of less than twice the image's sides {image_shape[:2]}, got {kernel.shape}")
    flipped = jnp.asarray(kernel[::-1, ::-1, None, None])
    widths = [(pad, pad) for pad in pads] + [(0, 0)]

    def apply(x: jax.Array) -> jax.Array:
        # Channels as the batch: a grouped convolution would be an order of magnitude slower on XLA's CPU backend.
        planes = jnp.moveaxis(jnp.pad(x, widths, mode=boundary), 2, 0)[..., None]
        out = jax.lax.conv_general_dilated(
            planes, flipped, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest"
        )
        return jnp.moveaxis(out[..., 0], 0, 2)

    return _operator(apply, image_shape, "blur")


def gaussian_blur(sigma: float, *, image_shape: Shape, boundary: Boundary = "reflect") -> Operator:
    """Blur by a Gaussian of standard deviation `sigma` pixels, cut at 4 sigma and normalised."""
    if not 0 < sigma < np.inf:
        raise ValueError(f"expected a finite sigma > 0, got {sigma}")
    radius = int(np.ceil(4 * sigma))
    profile = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    profile /= profile.sum()
    return blur(np.outer(profile, profile), image_shape, boundary)._replace(name=f"gaussian blur {sigma:g}")


def motion_kernel(length: int, angle: float, direction: float = 0.0) -> np.ndarray:
    """A line of odd `length` pixels as a kernel [length, length] of sum one.

    It points `angle` degrees anticlockwise from the right. `direction` in [-1, 1] tilts the weights: 0 is even, 1 has all the weight at
    the front falling linearly to none at the back, -1 the reverse.
    """
    if not isinstance(length, numbers.Integral) or length < 3 or length % 2 == 0 or not -1 <= direction <= 1:
        raise ValueError(f"expected an odd length >= 3 and a direction in [-1, 1], got {length} and {direction}")
    radius = length // 2
    along = np.linspace(-radius, radius, 8 * length + 1)
    weights = 1.0 + direction * along / radius
    rows, columns = radius - along * np.sin(np.radians(angle)), radius + along * np.cos(np.radians(angle))
    grid = np.arange(length)

    def spread(centres: np.ndarray) -> np.ndarray:
        return np.maximum(1.0 - np.abs(grid[:, None] - centres), 0.0)

    kernel = np.einsum("rk,ck,k->rc", spread(rows), spread(columns), weights)
    return kernel / kernel.sum()


def motion_blur(length: int, angle: float, *, image_shape: Shape, direction: float = 0.0, boundary: Boundary = "reflect") -> Operator:
    """Blur along a line: see `motion_kernel`. RLS's robustness test has length 49, angle 45, direction 1."""
    return blur(motion_kernel(length, angle, direction), image_shape, boundary)._replace(name=f"motion blur {length}, {angle:g} degrees")


def mask(mask: AnyArray, image_shape: Shape) -> Operator:
    """Inpainting: keeps the pixels where `mask` [h, w] is true and sets the others to zero, so a measurement is image-shaped.

    The pseudo-inverse is the operator itself: A(A.pinv(y)) = y for every y that is zero where nothing was seen. `jaxsr.restore` takes
    photos whose hidden pixels hold anything.

    Raises:
        ValueError: a mask of another shape, or with other values than false and true, or 0 and 1.
    """
    if np.shape(mask) != image_shape[:2]:
        raise ValueError(f"expected a mask of shape {image_shape[:2]}, got {np.shape(mask)}")
    others = np.setdiff1d(mask, [0, 1])
    if len(others):
        raise ValueError(f"expected a mask of 0 (hidden) and 1 (seen), got {others[0]:g}")
    keep = jnp.asarray(mask, jnp.float32)[:, :, None]
    seen = _checked(lambda y: jnp.where(keep > 0, y, 0.0), image_shape, "mask, onto_range")
    return _operator(lambda x: x * keep, image_shape, "mask", lambda y: y * keep)._replace(onto_range=seen)


def grey(image_shape: Shape) -> Operator:
    """The luma (BT.601) of an image [h, w, 3], [h, w, 1]; the pseudo-inverse is exact.

    Raises:
        ValueError: an image of another shape.
    """
    _check_image(image_shape)
    if image_shape[2] != 3:
        raise ValueError(f"expected images of 3 channels to make grey, got {image_shape[2]}")
    weights = np.asarray(LUMA, np.float32)[:, None]
    spread = weights.T / np.sum(weights**2)
    return _operator(lambda x: _einsum("hwc,cd->hwd", x, weights), image_shape, "grey", lambda y: _einsum("hwd,dc->hwc", y, spread))


def _cosines(size: int) -> np.ndarray:
    """The orthonormal DCT-II matrix [size, size]."""
    matrix = np.cos(np.pi / size * np.arange(size)[:, None] * (np.arange(size) + 0.5)) * np.sqrt(2.0 / size)
    matrix[0] /= np.sqrt(2.0)
    return matrix


def compressed_sensing(key: PRNGKey, measurements: int, image_shape: Shape) -> Operator:
    """`measurements` random projections of an image [h, w, c]: random signs, orthonormal DCT over all axes, a random subset.

    A A* = I, so the pseudo-inverse is the adjoint. Memory is that of the image and of one [h, h] and one [w, w] matrix, not of a dense
    [measurements, h w c] one (structurally random matrices: Do, Gan, Nguyen and Tran, IEEE TSP 60, 2012).
    """
    _check_image(image_shape)
    if not isinstance(key, jax.Array):
        raise ValueError(f"expected a key of jax.random.key, got {key!r}")
    size = int(np.prod(image_shape))
    if not (isinstance(measurements, numbers.Integral) and 1 <= measurements <= size):
        raise ValueError(f"expected between 1 and {size} measurements, a whole number, got {measurements}")
    height, width, channels = image_shape
    key_signs, key_subset = jax.random.split(key)
    signs = np.asarray(jax.random.rademacher(key_signs, image_shape, jnp.int8))
    subset = np.asarray(jax.random.permutation(key_subset, size)[:measurements])
    transform, colours = _separable(_cosines(height), _cosines(width)), _cosines(channels).astype(np.float32)

    def apply(x: jax.Array) -> jax.Array:
        return _einsum("dc,hwc->hwd", colours, transform(x * signs)).reshape(-1)[subset]

    operator = _operator(apply, image_shape, f"compressed sensing {measurements}")
    return operator._replace(pinv=operator.adjoint)


def compose(*operators: Operator) -> Operator:
    """Applies the operators left to right; the pseudo-inverse of the whole is found by conjugate gradients (see `linear`).

    Raises:
        ValueError: no operator, or one whose image is not shaped like the measurement before it.
    """
    if not operators:
        raise ValueError("expected at least one operator to compose, got none")
    for first, second in itertools.pairwise(operators):
        if first.measurement_shape != second.image_shape:
            got = f"{first.measurement_shape} after {first.name}"
            raise ValueError(f"{second.name}: expected an input of shape {second.image_shape}, got {got}")

    def apply(x: jax.Array) -> jax.Array:
        for operator in operators:
            x = operator.apply(x)
        return x

    whole = _operator(apply, operators[0].image_shape, ", then ".join(operator.name for operator in operators))
    return whole._replace(onto_range=operators[-1].onto_range)
