"""training/warm: a prior goes on in a larger network, and draws there what it drew."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gan_cases import CONFIG, NET, TINY, discriminator, photos, randomised, synthesis

from jaxsr.nets import style_based, stylegan2
from jaxsr.training import gan, gan_losses
from jaxsr.training.gan_state import generator_of


def test_warm_start_takes_over_blocks_of_equal_shape():
    """A 4 px prior grows into an 8 px one: its blocks stay, the new ones are fresh."""
    small = jax.jit(stylegan2.init, static_argnums=1)(
        jax.random.key(7),
        stylegan2.Config(resolution=4, z_dim=4, w_dim=4, mapping_layers=2, channels=(4,)),
    )
    state = gan.begin(jax.random.key(0), NET, CONFIG, warm=small)
    fresh = gan.begin(jax.random.key(0), NET, CONFIG)
    for params in (state.params, state.ema):
        np.testing.assert_array_equal(
            params["synthesis"]["b4"]["conv1"]["kernel"],
            small["synthesis"]["b4"]["conv1"]["kernel"],
        )
        np.testing.assert_array_equal(
            params["synthesis"]["b8"]["conv0"]["kernel"],
            fresh.params["synthesis"]["b8"]["conv0"]["kernel"],
        )


WIDE = stylegan2.Config(resolution=8, z_dim=4, w_dim=4, mapping_layers=2, channels=(7, 5))


@pytest.mark.slow
def test_a_narrower_prior_goes_on_in_a_wider_network():
    """A recipe that widens the network would lose the hours that the narrow one took, or new
    channels would never learn."""
    narrow = randomised(NET)
    state = gan.begin(jax.random.key(0), WIDE, CONFIG, warm=narrow)
    w_plus = jax.random.normal(jax.random.key(3), (NET.num_layers, NET.w_dim))
    noise = style_based.random_noise(jax.random.key(4), NET)
    before, after = (
        synthesis(n, p["synthesis"], w_plus, noise)
        for n, p in ((NET, narrow), (WIDE, state.params))
    )
    np.testing.assert_allclose(after, before, atol=1e-5)
    x = jax.random.normal(jax.random.key(5), (4, 8, 8, 3))
    before, after = (
        discriminator(n, p["discriminator"], x)[1][0]
        for n, p in ((NET, narrow), (WIDE, state.params))
    )
    np.testing.assert_allclose(after[..., :4], before, atol=1e-5)
    real = jnp.float32(photos(WIDE)) / 127.5 - 1
    grads = jax.jit(
        jax.grad(
            lambda g: gan_losses.generator_loss(jax.random.key(6), WIDE, CONFIG, state, g, real)
        )
    )(generator_of(state.params))
    assert (np.abs(grads["synthesis"]["b8"]["conv1"]["kernel"][:, :, 3:, :3]) > 0).all()


def test_a_prior_of_half_the_side_and_fewer_channels_draws_the_same_below_the_new_blocks():
    """The recipe's 32 px stage would be thrown away where the 64 px one is wider too."""
    half = dataclasses.replace(TINY, channels=(3,))
    narrow, wide = (
        randomised(half),
        gan.begin(jax.random.key(0), WIDE, CONFIG, warm=randomised(half)).params,
    )
    w_plus, noise = (
        jax.random.normal(jax.random.key(3), (WIDE.num_layers, WIDE.w_dim)),
        style_based.random_noise(jax.random.key(4), WIDE),
    )
    before, after = (
        stylegan2.synthesis(n, p["synthesis"], w_plus, noise, stop=1)[1]
        for n, p in ((half, narrow), (WIDE, wide))
    )
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_a_widened_discriminator_reads_the_same_statistic():
    """Its last map's statistic would be taken for a channel, and the first steps would be of a
    discriminator that knows nothing."""
    # Equal pictures have no statistic.
    flat = jnp.broadcast_to(jax.random.normal(jax.random.key(5), (1, 8, 8, 3)), (4, 8, 8, 3))
    narrow = randomised(NET)
    wide = gan.begin(jax.random.key(0), WIDE, CONFIG, warm=narrow).params
    logits = [
        discriminator(n, p["discriminator"], flat)[0] for n, p in ((NET, narrow), (WIDE, wide))
    ]
    np.testing.assert_allclose(logits[1], logits[0], rtol=1e-3)
    kernels = [p["discriminator"]["conv"]["kernel"] for p in (narrow, wide)]
    np.testing.assert_allclose(
        kernels[1][:, :, -1, :4], kernels[0][:, :, -1] * (8 / 5) ** 0.5, rtol=1e-6
    )
