"""The vocabulary of shapes. One image is [h, w, 3] float32, nominally in [0, 1]; batches are the
caller's jax.vmap."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Key, Shaped

# Arrays of NumPy serve wherever those of JAX do.
AnyArray = jax.Array | np.ndarray
Image = Float[Array, "h w 3"] | Float[np.ndarray, "h w 3"]
Images = Float[Array, "n h w 3"] | Float[np.ndarray, "n h w 3"]
Drawn = Float[Array, "H W 3"]  # an image that is returned, of a size of its own
Measurement = Float[Array, "..."] | Float[np.ndarray, "..."]
# What a user calls an image: the function checks its shape and type itself, in one clear line.
AnyImage = Shaped[Array, "..."] | Shaped[np.ndarray, "..."]
AnyMeasurement = AnyImage
Scalar = Float[Array, ""]
PRNGKey = Key[Array, ""]
Noise = tuple[jax.Array, ...]
Params = Any
Latent = Any


class Result(NamedTuple):
    """What a method returns for one measurement; `restore` adds a leading axis n to every field.

    Attributes:
        image: [H, W, 3], the best image seen, nominally in [0, 1], not clipped.
        latent: name -> array, the latent of that image: "w_plus" [layers, w_dim], "z" [z_dim],
            "noise", or names of the method's own (see its docstring). e-GLASS starts from the
            first two.
        trace: name -> [steps], the objective ("loss") and each of its unweighted terms at every
            step.
        residual: scalar, mean squared A(image) - y on the [0, 1] scale.
        feasible: boolean scalar, residual <= the method's `eps`.
    """

    image: jax.Array
    latent: Latent
    trace: dict[str, jax.Array]
    residual: jax.Array
    feasible: jax.Array
