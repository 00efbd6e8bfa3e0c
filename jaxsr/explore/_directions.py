"""Directions that change the picture and hardly the measurement, from the eigenvectors of both
metrics; float64 on the host."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxsr.explore._problem import Config, Problem, check_counts
from jaxsr.explore._spectra import Geometry

NOTHING = 1e-6  # norm of a projection that is rounding


class Directions(NamedTuple):
    """n directions, the one of most perceptual change first.

    Attributes:
        vectors: [n, d], of unit length.
        index: [n], K from 1: which v^K, or which generalised eigenvector, it comes from.
        retained: [n], norm of what is left of that vector's projection onto the complement of the k
            top eigenvectors of H_Y.
    """

    vectors: np.ndarray
    index: np.ndarray
    retained: np.ndarray


def directions(problem: Problem, geometry: Geometry) -> Directions:
    """The directions of `Config.way`, at most `Config.most_directions`; for "curved" those that its
    walks start along.

    Raises:
        ValueError: none retains enough, that is all that changes the picture changes the
            measurement; a `Config.k` or `from_k` that the latent does not have.
    """
    check_counts(problem.config, len(geometry.perceptual.vectors))
    found = _WAYS[problem.config.way](geometry, problem.config)
    if not len(found.vectors):
        least = problem.config.least_retained if problem.config.from_k is None else NOTHING
        raise ValueError(
            f"no direction keeps {least:g} of its norm outside the {geometry.relevant} that "
            "change the measurement most"
        )
    return Directions(*(field[: problem.config.most_directions] for field in found))


def closed_form(vectors: np.ndarray, top: np.ndarray) -> np.ndarray:
    """(I - U_k U_k^T) v of each column of `vectors` [d, n], not normalised; `top` [d, k] is
    orthonormal."""
    return vectors - top @ (top.T @ vectors)


def algorithm1(vector: np.ndarray, top: np.ndarray, threshold: float) -> np.ndarray:
    """Algorithm 1 of Montanaro et al. as printed: d <- d - (d . u) u, d <- d / |d| for each u with
    |d . u| > threshold, iterated.

    With threshold 0 one pass is Gram-Schmidt and equals `closed_form`, normalised. Dividing by |d|
    enlarges correlations that were below the threshold, which is why a pass may not be the last.

    Args:
        vector: [d], of unit length, not in the span of `top`.
        top: [d, k], orthonormal.
        threshold: tau, below 1.
    """
    d, limit = vector, max(threshold, 1e-12)  # rounding leaves correlations near 1e-16
    while np.max(np.abs(top.T @ d), initial=0.0) > limit:
        for u in top.T:
            if abs(d @ u) > limit:
                d = d - (d @ u) * u
                d = d / np.linalg.norm(d)
    return d


def generalized(
    perceptual: np.ndarray, measured: np.ndarray, damping: float
) -> tuple[np.ndarray, np.ndarray]:
    """H_X v = mu (H_Y + damping I) v: the most perceptual change for the least change of the
    measurement, in one step.

    v^T (H_Y + damping I) v <= const bounds the change of the measurement and the length of the step
    together. Solved by Cholesky's factor L of the right side, as the eigenvectors w of L^-1 H_X
    L^-T with v = L^-T w.

    Args:
        perceptual: H_X [d, d].
        measured: H_Y [d, d].
        damping: above 0.

    Returns:
        mu [d], descending, and the vectors [d, d] as columns of unit length.
    """
    factor = np.linalg.cholesky(measured + damping * np.eye(len(measured)))
    half = np.linalg.solve(factor, perceptual)
    whitened = np.linalg.solve(factor, half.T)
    mu, w = np.linalg.eigh((whitened + whitened.T) / 2)
    vectors = np.linalg.solve(factor.T, w[:, ::-1])
    return mu[::-1], vectors / np.linalg.norm(vectors, axis=0)


def _top(geometry: Geometry) -> np.ndarray:
    return geometry.measurement.vectors[:, : geometry.relevant]


def _scanned(geometry: Geometry, config: Config) -> tuple[Directions, np.ndarray]:
    """Every v^K whose projection keeps enough, from the top, or all from K = `Config.from_k`
    downward of which something is left; and those projections [n, d]."""
    vectors = geometry.perceptual.vectors
    projected = closed_form(vectors, _top(geometry))
    retained = np.linalg.norm(projected, axis=0)
    least = config.least_retained if config.from_k is None else 0.0
    kept = np.flatnonzero((retained >= least) & (retained > NOTHING))
    if config.from_k is not None:
        kept = kept[kept < config.from_k][::-1]
    kept = kept[: config.most_directions]
    return Directions(vectors[:, kept].T, kept + 1, retained[kept]), projected[:, kept].T


def _raw(geometry: Geometry, config: Config) -> Directions:
    return _scanned(geometry, config)[0]


def _closed(geometry: Geometry, config: Config) -> Directions:
    found, projected = _scanned(geometry, config)
    return found._replace(vectors=projected / found.retained[:, None])


def _printed(geometry: Geometry, config: Config) -> Directions:
    found = _scanned(geometry, config)[0]
    vectors = [algorithm1(v, _top(geometry), config.threshold) for v in found.vectors]
    return found._replace(vectors=np.array(vectors).reshape(found.vectors.shape))


def _generalized(geometry: Geometry, config: Config) -> Directions:
    """In the basis V, which is all of the space where the metrics are dense and the perceptual part
    of it elsewhere."""
    basis = geometry.perceptual.vectors
    _, coordinates = generalized(
        np.diag(np.maximum(geometry.perceptual.values, 0.0)), geometry.seen, geometry.damping
    )
    vectors = basis @ coordinates
    return Directions(
        vectors.T,
        np.arange(1, vectors.shape[1] + 1),
        np.linalg.norm(closed_form(vectors, _top(geometry)), axis=0),
    )


_WAYS: dict[str, Callable[[Geometry, Config], Directions]] = {
    "vk": _raw,
    "algorithm1": _printed,
    "closed_form": _closed,
    "generalized": _generalized,
    "curved": _closed,
}
