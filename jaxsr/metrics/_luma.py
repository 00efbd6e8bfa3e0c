"""The y channel on which the super-resolution literature measures."""

import jax
import jax.numpy as jnp
import numpy as np

# BT.601 in studio range, as MATLAB's rgb2ycbcr: black is 16 and white 235.
BLACK = 16.0
_WEIGHTS = np.array([65.481, 128.553, 24.966], np.float32)


def studio_luma(x: jax.Array) -> jax.Array:
    """MATLAB's y less BLACK, in [0, 219], not rounded: [h, w] of RGB [h, w, 3] in [0, 1]. Linear,
    so differences may be taken before."""
    return jnp.einsum("hwc,c->hw", x, _WEIGHTS, precision="highest")
