"""Augmentations: the exact symmetries of a data set, and the adaptive ones that keep a discriminator from memorising (arXiv:2006.06676).

Only pixel-exact geometry (flips, quarter turns, whole-pixel shifts) and colour are used, so nothing here blurs or resamples a photo.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.types import PRNGKey

SYMMETRIES = {"none": 1, "flip": 2, "dihedral": 8}


def dihedral(image: jax.Array, index: jax.Array) -> jax.Array:
    """One of the 8 flips and quarter turns of a square image [n, n, c]; index 0 is the identity, 1 the left-right flip."""
    flipped = jnp.where(index % 2 == 1, image[:, ::-1], image)
    turned = jnp.where((index // 2) % 2 == 1, jnp.rot90(flipped, 1), flipped)
    return jnp.where(index // 4 == 1, jnp.rot90(turned, 2), turned)


def symmetric(rng: np.random.Generator, photos: np.ndarray, symmetry: str) -> np.ndarray:
    """Each of photos [n, r, r, 3] under a random member of the group that the data set is invariant under ("none", "flip", "dihedral")."""
    index = rng.integers(SYMMETRIES[symmetry], size=len(photos))
    turned = [np.rot90(p[:, ::-1] if i % 2 else p, i // 2) for p, i in zip(photos, index, strict=True)]
    return np.stack(turned)


def augment(key: PRNGKey, image: jax.Array, p: jax.Array) -> jax.Array:
    """Each augmentation of the "bgc" family that is exact on pixels, with probability p, on one image [n, n, 3] in [-1, 1]; differentiable.

    Flip, quarter turns, shifts by up to an eighth (mirrored at the border), brightness N(0, 0.2), contrast and saturation
    log2-normal with deviation 0.5 and 1, as StyleGAN2-ADA (arXiv:2006.06676, appendix B).
    """
    keys = iter(jax.random.split(key, 12))

    def chosen() -> jax.Array:
        return jax.random.uniform(next(keys)) < p

    flip = chosen() & jax.random.bernoulli(next(keys))
    turn = jnp.where(chosen(), jax.random.randint(next(keys), (), 0, 4), 0)
    image = dihedral(image, flip + 2 * turn)
    margin = image.shape[0] // 8
    shift = jnp.where(chosen(), jax.random.randint(next(keys), (2,), -margin, margin + 1), 0)
    padded = jnp.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    image = jax.lax.dynamic_slice(padded, (margin + shift[0], margin + shift[1], 0), image.shape)
    image = image + jnp.where(chosen(), 0.2 * jax.random.normal(next(keys)), 0.0)
    image = image * jnp.where(chosen(), 2 ** (0.5 * jax.random.normal(next(keys))), 1.0)
    luma = image.mean(-1, keepdims=True)
    return luma + (image - luma) * jnp.where(chosen(), 2 ** jax.random.normal(next(keys)), 1.0)


def adapt(p: jax.Array, sign_real: jax.Array, *, images: int, target: float = 0.6, ramp: float = 500_000) -> jax.Array:
    """The next augmentation probability after `images` images on which the discriminator's mean sign(logit) of reals was `sign_real`."""
    return jnp.clip(p + jnp.sign(sign_real - target) * images / ramp, 0.0, 1.0)
