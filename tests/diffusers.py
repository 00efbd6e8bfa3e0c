"""Small diffusion models for tests: their networks with no parameter at its beginning."""

import functools

import jax
import numpy as np

from jaxsr import diffusion
from jaxsr.nets import unet

SMALL = {"width": 8, "widths": (8, 12), "blocks": 1, "groups": 4}
CONFIGS = {
    "ddpm": unet.Config(8, **SMALL, attention=(4,)),
    "ddpm, blocks of pixels": unet.Config(8, **SMALL, attention=(4, 2), patch=2),
    "adm": unet.Config(8, **SMALL, attention=(8, 4), family="adm", head_width=4, outputs=6),
    "adm, heads": unet.Config(
        8, 8, (4, 8, 8), blocks=2, attention=(2,), family="adm", heads=2, groups=4
    ),
}
TINY = diffusion.Model(
    unet.Config(16, 8, (8, 8), blocks=1, attention=(), groups=4, patch=2),
    diffusion.Schedule(steps=100),
)


@functools.cache
def fresh(config, seed=0):
    """Parameters, all of them random."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: unet.init(jax.random.key(0), config))

    def draw(path, leaf):
        name = jax.tree_util.keystr(path[-1:], simple=True)
        scale = np.prod(leaf.shape[:-1]) ** -0.5 if name == "kernel" else 0.2
        return np.float32(scale * rng.normal(size=leaf.shape) + (name == "scale"))

    return jax.tree_util.tree_map_with_path(draw, shapes)
