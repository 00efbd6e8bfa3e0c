"""Precision and recall of a set of features: how many samples are like photos, and how many photos
are like samples."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Array, Float

from jaxsr.metrics._checks import check_features

Features = Float[Array, "..."] | Float[np.ndarray, "..."]
_NEIGHBOUR = 3  # whose distance is a row's radius; the authors' choice
_ROWS = 1024  # of the distances at a time: 50,000 rows would need 20 GB at once


def precision_recall(samples: Features, photos: Features) -> tuple[float, float]:
    """Improved precision and recall (Kynkaanniemi et al., arXiv:1904.06991) of two sets of
    features, [n, d] and [m, d], in float64.

    A set's manifold is the union of balls around its rows, each as large as the distance to the
    third nearest other row. Precision is the share of the samples in the photos' manifold, recall
    the share of the photos in the samples'. Both are in [0, 1], and 1 for equal sets; of two sets
    of one distribution they are below 1. They depend on the number of rows: compare only values of
    equal n and m.

    Raises:
        ValueError: sets that are not two-dimensional with one d, fewer than four rows, or
            non-finite features.
    """
    samples, photos = np.asarray(samples, np.float64), np.asarray(photos, np.float64)
    check_features(samples, photos)
    rows = min(len(samples), len(photos))
    if rows <= _NEIGHBOUR:
        raise ValueError(f"expected more than {_NEIGHBOUR} rows in both sets, got {rows}")
    return _share_within(samples, photos), _share_within(photos, samples)


def _share_within(rows: np.ndarray, others: np.ndarray) -> float:
    """The share of rows [n, d] in the manifold of others [m, d]."""
    # At 0 lies itself.
    radii = np.concatenate(
        [np.partition(block, _NEIGHBOUR, 1)[:, _NEIGHBOUR] for block in _distances(others, others)]
    )
    return float(
        np.concatenate([(block <= radii).any(1) for block in _distances(rows, others)]).mean()
    )


def _distances(f: np.ndarray, g: np.ndarray) -> Iterator[np.ndarray]:
    """The distances of rows of f [n, d] from those of g [m, d], a block of rows of f at a time."""
    # Of differences: equal rows are 0 apart, unlike by products.
    from scipy.spatial.distance import cdist

    return (cdist(f[i : i + _ROWS], g) for i in range(0, len(f), _ROWS))
