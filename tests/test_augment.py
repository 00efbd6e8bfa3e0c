"""training/augment: exact symmetries and the adaptive augmentations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr.training import augment

IMAGE = np.random.default_rng(0).normal(size=(8, 8, 3)).astype(np.float32)


augmented = jax.jit(augment.augment)


def group():
    return {np.rot90(flipped, k).tobytes() for k in range(4) for flipped in (IMAGE, IMAGE[:, ::-1])}


def test_dihedral_is_the_whole_group():
    """Breaks when two indices give the same picture, so that an orientation is never seen."""
    member = jax.jit(augment.dihedral)
    members = {np.asarray(member(IMAGE, jnp.int32(i))).tobytes() for i in range(8)}
    assert members == group()


@pytest.mark.parametrize(("symmetry", "count"), augment.SYMMETRIES.items())
def test_symmetric_draws_every_member_and_no_other(symmetry, count):
    stack = np.repeat(IMAGE[None], 200, 0)
    drawn = {p.tobytes() for p in augment.symmetric(np.random.default_rng(1), stack, symmetry)}
    assert len(drawn) == count
    assert drawn <= group()


def test_probability_zero_is_the_identity():
    """At p = 0 the discriminator must see the photos as they are."""
    same = augmented(jax.random.key(0), IMAGE, jnp.float32(0))
    np.testing.assert_allclose(same, IMAGE, atol=1e-6)


def test_probability_one_changes_every_draw_and_is_differentiable():
    draws = np.stack(
        [augmented(key, IMAGE, jnp.float32(1)) for key in jax.random.split(jax.random.key(0), 16)]
    )
    assert len(np.unique(draws.reshape(16, -1), axis=0)) == 16
    weight = jax.random.normal(jax.random.key(1), IMAGE.shape)
    grad = jax.jit(
        jax.grad(lambda x: jnp.sum(weight * augment.augment(jax.random.key(2), x, jnp.float32(1))))
    )(IMAGE)
    assert np.isfinite(grad).all()
    assert np.abs(grad).max() > 0


def test_blit_moves_pixels_and_leaves_their_colours():
    """A colour that no photo has would leak into what is drawn."""
    flat = jnp.broadcast_to(jnp.array([0.3, -0.5, 0.1]), IMAGE.shape)
    blit = jax.jit(jax.vmap(lambda key: augment.AUGMENTATIONS["blit"](key, flat, jnp.float32(1))))
    draws = blit(jax.random.split(jax.random.key(0), 8))
    np.testing.assert_array_equal(draws, np.broadcast_to(flat, draws.shape))


def test_hue_turns_about_the_grey_axis():
    """Luma and saturation must stay; a third of a turn must carry red to green to blue."""
    image = jnp.asarray(IMAGE)
    chroma = image - image.mean(-1, keepdims=True)
    third = augment._turned(chroma, jnp.float32(2 * np.pi / 3))
    np.testing.assert_allclose(third, jnp.roll(chroma, 1, -1), atol=1e-6)
    odd = augment._turned(chroma, jnp.float32(0.7))
    np.testing.assert_allclose(odd.mean(-1), 0, atol=1e-6)
    np.testing.assert_allclose(
        jnp.linalg.norm(odd, axis=-1), jnp.linalg.norm(chroma, axis=-1), rtol=1e-5
    )


@pytest.mark.parametrize(("sign", "direction"), [(0.9, 1), (0.3, -1), (0.6, 0)])
def test_adapt_moves_towards_the_target(sign, direction):
    """More augmentation when the discriminator is too sure of the reals, less when not, always a
    probability."""
    assert (
        np.sign(float(augment.adapt(jnp.float32(0.5), jnp.float32(sign), images=32)) - 0.5)
        == direction
    )
    for p in (0.0, 1.0):
        assert 0 <= float(augment.adapt(jnp.float32(p), jnp.float32(sign), images=10**9)) <= 1
