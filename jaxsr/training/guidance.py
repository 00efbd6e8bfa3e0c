"""A discriminator on frozen features beside the ordinary one (vision-aided GANs, arXiv:2112.09130): small heads on EfficientNet-Lite0."""

import jax
import jax.numpy as jnp

from jaxsr.nets import efficientnet
from jaxsr.nets.style_based import lrelu
from jaxsr.training.augment import moved
from jaxsr.types import Params, PRNGKey

CHANNELS = (24, 40, 112)  # of the maps of stride 4, 8, 16
DEVIATIONS = (9.5, 9.1, 6.6)
WIDTH = 64


def init(key: PRNGKey) -> list[Params]:
    """Of each map's head: two layers of one pixel."""
    keys = jax.random.split(key, 2 * len(CHANNELS))
    return [
        {"first": jax.random.normal(keys[2 * i], (c, WIDTH)), "second": jax.random.normal(keys[2 * i + 1], (WIDTH, 1))}
        for i, c in enumerate(CHANNELS)
    ]


def logits(key: PRNGKey, frozen: Params, heads: list[Params], images: jax.Array) -> jax.Array:
    """Logits [n, heads] of images [n, H, W, 3] in [-1, 1], shifted and turned at random: the mean over a head's pixels."""
    maps = jax.vmap(lambda key, x: efficientnet.maps(frozen, 0.5 * moved(key, x, 1.0) + 0.5))(jax.random.split(key, len(images)), images)
    found = []
    for x, deviation, head in zip(maps, DEVIATIONS, heads, strict=False):  # the last map is of one pixel or few
        x = x / deviation
        x = lrelu(x @ head["first"] / head["first"].shape[0] ** 0.5)
        found.append((x @ head["second"] / WIDTH**0.5).mean((1, 2, 3)))
    return jnp.stack(found, 1)
