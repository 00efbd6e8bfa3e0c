"""The metric that a map pulls back onto its latent space, and the eigenvectors of it, dense or
matrix-free.

For a map phi with Jacobian J at a latent, H = J^T J is half the Hessian of |phi(z) - phi(z0)|^2 at
z0, exactly, because the difference is zero there (Montanaro et al., section 3; Wang and Ponce,
arXiv:2101.06006). One linearisation of phi and its transpose give H v; nothing is differentiated
twice. A latent is any pytree of arrays; directions are vectors [d] in the order of
`jax.flatten_util.ravel_pytree`.
"""

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float

from jaxsr.types import Latent, PRNGKey

Product = Callable[[jax.Array], jax.Array]
# Of eigenpairs found matrix-free, relative to the largest eigenvalue; float32 products allow little
# less.
TOLERANCE = 1e-5
BLOCK = 16  # products at a time; narrow blocks need fewer products in all, wide ones fewer calls
LARGEST = 6  # vectors of the Krylov space for each pair wanted, at most
GRAM_BYTES = 2**29  # a Jacobian up to this size is held whole
PROBES = 16  # random vectors that estimate what the top eigenvalues leave of a trace


class Spectrum(NamedTuple):
    """Eigenpairs of a metric on d latent coordinates, the largest first, in float64.

    Attributes:
        values: [k].
        vectors: [d, k], orthonormal columns.
        trace: the sum of all d eigenvalues; estimated if k < d.
    """

    values: np.ndarray
    vectors: np.ndarray
    trace: float


class Linearised(NamedTuple):
    """A map at a latent: its value there raveled [m], J v of v [d], and J^T u of u [m]."""

    value: jax.Array
    jvp: Product
    vjp: Product


def linearise(phi: Callable[[Latent], Any], latent: Latent) -> Linearised:
    """phi at a latent and its derivative there, from one pass through phi; matrix products at full
    precision also on accelerators."""
    flat, unravel = ravel_pytree(latent)
    with jax.default_matmul_precision("highest"):
        value, jvp = jax.linearize(lambda v: ravel_pytree(phi(unravel(v)))[0], flat)
    transpose = jax.linear_transpose(jvp, flat)
    return Linearised(value, jvp, lambda u: transpose(u)[0])


def product(phi: Callable[[Latent], Any], latent: Latent) -> Product:
    """v [d] -> J^T J v [d], with J the Jacobian of phi (latent -> pytree of arrays) at the
    latent."""
    at = linearise(phi, latent)
    return lambda v: at.vjp(at.jvp(v))


def products(
    phi: Callable[[Latent], tuple], latent: Latent
) -> Callable[[jax.Array], tuple[jax.Array, ...]]:
    """v [d] -> J^T J v [d] of each map of a tuple, all from one forward pass."""
    _, jvp, flat = _linearised_maps(phi, latent)
    transpose = jax.linear_transpose(jvp, flat)

    def each(v: jax.Array) -> tuple[jax.Array, ...]:
        moved = jvp(v)
        alone = [
            tuple(m if i == j else jnp.zeros_like(m) for j, m in enumerate(moved))
            for i in range(len(moved))
        ]
        return tuple(transpose(one)[0] for one in alone)

    return each


def _linearised_maps(
    phi: Callable[[Latent], tuple], latent: Latent
) -> tuple[tuple[jax.Array, ...], Callable, jax.Array]:
    """Each map's value raveled, J v of each, and the latent raveled."""
    flat, unravel = ravel_pytree(latent)
    with jax.default_matmul_precision("highest"):
        values, jvp = jax.linearize(
            lambda v: tuple(ravel_pytree(part)[0] for part in phi(unravel(v))), flat
        )
    return values, jvp, flat


def over_devices(
    function: Callable, rows: Any, *, batch_size: int, combine: Callable[[Any], Any] | None = None
) -> Any:
    """`jax.lax.map` over rows, a pytree of arrays [n, ...], shared out evenly over the devices of
    this process; at most `batch_size` at once on each. Arrays that the function closes over must be
    `uncommitted`.

    combine: what each device makes of its rows' results, the same on all of them, by collectives
        over the axis "rows"; it is returned instead of them.
    """
    count = len(jax.tree.leaves(rows)[0])
    devices = jax.local_devices()[: math.gcd(count, jax.local_device_count())]
    mapped = functools.partial(
        jax.lax.map, function, batch_size=min(batch_size, count // len(devices))
    )

    def part(rows: Any) -> Any:
        return mapped(rows) if combine is None else combine(mapped(rows))

    if len(devices) == 1:  # without a mesh, which arrays bound to another would not fit
        made = mapped(rows)
        if combine is None:
            return made
        return jax.tree.map(
            lambda x: x[0],
            jax.vmap(combine, axis_name="rows")(jax.tree.map(lambda x: x[None], made)),
        )
    split, whole = PartitionSpec("rows"), PartitionSpec()
    mesh, made = Mesh(np.array(devices), ("rows",)), split if combine is None else whole
    return jax.shard_map(part, mesh=mesh, in_specs=split, out_specs=made, check_vma=False)(rows)


def _grams(columns: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    """J^T J [d, d] of each J whose columns [d, m] the devices hold in parts. Each device exchanges
    its part for all columns' entries of a share of m, so that none holds all of J, and the shares'
    products are summed."""

    def gram(part: jax.Array) -> jax.Array:
        share = jax.lax.psum(1, "rows")
        padded = jnp.pad(part, ((0, 0), (0, -part.shape[1] % share)))
        mine = jax.lax.all_to_all(padded, "rows", 1, 0, tiled=True)
        return jax.lax.psum(jnp.matmul(mine, mine.T, precision="highest"), "rows")

    return tuple(map(gram, columns))


def uncommitted(tree: Any) -> Any:
    """The same arrays, bound to no device: what a method returns lies on the devices that it ran
    on."""
    return (
        tree if jax.local_device_count() == 1 else jax.tree.map(jnp.asarray, jax.device_get(tree))
    )


def metrics(
    phi: Callable[[Latent], tuple], latent: Latent, *, chunk: int = 16
) -> tuple[Float[Array, "d d"], ...]:
    """J^T J of several maps that share their work, `chunk` columns at a time on each device: the
    memory is that of as many passes.

    Where J of all maps together takes no more than GRAM_BYTES, it is made column by column, each
    shared by the maps, without a backward pass; else each column is a product J^T (J v).

    Args:
        phi: latent -> a tuple of pytrees of arrays, a map each.
        latent: where.
        chunk: columns at once.
    """
    values, jvp, flat = _linearised_maps(phi, latent)
    eye, rows = jnp.eye(flat.size, dtype=flat.dtype), min(chunk, flat.size)
    if flat.size * sum(value.nbytes for value in values) <= GRAM_BYTES:
        return over_devices(jvp, eye, batch_size=rows, combine=_grams)
    return over_devices(products(phi, latent), eye, batch_size=rows)


def eigen(matrix: np.ndarray | jax.Array, *, rank: int = 1) -> Spectrum:
    """All eigenpairs of a symmetric positive semi-definite matrix [d, d], in float64 on the host.

    Args:
        matrix: [d, d]; what rounding made asymmetric is averaged.
        rank: how many eigenvalues must be above rounding, d x 1.2e-7 of the largest.

    Raises:
        ValueError: entries that are not finite, or a lower rank.
    """
    matrix = np.asarray(matrix, np.float64)
    require_finite(matrix)
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    found = Spectrum(values[::-1].copy(), vectors[:, ::-1].copy(), float(np.trace(matrix)))
    require_rank(found.values, len(matrix), rank)
    return found


def require_finite(matrix: np.ndarray) -> None:
    """Raises ValueError for NaN or infinities."""
    bad = matrix.size - np.isfinite(matrix).sum()
    if bad:
        raise ValueError(
            f"expected a finite Hessian, got {bad} of {matrix.size} entries that are NaN or "
            "infinite"
        )


def require_rank(values: np.ndarray, size: int, rank: int) -> None:
    """Raises ValueError if fewer than `rank` eigenvalues (descending) of a Hessian of `size`
    coordinates are above float32 rounding."""
    found = int(np.sum(values > max(values[0], 0.0) * size * np.finfo(np.float32).eps))
    if found < rank:
        raise ValueError(
            f"expected a Hessian of rank {rank} or more, got {found} of {size}: the map "
            "hardly depends on the latent here"
        )


def top_eigen(
    products: Product,
    size: int,
    k: int,
    key: PRNGKey,
    *,
    rank: int = 1,
    tolerance: float = TOLERANCE,
) -> Spectrum:
    """The k largest eigenpairs of a symmetric positive semi-definite matrix that is known by its
    products alone.

    Randomised block Krylov iteration (Musco and Musco, NeurIPS 2015, arXiv:1504.05477): the space
    spanned by H^i G, i = 0, 1, ... of a random block G, kept orthonormal in float64, grows by BLOCK
    vectors, one call of `products`, until all k pairs satisfy
    |H v - value v| <= tolerance x the largest value, or it has 6 k + 64 vectors (where eigenvalues
    hardly fall; then a RuntimeWarning tells how near it came).

    Args:
        products: rows [n, size] -> rows [n, size], H applied to each row; n is always the same.
        size: d.
        k: pairs wanted, at most d.
        key: draws the first block and the probes of the trace.
        rank: how many of them must be above rounding, as in `eigen`.
        tolerance: relative residual of the pairs.

    Raises:
        ValueError: a product that is not finite, or a lower rank.
    """
    width, most = min(BLOCK, size), min(size, LARGEST * k + 4 * BLOCK)
    key_block, key_probes = jax.random.split(key)
    basis, image = np.zeros((size, 0)), np.zeros((size, 0))
    block = np.asarray(jax.random.normal(key_block, (size, width)), np.float64)
    pairs, worst = Spectrum(np.zeros(0), basis, 0.0), np.inf
    while basis.shape[1] < k or (worst > tolerance and basis.shape[1] < most):
        block = _orthonormal(block, basis)
        moved = _apply(products, block, width)
        basis, image = np.hstack([basis, block]), np.hstack([image, moved])
        if basis.shape[1] >= k:
            pairs, worst = _ritz(basis, image, k)
        block = moved
    require_rank(pairs.values, size, rank)
    if worst > tolerance and basis.shape[1] < size:
        warnings.warn(
            f"eigenpairs are found to {worst:.1g} of the largest, not {tolerance:.1g}",
            RuntimeWarning,
            stacklevel=2,
        )
    return pairs._replace(trace=_trace(products, pairs, key_probes, width))


def _orthonormal(block: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what `block` adds to the columns of `basis`; projected twice, since
    once leaves rounding."""
    for _ in range(2):
        block = np.linalg.qr(block - basis @ (basis.T @ block))[0]
    return block[:, : basis.shape[0] - basis.shape[1]]


def _apply(products: Product, columns: np.ndarray, width: int) -> np.ndarray:
    """H applied to columns; rows of zeros fill up the last call, so that all calls have one
    shape."""
    rows = np.zeros((width, len(columns)), np.float32)
    rows[: columns.shape[1]] = columns.T
    moved = np.asarray(products(jnp.asarray(rows)), np.float64)[: columns.shape[1]].T
    require_finite(moved)
    return moved


def _ritz(basis: np.ndarray, image: np.ndarray, k: int) -> tuple[Spectrum, float]:
    """The top k pairs within a space, and the largest relative residual among them."""
    small = basis.T @ image
    values, vectors = np.linalg.eigh((small + small.T) / 2)
    values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
    residuals = np.linalg.norm(image @ vectors - basis @ vectors * values, axis=0)
    return Spectrum(values, basis @ vectors, 0.0), float(
        residuals.max() / max(values[0], np.finfo(float).tiny)
    )


def _trace(products: Product, pairs: Spectrum, key: PRNGKey, width: int) -> float:
    """The known eigenvalues and, of the rest, the mean of g^T H g over random signs g made
    orthogonal to the known vectors (Hutch++)."""
    signs = np.asarray(
        jax.random.rademacher(key, (len(pairs.vectors), min(PROBES, width))), np.float64
    )
    signs -= pairs.vectors @ (pairs.vectors.T @ signs)
    return float(pairs.values.sum() + np.mean(np.sum(signs * _apply(products, signs, width), 0)))
