"""A measurement as an image that a network can look at."""

import jax
import jax.numpy as jnp

from jaxsr.operators.linear import Operator
from jaxsr.types import Image, Measurement


def as_image(operator: Operator, y: Measurement) -> Image:
    """A measurement as an image [h, w, 3] that a network can look at: grey ones in three channels,
    and in place of what is no image the image of least norm that explains it."""
    if not is_image(y.shape):
        return operator.pinv(y)
    return jnp.broadcast_to(y, (*y.shape[:2], 3)) if y.shape[2] == 1 else y


def enlarged(operator: Operator, y: Measurement, kernel: str) -> Image:
    """A measurement as an image [H, W, 3] of the size that the operator takes: "bicubic",
    "bilinear" or "nearest"."""
    image = as_image(operator, y)
    return (
        image
        if image.shape == tuple(operator.image_shape)
        else jax.image.resize(image, operator.image_shape, kernel)
    )


def image_side(operator: Operator) -> int:
    """The shorter side of `as_image` of this operator's measurements."""
    shape = operator.measurement_shape
    return min(shape[:2]) if is_image(shape) else min(operator.image_shape[:2])


def is_image(shape: tuple[int, ...]) -> bool:
    """Whether measurements of this shape are images, in grey or colour."""
    return len(shape) == 3 and shape[2] in (1, 3)
