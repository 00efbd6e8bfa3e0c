"""The type of every operator, how one is made of a linear function, and how several are
composed."""

import itertools
import numbers
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.types import AnyArray

Shape = tuple[int, ...]
Function = Callable[[jax.Array], jax.Array]
CheckedFunction = Callable[[AnyArray], jax.Array]


class Operator(NamedTuple):
    """A linear map A from an image to a measurement; `A(x)` is `A.apply(x)`.

    Attributes:
        apply: image -> measurement.
        adjoint: measurement -> image, the transpose.
        pinv: measurement -> image of least norm among those that explain it best (Moore-Penrose).
        image_shape: shape of an image, mostly (h, w, 3).
        measurement_shape: shape of a measurement.
        name: for reports.
        onto_range: measurement -> the nearest one that an image can give, where arrays of the shape
            exist that none can and that are known in closed form (a mask's hidden pixels, NaN
            included); else None.

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


def einsum(formula: str, *arrays: AnyArray) -> jax.Array:
    """`jnp.einsum` in full float32."""
    # Accelerators round matrix products to 10 mantissa bits by default, far more than the tolerance
    # of a pseudo-inverse.
    return jnp.einsum(formula, *arrays, precision="highest")


def checked(function: Function, shape: Shape, what: str) -> CheckedFunction:
    """The function, refusing arrays of another shape, which would broadcast silently in some
    operators."""

    def check_and_call(array: AnyArray) -> jax.Array:
        if np.shape(array) != shape:
            raise ValueError(f"{what}: expected an array of shape {shape}, got {np.shape(array)}")
        return function(jnp.asarray(array, jnp.float32))

    return check_and_call


def _least_squares(apply: Function, adjoint: Function, shape: Shape, iterations: int) -> Function:
    """The pseudo-inverse by conjugate gradients for least squares (Hestenes & Stiefel 1952) from x
    = 0.

    Iterates stay in the range of the adjoint, so they tend to the solution of least norm, also when
    A is rank deficient or y is outside its range, and no damping is needed. It stops when |A* r| <=
    1e-6 |A* y|; a second pass corrects the rounding of the first.
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
        return jax.lax.while_loop(
            lambda state: (state[3] > floor) & (state[4] < iterations), step, start
        )[0]

    def pinv(y: jax.Array) -> jax.Array:
        s = adjoint(y)
        floor = 1e-12 * jnp.vdot(s, s)
        return jax.lax.fori_loop(0, 2, lambda _, x: descend(y, floor, x), jnp.zeros(shape))

    return jax.jit(pinv)


def _differentiable(solve: Function, transposed: Function) -> Function:
    """`solve` with a reverse-mode derivative: the transpose of a pseudo-inverse is that of the
    transpose, another least-squares problem."""
    differentiable = jax.custom_vjp(solve)
    differentiable.defvjp(lambda y: (solve(y), None), lambda _, cotangent: (transposed(cotangent),))
    return differentiable


def linear(
    apply: Function,
    image_shape: Shape,
    *,
    name: str = "linear",
    pinv: Function | None = None,
    iterations: int = 200,
) -> Operator:
    """The operator of any linear JAX function of an image.

    The adjoint is its transpose (`jax.linear_transpose`). Unless given, the pseudo-inverse is at
    most twice `iterations` steps of conjugate gradients, exact when A has few or well-conditioned
    singular values and otherwise a regularised one: components whose singular value is tiny are
    left out. It runs under jit, vmap and reverse-mode differentiation.

    Raises:
        ValueError: a function that is not linear (A(0) is not 0, or JAX knows no transpose), or
            returns more than one array.
    """
    _check_linear(apply, image_shape, name)
    return from_functions(apply, image_shape, name, pinv, iterations)


def _check_linear(apply: Function, image_shape: Shape, name: str) -> None:
    if not hasattr(image_shape, "__len__") or not all(
        isinstance(side, numbers.Integral) for side in image_shape
    ):
        raise ValueError(
            f"{name}: expected an image_shape such as (64, 64, 3), got {image_shape!r}"
        )
    image = jax.ShapeDtypeStruct(tuple(image_shape), jnp.float32)
    measurement = jax.eval_shape(apply, image)
    if not isinstance(measurement, jax.ShapeDtypeStruct):
        raise ValueError(
            f"{name}: expected a function that returns one array, got {type(measurement).__name__}"
        )
    try:
        jax.eval_shape(jax.linear_transpose(apply, image), measurement)
    # By what primitive is not linear in what; some say nothing.
    except (NotImplementedError, TypeError, AssertionError) as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise ValueError(
            f"{name}: expected a linear function, got one without a transpose ({why})"
        ) from error
    offset = float(jnp.abs(apply(jnp.zeros(image_shape))).max())
    if offset != 0:
        raise ValueError(
            f"{name}: expected a linear function, got one that makes {offset:g} of an image "
            "of zeros"
        )


def from_functions(
    apply: Function,
    image_shape: Shape,
    name: str,
    pinv: Function | None = None,
    iterations: int = 200,
) -> Operator:
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
        checked(apply, image_shape, name),
        checked(adjoint, measurement_shape, f"{name}, adjoint"),
        checked(pinv, measurement_shape, f"{name}, pinv"),
        image_shape,
        measurement_shape,
        name,
    )


def check_shape(shape: Shape) -> None:
    """Raises ValueError for what is no shape [h, w, c] of an image."""
    if not (
        isinstance(shape, tuple | list)
        and len(shape) == 3
        and all(isinstance(side, numbers.Integral) for side in shape)
    ):
        raise ValueError(f"expected an image_shape (height, width, channels), got {shape!r}")


def identity(image_shape: Shape) -> Operator:
    """The image itself."""
    return from_functions(lambda x: x, image_shape, "identity", lambda y: y)


def separable(rows: np.ndarray, columns: np.ndarray) -> Function:
    """x [h, w, c] -> rows x columns^T for every channel."""
    left, right = rows.astype(np.float32), columns.astype(np.float32)
    return lambda x: einsum("pw,owc->opc", right, einsum("oh,hwc->owc", left, x))


def right_inverse(matrix: np.ndarray) -> np.ndarray:
    """The pseudo-inverse of a matrix of full row rank, whose condition number is below 2 for every
    kernel of `resample`."""
    return np.linalg.solve(matrix @ matrix.T, matrix).T


def compose(*operators: Operator) -> Operator:
    """Applies the operators left to right; the pseudo-inverse of the whole is found by conjugate
    gradients (see `linear`).

    Raises:
        ValueError: no operator, or one whose image is not shaped like the measurement before it.
    """
    if not operators:
        raise ValueError("expected at least one operator to compose, got none")
    for first, second in itertools.pairwise(operators):
        if first.measurement_shape != second.image_shape:
            got = f"{first.measurement_shape} after {first.name}"
            raise ValueError(
                f"{second.name}: expected an input of shape {second.image_shape}, got {got}"
            )

    def apply(x: jax.Array) -> jax.Array:
        for operator in operators:
            x = operator.apply(x)
        return x

    whole = from_functions(
        apply, operators[0].image_shape, ", then ".join(operator.name for operator in operators)
    )
    return whole._replace(onto_range=operators[-1].onto_range)
