"""What a restoration is compared with that needs no prior: enlargements of the measurement, and the photo itself."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr import resample


def _reference(y: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The real photo: how it is judged is what a perfect restoration would be."""
    return reference


def _bicubic(y: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return np.asarray(resample.upsample(y, (reference.shape[0], reference.shape[1])))


def _bilinear(y: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return np.asarray(jax.image.resize(jnp.asarray(y), reference.shape, "linear"))


def _nearest(y: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return np.asarray(jax.image.resize(jnp.asarray(y), reference.shape, "nearest"))


# name -> (measurement [h, w, 3], photo [H, W, 3]) -> image [H, W, 3]
BASELINES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "reference": _reference,
    "bicubic": _bicubic,
    "bilinear": _bilinear,
    "nearest": _nearest,
}
