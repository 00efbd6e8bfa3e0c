"""Checks of values. Under jit and vmap an image has none yet, and only its shape is checked."""

import jax.core
import numpy as np

# How far a generator's unclipped image may leave [0, 1]; images in [-1, 1] or 0..255 leave it
# further.
SLACK = 0.75


def require_images(*images: jax.Array | np.ndarray) -> None:
    """Refuses images of another range than [0, 1], of which a metric would give a number that means
    nothing.

    Raises:
        ValueError: not [h, w, c]; and, of values that are known, integers, NaN or infinity, or
            values far outside [0, 1].
    """
    for image in images:
        if image.ndim != 3 or image.size == 0:
            raise ValueError(f"expected images [h, w, 3], got shape {tuple(image.shape)}")
        if image.dtype.kind in "biu":
            raise ValueError(f"expected floats in [0, 1], got {image.dtype}")
        if not isinstance(image, jax.core.Tracer):
            values = np.asarray(image)  # an operation of jax would be traced where the metric is
            low, high = float(values.min()), float(values.max())
            if not (low >= -SLACK and high <= 1.0 + SLACK):
                raise ValueError(f"expected finite values in [0, 1], got {low:.4g} to {high:.4g}")


def require_pair(x: jax.Array | np.ndarray, ref: jax.Array | np.ndarray) -> None:
    """As `require_images`, and refuses two images of different shapes."""
    if x.shape != ref.shape:
        raise ValueError(
            f"expected two images of one shape, got {tuple(x.shape)} and {tuple(ref.shape)}"
        )
    require_images(x, ref)


def check_pair(x: np.ndarray, ref: np.ndarray) -> None:
    """Refuses what would make a metric of a pair mean nothing.

    Raises:
        ValueError: shapes that are not one [h, w, 3]; a value that is not finite or lies outside
            [0, 1]. It names the image.
    """
    if x.shape != ref.shape or x.ndim != 3 or x.shape[2] != 3 or x.size == 0:
        raise ValueError(
            f"expected two images of one shape [h, w, 3], got x {list(x.shape)} and ref "
            f"{list(ref.shape)}"
        )
    for name, image in (("x", x), ("ref", ref)):
        finite = np.isfinite(image)
        if not finite.all():
            raise ValueError(
                f"expected finite values, got {image.size - finite.sum()} NaN or infinities "
                f"in {name}"
            )
        if image.min() < 0.0 or image.max() > 1.0:
            raise ValueError(
                f"expected values in [0, 1], got {name} in [{image.min():.4g}, {image.max():.4g}]"
            )


def check_features(f: np.ndarray, g: np.ndarray) -> None:
    """Refuses two sets of features that have no distance.

    Raises:
        ValueError: sets that are not [n >= 2, d] and [m >= 2, d] of one d, or a feature that is not
            finite.
    """
    if f.ndim != 2 or g.ndim != 2 or f.shape[1] != g.shape[1] or min(len(f), len(g)) < 2:
        raise ValueError(
            f"expected two sets of features [n >= 2, d] of one d, got shapes {f.shape} and "
            f"{g.shape}"
        )
    if not (np.isfinite(f).all() and np.isfinite(g).all()):
        raise ValueError("expected finite features, got NaN or infinity")
