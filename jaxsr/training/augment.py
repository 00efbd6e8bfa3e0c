"""Augmentations: the exact symmetries of a data set, and the adaptive ones that keep a
discriminator from memorising (arXiv:2006.06676).

Geometry is exact on pixels (flips, quarter turns, whole-pixel shifts): nothing here blurs or
resamples a photo.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr.types import PRNGKey

SYMMETRIES = {"none": 1, "flip": 2, "dihedral": 8}


def dihedral(image: jax.Array, index: jax.Array) -> jax.Array:
    """One of the 8 flips and quarter turns of a square image [n, n, c]; index 0 is the identity, 1
    the left-right flip."""
    flipped = jnp.where(index % 2 == 1, image[:, ::-1], image)
    turned = jnp.where((index // 2) % 2 == 1, jnp.rot90(flipped, 1), flipped)
    return jnp.where(index // 4 == 1, jnp.rot90(turned, 2), turned)


def symmetric(rng: np.random.Generator, photos: np.ndarray, symmetry: str) -> np.ndarray:
    """Each of photos [n, r, r, 3] under a random member of the group that the data set is invariant
    under ("none", "flip", "dihedral")."""
    index = rng.integers(SYMMETRIES[symmetry], size=len(photos))
    turned = [
        np.rot90(p[:, ::-1] if i % 2 else p, i // 2) for p, i in zip(photos, index, strict=True)
    ]
    return np.stack(turned)


def augment(key: PRNGKey, image: jax.Array, p: jax.Array) -> jax.Array:
    """The augmentations of StyleGAN2-ADA's "blit" and "colour" groups, each with probability p, on
    one image [n, n, 3] in [-1, 1].

    Flip, quarter turns, shifts by up to an eighth (mirrored at the border), brightness N(0, 0.2),
    contrast log2-normal of deviation 0.5, luma flip, hue of any angle, saturation log2-normal of
    deviation 1 (arXiv:2006.06676, appendix B). Its "geometric" group, which resamples, is left out.
    Differentiable.
    """
    key_blit, key_colour = jax.random.split(key)
    return _recoloured(key_colour, moved(key_blit, image, p), p)


def moved(key: PRNGKey, image: jax.Array, p: jax.Array | float) -> jax.Array:
    """The "blit" group of `augment` alone: flip, quarter turns and shifts, each with probability
    p."""
    key_choice, key_flip, key_turn, key_shift = jax.random.split(key, 4)
    flips, turns, shifts = jax.random.uniform(key_choice, (3,)) < p
    turn = jnp.where(turns, jax.random.randint(key_turn, (), 0, 4), 0)
    image = dihedral(image, (flips & jax.random.bernoulli(key_flip)) + 2 * turn)
    margin = image.shape[0] // 8
    shift = jnp.where(shifts, jax.random.randint(key_shift, (2,), -margin, margin + 1), 0)
    padded = jnp.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    return jax.lax.dynamic_slice(padded, (margin + shift[0], margin + shift[1], 0), image.shape)


def _recoloured(key: PRNGKey, image: jax.Array, p: jax.Array) -> jax.Array:
    """Colours are split along the grey axis and across it: luma [n, n, 1], and chroma, the rest."""
    key_choice, key_normal, key_flip, key_angle = jax.random.split(key, 4)
    brighter, contrasted, flipped, turned, saturated = jax.random.uniform(key_choice, (5,)) < p
    normal = jax.random.normal(key_normal, (3,))
    image = image + jnp.where(brighter, 0.2 * normal[0], 0.0)
    image = image * jnp.where(contrasted, 2 ** (0.5 * normal[1]), 1.0)
    luma = image.mean(-1, keepdims=True)
    chroma = _turned(
        image - luma,
        jnp.where(turned, jax.random.uniform(key_angle, (), minval=-jnp.pi, maxval=jnp.pi), 0.0),
    )
    luma = luma * jnp.where(flipped & jax.random.bernoulli(key_flip), -1.0, 1.0)
    return luma + chroma * jnp.where(saturated, 2 ** normal[2], 1.0)


def _turned(chroma: jax.Array, angle: jax.Array) -> jax.Array:
    """Chroma [..., 3] turned about the grey axis (Rodrigues; it has no part along the axis)."""
    axis = jnp.full(3, 3**-0.5)
    return jnp.cos(angle) * chroma + jnp.sin(angle) * jnp.cross(axis, chroma)


AUGMENTATIONS = {"ada": augment, "blit": moved}


def adapt(
    p: jax.Array, sign_real: jax.Array, *, images: int, target: float = 0.6, ramp: float = 500_000
) -> jax.Array:
    """The next augmentation probability after `images` images on which the discriminator's mean
    sign(logit) of reals was `sign_real`."""
    return jnp.clip(p + jnp.sign(sign_real - target) * images / ramp, 0.0, 1.0)
