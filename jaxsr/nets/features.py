"""Feature networks. `random_features` needs no weights: a fixed random convolutional network whose statistics follow texture and shape."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxsr.types import Image

RANDOM_WIDTHS = (32, 64, 128, 128)


class _RandomNet(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        pooled = []
        for width in RANDOM_WIDTHS:
            x = nn.leaky_relu(nn.Conv(width, (3, 3), kernel_init=nn.initializers.he_normal())(x), 0.2)
            pooled.append(jnp.mean(x, (0, 1)))
            x = nn.avg_pool(x, (2, 2), (2, 2))
        return jnp.concatenate(pooled)


def random_features(image: Image) -> jax.Array:
    """Features [352] of an image [h, w, 3] in [0, 1] (sides of at least 16): channel means after each of four random convolutions.

    The weights are drawn from one fixed key, so Frechet distances in this space compare runs on one data set. They are not FID, and are
    named "frechet (random features)" wherever they are printed.
    """
    net = _RandomNet()
    params = net.init(jax.random.key(0), jnp.zeros((16, 16, 3)))
    return net.apply(params, 2 * image - 1)  # type: ignore[return-value]
