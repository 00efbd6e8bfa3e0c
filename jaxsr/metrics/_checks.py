"""Checks of values, on host arrays: the metrics themselves are traced and can only check shapes."""

import numpy as np


def check_pair(x: np.ndarray, ref: np.ndarray) -> None:
    """Refuses what would make a metric of a pair mean nothing.

    Raises:
        ValueError: shapes that are not one [h, w, 3]; a value that is not finite or lies outside [0, 1]. It names the image.
    """
    if x.shape != ref.shape or x.ndim != 3 or x.shape[2] != 3:
        raise ValueError(f"expected two images of one shape [h, w, 3], got x {list(x.shape)} and ref {list(ref.shape)}")
    for name, image in (("x", x), ("ref", ref)):
        finite = np.isfinite(image)
        if not finite.all():
            raise ValueError(f"expected finite values, got {image.size - finite.sum()} NaN or infinities in {name}")
        if image.min() < 0.0 or image.max() > 1.0:
            raise ValueError(f"expected values in [0, 1], got {name} in [{image.min():.4g}, {image.max():.4g}]")


def check_features(f: np.ndarray, g: np.ndarray) -> None:
    """Refuses two sets of features that have no distance.

    Raises:
        ValueError: sets that are not [n >= 2, d] and [m >= 2, d] of one d, or a feature that is not finite.
    """
    if f.ndim != 2 or g.ndim != 2 or f.shape[1] != g.shape[1] or min(len(f), len(g)) < 2:
        raise ValueError(f"expected two sets of features [n >= 2, d] of one d, got shapes {f.shape} and {g.shape}")
    if not (np.isfinite(f).all() and np.isfinite(g).all()):
        raise ValueError("expected finite features, got NaN or infinity")
