"""From a network that predicts noise to images. Images are in [-1, 1] here."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxsr.diffusion.models import Model
from jaxsr.diffusion.schedule import Chain
from jaxsr.nets import unet
from jaxsr.types import Params

# (noisy image [h, w, 3], step []) -> the noise in it [h, w, 3].
Denoise = Callable[[jax.Array, jax.Array], jax.Array]
# (n-th draw) -> standard normal noise [h, w, 3].
Draw = Callable[[jax.Array], jax.Array]


def denoiser(model: Model, params: Params) -> Denoise:
    """What a model says of the noise in an image; learned variances are left out."""
    return lambda image, step: unet.predicted(model.net, params, image, step)[..., :3]


def clean(image: jax.Array, noise: jax.Array, kept: jax.Array) -> jax.Array:
    """The image x [h, w, 3] in sqrt(kept) x + sqrt(1 - kept) noise."""
    return (image - jnp.sqrt(1 - kept) * noise) / jnp.sqrt(kept)


def sample(denoise: Denoise, chain: Chain, start: jax.Array) -> jax.Array:
    """The image [h, w, 3] that DDIM (Song et al., arXiv:2010.02502, sigma 0) makes of standard
    normal `start` [h, w, 3]; each step's guess at the image is clipped to [-1, 1], as DDPM's."""

    def step(image, now):
        at, kept, following = now
        x = jnp.clip(clean(image, denoise(image, at), kept), -1, 1)
        noise = (image - jnp.sqrt(kept) * x) / jnp.sqrt(1 - kept)
        return jnp.sqrt(following) * x + jnp.sqrt(1 - following) * noise, None

    following = jnp.append(jnp.asarray(chain.kept[1:]), 1.0)
    return jax.lax.scan(step, start, (chain.steps, jnp.asarray(chain.kept), following))[0]
