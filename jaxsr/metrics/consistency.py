"""Whether a restored image explains the measurement it was restored from."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsr.operators import Operator
from jaxsr.types import AnyImage, AnyMeasurement, Scalar


class Consistency(NamedTuple):
    """Mean squared A(x) - y on the [0, 1] scale; 0 is perfect.

    Attributes:
        given: of the image as it is, which is what a method minimises.
        clipped: of the image clipped to [0, 1], which is what a file holds.
    """

    given: jax.Array
    clipped: jax.Array


def lr_consistency(operator: Operator, x: AnyImage, y: AnyMeasurement) -> Consistency:
    """Mean squared difference of the measurement of an image x [h, w, 3] and the measurement y, as
    it was seen and not clipped.

    The "consistency" of SR3 (arXiv:2104.07636), there in units of 1e-5.

    Raises:
        ValueError: an image or a measurement that is not of the operator's shape.
    """
    if y.shape != operator.measurement_shape:
        raise ValueError(
            f"expected a measurement of shape {operator.measurement_shape}, got {y.shape}"
        )
    given, clipped = (
        jnp.mean((operator(image) - y) ** 2) for image in (jnp.asarray(x), jnp.clip(x, 0.0, 1.0))
    )
    return Consistency(given, clipped)


def lr_psnr(operator: Operator, x: AnyImage, y: AnyMeasurement) -> Scalar:
    """The same of the clipped image in dB, -10 log10: LR-PSNR of the NTIRE 2021 challenge on
    learning the super-resolution space.

    There a method is expected to reach 45 dB. The challenge reads the image from an 8-bit file;
    this does not round.

    Raises:
        ValueError: as `lr_consistency`.
    """
    return -10.0 * jnp.log10(lr_consistency(operator, x, y).clipped)
