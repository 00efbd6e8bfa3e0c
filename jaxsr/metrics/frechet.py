"""Frechet distance between two sets of features."""

import warnings

import numpy as np
from jaxtyping import Array, Float

from jaxsr.metrics._checks import check_features

Features = Float[Array, "..."] | Float[np.ndarray, "..."]


def _moments(features: Features) -> tuple[np.ndarray, np.ndarray]:
    """Mean [d] and symmetric square root [d, d] of the unbiased covariance."""
    features = np.asarray(features, np.float64)
    mean = features.mean(0)
    values, vectors = np.linalg.eigh((features - mean).T @ (features - mean) / (len(features) - 1))
    return mean, (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def frechet_distance(f: Features, g: Features) -> float:
    """Squared Frechet (Wasserstein-2) distance of the Gaussians fitted to two sets of features, [n,
    d] and [m, d].

    |mean_f - mean_g|^2 + tr(C_f + C_g - 2 (C_f C_g)^(1/2)) (Heusel et al., arXiv:1706.08500), in
    float64. The last trace is the sum of the singular values of C_f^(1/2) C_g^(1/2), which is
    accurate for singular covariances too. It falls with the number of rows: compare only distances
    of equal n and m.

    Warns:
        RuntimeWarning: a set with no more rows than features, whose covariance is singular and the
            distance strongly biased.

    Raises:
        ValueError: sets that are not two-dimensional with one d, fewer than two rows, or non-finite
            features.
    """
    f, g = np.asarray(f), np.asarray(g)
    check_features(f, g)
    if min(len(f), len(g)) <= f.shape[1]:
        rows = min(len(f), len(g))
        message = (
            f"{rows} rows for {f.shape[1]} features: the covariance is singular and the distance "
            "strongly biased"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    (mean_f, root_f), (mean_g, root_g) = _moments(f), _moments(g)
    traces = (
        np.sum(root_f**2)
        + np.sum(root_g**2)
        - 2.0 * np.linalg.svd(root_f @ root_g, compute_uv=False).sum()
    )
    return float(np.sum((mean_f - mean_g) ** 2) + max(traces, 0.0))
