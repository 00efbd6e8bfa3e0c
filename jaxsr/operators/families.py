"""Operators with parameters: of one family are those of all photos of a size, whose programs are
compiled once, or those among which a search finds the photo's own."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.operators.linear import Operator, Shape
from jaxsr.operators.similarity import similarity
from jaxsr.resample import Kernel
from jaxsr.types import AnyArray

Theta = Mapping[str, AnyArray]


class Family(NamedTuple):
    """Operators of the same shapes that differ in numbers only.

    Attributes:
        make: (theta) -> Operator; theta is name -> float32 array, which may be traced, of the
            names and shapes of `start`.
        start: the theta of a template, and where a search begins.
        bounds: name -> (least, greatest), each a float or an array of the parameter's shape, for
            the parameters that a search may move; the others stay as given.
    """

    make: Callable[[Theta], Operator]
    start: dict[str, np.ndarray]
    bounds: dict[str, tuple[np.ndarray, np.ndarray]]


def similarities(image_shape: Shape, photo_shape: Shape, *, kernel: Kernel = "bicubic") -> Family:
    """`similarity` for every photo of a size: theta is {"matrix": [2, 3], "seen": [h, w]}. The
    template's fills the photo with the picture."""
    scale = photo_shape[0] / image_shape[0]
    offset = (scale - 1) / 2
    matrix = np.asarray([[scale, 0, offset], [0, scale, offset]], np.float32)
    start = {"matrix": matrix, "seen": np.ones(photo_shape[:2], np.float32)}

    def make(theta: Theta) -> Operator:
        return similarity(
            image_shape, photo_shape, theta["matrix"], seen=theta["seen"], kernel=kernel
        )

    return Family(make, start, {})
