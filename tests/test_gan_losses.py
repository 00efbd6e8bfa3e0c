"""training/gan: what may take the place of the non-saturating losses, or stand beside them, and
what both players share."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gan_cases import NET, PLAIN, TINY, discriminator, jitted_step, photos, randomised

from jaxsr.training import gan, gan_losses, members
from jaxsr.training.gan_state import generator_of

REAL = jnp.float32(photos(TINY)) / 127.5 - 1


def started(config):
    return gan.begin(jax.random.key(0), TINY, config)._replace(
        params=randomised(TINY), step=jnp.int32(1)
    )


def judged(images):
    """Logits in float64 of images that the start's discriminator sees."""
    params = randomised(TINY)["discriminator"]
    return np.asarray(discriminator(TINY, params, images)[0], np.float64)


def losses(config):
    """Of the generator and the discriminator at the start, with the pictures that either saw."""
    key = jax.random.key(5)

    @jax.jit
    def both(state):
        generator = generator_of(state.params)
        of_generator = gan_losses.generator_loss(key, TINY, config, state, generator, REAL)
        fakes = gan_losses.draw_fakes(jax.random.split(key)[0], TINY, config, generator)
        of_discriminator, _ = gan_losses.discriminator_loss(
            key, TINY, config, state, state.params["discriminator"], REAL, fakes
        )
        return of_generator, of_discriminator, fakes

    of_generator, of_discriminator, fakes = both(started(config))
    return float(of_generator), float(of_discriminator), judged(fakes), judged(REAL)


def softplus(x):
    return np.logaddexp(0, x)


def test_the_relativistic_losses_compare_pairs():
    """R3GAN's (arXiv:2501.05441): breaks when a sign is turned or means are compared in the place
    of pairs."""
    generator, discriminator, fake, real = losses(dataclasses.replace(PLAIN, loss="relativistic"))
    np.testing.assert_allclose(generator, softplus(real - fake).mean(), rtol=1e-5)
    np.testing.assert_allclose(discriminator, softplus(fake - real).mean(), rtol=1e-5)


def test_the_relativistic_losses_have_r1_at_photos_and_pictures():
    """R3GAN's second penalty: without it nothing holds the discriminator down where the generator
    is."""
    config = dataclasses.replace(PLAIN, loss="relativistic", r1_gamma=0.3, r1_interval=1)
    state = started(config)
    after, _ = jitted_step(TINY, config)(state, photos(TINY))
    keys = jax.random.split(jax.random.fold_in(state.key, 1), 4)

    @jax.jit
    def before_penalty(state, moved):
        fakes = gan_losses.draw_fakes(jax.random.split(keys[2], 3)[0], TINY, config, moved)
        share = gan._Share(TINY, config, None)
        return gan._discriminator_step(keys[2], share, state, REAL, fakes)[0].params, fakes

    between, fakes = before_penalty(state, after.params)

    def penalty(params):
        at = functools.partial(
            gan_losses.r1_penalty, keys[3], TINY, config, params, p=jnp.float32(0)
        )
        return 0.15 * (at(REAL) + at(fakes))

    # Adam's first moment is the last gradient itself, because beta1 is 0.
    grads = jax.jit(jax.grad(penalty))(between["discriminator"])
    for moment, grad in zip(
        jax.tree.leaves(after.discriminator_opt[0].mu), jax.tree.leaves(grads), strict=True
    ):
        np.testing.assert_allclose(
            moment, grad, rtol=1e-2, atol=1e-4 * float(np.abs(grad).max()) + 1e-7
        )


def test_augmentation_of_a_given_probability_stays():
    """A relativistic loss has nothing to adapt it by: it would drift to 0 or 1."""
    config = dataclasses.replace(PLAIN, loss="relativistic", augment="blit", augment_p=0.3)
    state, log = jitted_step(TINY, config)(gan.begin(jax.random.key(0), TINY, config), photos(TINY))
    assert state.ada_p == log["ada_p"] == jnp.float32(0.3)
    with pytest.raises(ValueError, match="a relativistic loss needs an augment_p"):
        dataclasses.replace(config, augment_p=None)


def test_both_players_see_pictures_amplified_before_they_are_augmented():
    """The discriminator would be trained on seams at mirrored borders that the generator's gradient
    and R1 never see."""
    sharp, config = dataclasses.replace(NET, emphasis=3.0), gan.Config(batch=4, augment="ada")
    state = gan.begin(jax.random.key(0), sharp, config)._replace(
        params=randomised(NET), ada_p=jnp.float32(1)
    )
    fakes, real = (jax.random.normal(jax.random.key(i), (4, 8, 8, 3)) for i in range(2))
    params, key = state.params["discriminator"], jax.random.key(3)
    _, *keys = jax.random.split(key, 3)

    @jax.jit
    def judge(params):
        seen = [
            gan_losses.judge(k, sharp, config, params, x, state.ada_p)
            for k, x in zip(keys, (fakes, real), strict=True)
        ]
        return seen, gan_losses.discriminator_loss(key, sharp, config, state, params, real, fakes)[
            0
        ]

    (fake, photo), value = judge(params)
    np.testing.assert_allclose(
        value, np.logaddexp(0, fake).mean() + np.logaddexp(0, -photo).mean(), rtol=1e-4
    )


def test_members_mean_in_one_exchange():
    """With one for each leaf two devices could wait in different ones."""
    tree = {"a": jnp.arange(6.0).reshape(2, 3), "b": (jnp.array([1.0, 4.0]),)}
    mean = jax.vmap(functools.partial(members.mean, axis="batch"), axis_name="batch")
    got = mean(tree)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, np.broadcast_to(y.mean(0), x.shape)), got, tree
    )
    shared = jax.shard_map(
        lambda x: members.mean(x, "batch"),
        mesh=jax.make_mesh((1,), ("batch",)),
        in_specs=jax.P(),
        out_specs=jax.P(),
        check_vma=False,
    )
    assert str(jax.make_jaxpr(shared)(tree)).count("psum") == 1
