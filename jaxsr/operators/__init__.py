"""Linear measurement operators: what is known of an image, as bundles of pure functions.

Everything is written for one image and float32, and works under jit and vmap. Noise, rounding and
compression are no part of an operator (see `jaxsr.degradations`).
"""

from jaxsr.operators.blur import blur, gaussian_blur, motion_blur, motion_kernel
from jaxsr.operators.linear import Operator, compose, identity, linear
from jaxsr.operators.sampling import compressed_sensing, downsample, grey, mask
from jaxsr.operators.table import OPERATORS, Kind, make
from jaxsr.operators.views import as_image, enlarged, image_side, is_image

__all__ = [
    "OPERATORS",
    "Kind",
    "Operator",
    "as_image",
    "blur",
    "compose",
    "compressed_sensing",
    "downsample",
    "enlarged",
    "gaussian_blur",
    "grey",
    "identity",
    "image_side",
    "is_image",
    "linear",
    "make",
    "mask",
    "motion_blur",
    "motion_kernel",
]
