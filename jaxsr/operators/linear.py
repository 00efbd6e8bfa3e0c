"""The type of every operator, how one is made of a linear function, and how several are
composed."""

import itertools
import numbers
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.types import AnyArray

Shape = tuple[int, ...]
Function = Callable[[jax.Array], jax.Array]
CheckedFunction = Callable[[AnyArray], jax.Array]
Damped = Callable[[jax.Array, jax.Array], jax.Array]
CheckedDamped = Callable[[AnyArray, AnyArray | float], jax.Array]


class Spectrum(NamedTuple):
    """A singular value decomposition A = U S V*, without the directions of an image that A never
    sees.

    Attributes:
        into: image -> its coefficients, V* x.
        back: coefficients -> image, V c.
        measured: measurement -> its coefficients, U* y.
        values: S, float32 of the coefficients' shape; 0 for a direction that is not seen.
    """

    into: Function
    back: Function
    measured: Function
    values: np.ndarray


class Operator(NamedTuple):
    """A linear map A from an image to a measurement; `A(x)` is `A.apply(x)`.

    Attributes:
        apply: image -> measurement.
        adjoint: measurement -> image, the transpose.
        pinv: measurement -> image of least norm among those that explain it best (Moore-Penrose).
        damped: (measurement, lambda) -> A* (A A* + lambda I)^-1 y, the image x of least
            |A x - y|^2 + lambda |x|^2, lambda a scalar >= 0: Tikhonov's, and the posterior mean
            (Wiener's) where x ~ N(0, s I) and the noise is N(0, lambda s I). 0 gives `pinv`.
        image_shape: shape of an image, mostly (h, w, 3).
        measurement_shape: shape of a measurement.
        name: for reports.
        onto_range: measurement -> the nearest one that an image can give, where arrays of the shape
            exist that none can and that are known in closed form (a mask's hidden pixels, NaN
            included); else None.
        spectrum: () -> its decomposition, where one is known without the whole matrix; else None
            (see `spectra.spectrum`).
        traced: whether its numbers are traced (see `families`): nothing can then be known of it
            before it runs.

    The functions raise ValueError when an array's shape is not the expected one.
    """

    apply: CheckedFunction
    adjoint: CheckedFunction
    pinv: CheckedFunction
    damped: CheckedDamped
    image_shape: Shape
    measurement_shape: Shape
    name: str
    onto_range: CheckedFunction | None = None
    spectrum: Callable[[], Spectrum] | None = None
    traced: bool = False

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
    return lambda array: function(_of_shape(array, shape, what))


def _checked_damped(damped: Damped, shape: Shape, what: str) -> CheckedDamped:
    return lambda y, damping: damped(
        _of_shape(y, shape, what), _of_shape(damping, (), f"{what}, lambda")
    )


def _of_shape(array: AnyArray | float, shape: Shape, what: str) -> jax.Array:
    if np.shape(array) != shape:
        raise ValueError(f"{what}: expected an array of shape {shape}, got {np.shape(array)}")
    return jnp.asarray(array, jnp.float32)


def _least_squares(apply: Function, adjoint: Function, shape: Shape, iterations: int) -> Damped:
    """The damped inverse by conjugate gradients for least squares (Hestenes & Stiefel 1952; damped:
    Bjorck 1996, section 7.4) from x = 0.

    Iterates stay in the range of the adjoint, so that without damping they tend to the solution of
    least norm, also when A is rank deficient or y is outside its range. It stops when
    |A* r - lambda x| <= 1e-6 |A* y|; a second pass corrects the rounding of the first.
    """

    def descend(y: jax.Array, damping: jax.Array, floor: jax.Array, x: jax.Array) -> jax.Array:
        def step(state):
            x, r, p, gamma, count = state
            q = apply(p)
            curvature = jnp.vdot(q, q) + damping * jnp.vdot(p, p)
            alpha = gamma / jnp.maximum(curvature, jnp.finfo(jnp.float32).tiny)
            x, r = x + alpha * p, r - alpha * q
            s = adjoint(r) - damping * x
            return x, r, s + jnp.vdot(s, s) / gamma * p, jnp.vdot(s, s), count + 1

        r = y - apply(x)
        s = adjoint(r) - damping * x
        start = (x, r, s, jnp.vdot(s, s), 0)
        return jax.lax.while_loop(
            lambda state: (state[3] > floor) & (state[4] < iterations), step, start
        )[0]

    def damped(y: jax.Array, damping: jax.Array) -> jax.Array:
        s = adjoint(y)
        floor = 1e-12 * jnp.vdot(s, s)
        return jax.lax.fori_loop(0, 2, lambda _, x: descend(y, damping, floor, x), jnp.zeros(shape))

    return jax.jit(damped)


def _differentiable(solve: Damped, transposed: Damped) -> Damped:
    """`solve` with a reverse-mode derivative.

    The transpose of a damped inverse is that of the transpose, another least-squares problem. With
    u = (A A* + lambda I)^-1 y, x = A* u changes by -A* (A A* + lambda I)^-1 u a unit of lambda, and
    u is the least-squares solution of A* u = x.
    """
    differentiable = jax.custom_vjp(solve)

    def forward(y: jax.Array, damping: jax.Array) -> tuple:
        x = solve(y, damping)
        return x, (x, damping)

    def backward(kept: tuple, cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
        x, damping = kept
        of_y = transposed(cotangent, damping)
        return of_y, -jnp.vdot(of_y, transposed(x, jnp.zeros_like(damping)))

    differentiable.defvjp(forward, backward)
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

    The adjoint is its transpose (`jax.linear_transpose`). The damped inverse and, unless given, the
    pseudo-inverse are at most twice `iterations` steps of conjugate gradients. Those are exact when
    A has few or well-conditioned singular values; else components whose singular value is tiny are
    left out. They run under jit, vmap and reverse-mode differentiation.

    Raises:
        ValueError: a function that is not linear (A(0) is not 0, or JAX knows no transpose), or
            returns more than one array.
    """
    _check_linear(apply, image_shape, name)
    found = from_functions(apply, image_shape, name, iterations=iterations)
    if pinv is None:
        return found
    return found._replace(pinv=checked(pinv, found.measurement_shape, f"{name}, pinv"))


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
    damped: Damped | None = None,
    iterations: int = 200,
) -> Operator:
    """`linear` of a function that is known to be, with its damped inverse where that is known."""
    image = jax.ShapeDtypeStruct(image_shape, jnp.float32)
    measurement_shape = jax.eval_shape(apply, image).shape
    transpose = jax.linear_transpose(apply, image)

    def adjoint(y: jax.Array) -> jax.Array:
        return transpose(y)[0]

    if damped is None:
        transposed = _least_squares(adjoint, apply, measurement_shape, iterations)
        damped = _differentiable(
            _least_squares(apply, adjoint, image_shape, iterations), transposed
        )
    inverse = damped
    return Operator(
        checked(apply, image_shape, name),
        checked(adjoint, measurement_shape, f"{name}, adjoint"),
        checked(lambda y: inverse(y, jnp.float32(0)), measurement_shape, f"{name}, pinv"),
        _checked_damped(inverse, measurement_shape, f"{name}, damped"),
        image_shape,
        measurement_shape,
        name,
    )


def parametric(
    applied: Callable[[dict[str, jax.Array]], Function],
    theta: Mapping[str, AnyArray | np.floating | float],
    image_shape: Shape,
    name: str,
) -> Operator:
    """`from_functions` of applied(theta), linear for every theta.

    `apply` and `adjoint` are differentiable in theta; the inverses take it for constant: they are
    no part of what a search descends in.
    """
    arrays = {key: jnp.asarray(value, jnp.float32) for key, value in theta.items()}
    searched = from_functions(applied(arrays), image_shape, name)
    inverses = from_functions(applied(jax.lax.stop_gradient(arrays)), image_shape, name)
    return inverses._replace(
        apply=searched.apply,
        adjoint=searched.adjoint,
        traced=any(isinstance(leaf, jax.core.Tracer) for leaf in arrays.values()),
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
    ones = np.ones(image_shape, np.float32)
    return from_functions(
        lambda x: x, image_shape, "identity", lambda y, damping: y / (1.0 + damping)
    )._replace(spectrum=lambda: Spectrum(jnp.asarray, jnp.asarray, jnp.asarray, ones))


def separable(rows: np.ndarray, columns: np.ndarray) -> Function:
    """x [h, w, c] -> rows x columns^T for every channel."""
    left, right = rows.astype(np.float32), columns.astype(np.float32)
    return lambda x: einsum("pw,owc->opc", right, einsum("oh,hwc->owc", left, x))


def separable_damped(rows: np.ndarray, columns: np.ndarray) -> Damped:
    """The damped inverse of `separable`, of matrices of full row rank: the eigenvalues of the
    whole's A A* are all products of those of the two, whose condition numbers are below 4 for every
    kernel of `resample`."""
    (s, u), (t, v) = (np.linalg.eigh(matrix @ matrix.T) for matrix in (rows, columns))
    into, back = separable(u.T, v.T), separable(rows.T @ u, columns.T @ v)
    values = np.multiply.outer(s, t).astype(np.float32)[..., None]
    return lambda y, damping: back(into(y) / (values + damping))


def compose(*operators: Operator) -> Operator:
    """Applies the operators left to right; the inverses of the whole are found by conjugate
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
