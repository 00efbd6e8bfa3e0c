"""Singular value decompositions of operators: in closed form, of their factors, or of the whole
matrix where that is small."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.operators.linear import (
    Function,
    Operator,
    Shape,
    Spectrum,
    einsum,
    from_functions,
    separable,
)

# Singular values below this share of the largest count as zero: noise over them would be all that
# is seen. DDRM's release has these numbers, for matrices of one axis and for whole ones.
LEAST_OF_AXIS = 3e-2
LEAST = 1e-3
LARGEST = 1 << 24  # numbers of a matrix that is decomposed as a whole: minutes


def spectrum(operator: Operator) -> Spectrum:
    """The operator's own decomposition, or that of its matrix.

    Raises:
        ValueError: it has none, and its matrix is too large or not known before it runs.
    """
    if operator.traced:
        raise ValueError(
            f"{operator.name}: expected an operator whose numbers are known for a singular value "
            "decomposition, got one with parameters: take a method that needs none, as ddnm"
        )
    return operator.spectrum() if operator.spectrum else of_matrix(operator)


def diagonal(values: np.ndarray) -> Spectrum:
    """Of an operator that multiplies each number of an image by one of `values`, of its shape and
    none below 0."""
    return Spectrum(jnp.asarray, jnp.asarray, jnp.asarray, np.asarray(values, np.float32))


def tight(operator: Operator, value: float) -> Spectrum:
    """Of an operator with A A* = value^2 I."""
    return Spectrum(
        lambda x: operator.apply(x) / value,
        lambda c: operator.adjoint(c) / value,
        jnp.asarray,
        np.full(operator.measurement_shape, value, np.float32),
    )


def of_factors(rows: np.ndarray, columns: np.ndarray, channels: int) -> Spectrum:
    """Of `separable(rows, columns)`: the products of the singular values of the two."""
    (u, s, v), (w, t, z) = (np.linalg.svd(m, full_matrices=False) for m in (rows, columns))
    s, t = (np.where(each < LEAST_OF_AXIS * each[0], 0.0, each) for each in (s, t))
    values = np.repeat(np.multiply.outer(s, t)[..., None], channels, -1)
    return Spectrum(
        separable(v, z), separable(v.T, z.T), separable(u.T, w.T), values.astype(np.float32)
    )


def of_matrix(operator: Operator) -> Spectrum:
    """Of any operator whose matrix has at most `LARGEST` numbers.

    Raises:
        ValueError: it has more.
    """
    matrix = _matrix(operator)
    u, s, v = _decomposed(matrix)
    return Spectrum(
        lambda x: einsum("kn,n->k", v, x.reshape(-1)),
        lambda c: einsum("kn,k->n", v, c).reshape(operator.image_shape),
        lambda y: einsum("mk,m->k", u, y.reshape(-1)),
        s,
    )


def of_channels(apply: Function, image_shape: Shape, name: str) -> Spectrum:
    """`of_matrix` of a function of [h, w, 1] that is applied to each channel alone."""
    one = of_matrix(from_functions(apply, (*image_shape[:2], 1), name))

    def each(function: Function) -> Function:
        return jax.vmap(lambda plane: function(plane[..., None]), -1, -1)

    return Spectrum(
        each(one.into),
        jax.vmap(lambda c: one.back(c)[..., 0], -1, -1),
        each(one.measured),
        np.repeat(one.values[:, None], image_shape[2], -1),
    )


def _matrix(operator: Operator) -> np.ndarray:
    """The operator as a float64 matrix [measurements, numbers]."""
    rows, columns = math.prod(operator.measurement_shape), math.prod(operator.image_shape)
    if rows * columns > LARGEST:
        raise ValueError(
            f"{operator.name}: no singular value decomposition is known, and its matrix of {rows} "
            f"x {columns} numbers is too large for one: take a method that needs none, as ddnm"
        )
    if rows <= columns:
        basis = jnp.eye(rows).reshape(-1, *operator.measurement_shape)
        return np.asarray(jax.lax.map(operator.adjoint, basis), np.float64).reshape(rows, -1)
    basis = jnp.eye(columns).reshape(-1, *operator.image_shape)
    return np.asarray(jax.lax.map(operator.apply, basis), np.float64).reshape(columns, -1).T


def _decomposed(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """u [m, k], s [k], v [k, n], float32, of the singular values that count, by the
    eigenvalues of the smaller product, which takes a fraction of the time."""
    if len(matrix) > matrix.shape[1]:
        v, s, u = _decomposed(matrix.T)
        return u.T, s, v.T
    squares, u = np.linalg.eigh(matrix @ matrix.T)
    counts = squares > (LEAST**2) * squares[-1]
    s, u = np.sqrt(squares[counts]), u[:, counts]
    v = (matrix.T @ u / s).T
    return u.astype(np.float32), s.astype(np.float32), v.astype(np.float32)
