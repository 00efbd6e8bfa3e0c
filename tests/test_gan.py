"""training/gan: each term against its definition, and what a step does."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_stylegan2 as reference
from gan_cases import CONFIG, NET, PLAIN, TINY, discriminator, jitted_step, photos, randomised

from jaxsr.nets import style_based, stylegan2
from jaxsr.training import gan, gan_losses, loop


def test_r1_is_the_squared_gradient_at_the_photos():
    """Breaks when R1 misses the minibatch statistic, a factor, or averages pixels instead of
    summing them."""
    params = jax.tree.map(lambda x: np.asarray(x, np.float64), randomised(TINY)["discriminator"])
    batch = np.random.default_rng(2).normal(size=(2, 4, 4, 3))

    def logits(x):
        return reference.discriminator(params, x.transpose(0, 3, 1, 2))[0].sum()

    grad = np.zeros_like(batch)
    for index in np.ndindex(batch.shape):
        step = np.zeros_like(batch)
        step[index] = 1e-5
        grad[index] = (logits(batch + step) - logits(batch - step)) / 2e-5
    expected = np.sum(grad**2, (1, 2, 3)).mean()
    penalty = jax.jit(functools.partial(gan_losses.r1_penalty, jax.random.key(0), TINY, CONFIG))
    np.testing.assert_allclose(
        penalty(randomised(TINY)["discriminator"], jnp.float32(batch), jnp.float32(0)),
        expected,
        rtol=1e-3,
    )


def test_r1_is_taken_at_what_the_discriminator_sees():
    """Taken at the photo itself it would hold down just the detail that `emphasis` brings out."""
    params, batch = (
        randomised(TINY)["discriminator"],
        jax.random.normal(jax.random.key(2), (4, 4, 4, 3)),
    )
    sharp = dataclasses.replace(TINY, emphasis=3.0)
    penalty = jax.jit(
        lambda x, net: gan_losses.r1_penalty(
            jax.random.key(0), net, CONFIG, params, x, jnp.float32(0)
        ),
        static_argnums=1,
    )
    expected = penalty(stylegan2.emphasised(batch, 3.0), TINY)
    np.testing.assert_allclose(penalty(batch, sharp), expected, rtol=1e-5)


@pytest.mark.parametrize("count", [2, 4, 6, 8])
def test_one_pass_judges_fakes_and_photos_as_two_passes(count):
    """Breaks when a minibatch statistic mixes fakes and photos: it would tell them apart by
    itself."""
    fakes, real = (jax.random.normal(jax.random.key(i), (count, 4, 4, 3)) for i in range(2))
    params = randomised(TINY)["discriminator"]
    both = jax.jit(gan_losses.judge_both, static_argnums=0)(TINY, params, fakes, real)
    for got, alone in zip(both, (fakes, real), strict=True):
        expected = discriminator(TINY, params, alone)[0]
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-5)


def test_path_length_is_the_norm_of_the_jacobian_transposed_noise():
    params = randomised(TINY)["synthesis"]
    w_plus = jax.random.normal(jax.random.key(3), (2, TINY.num_layers, TINY.w_dim))
    key = jax.random.key(4)
    key_y, key_noise = jax.random.split(key)
    noise = style_based.random_noise(key_noise, TINY, (2,))
    y = np.asarray(jax.random.normal(key_y, (2, 4, 4, 3))) / 4
    jacobian = jax.jit(jax.jacfwd(lambda w, n: stylegan2.synthesis(TINY, params, w, n)[1]))
    for i, length in enumerate(
        jax.jit(functools.partial(gan_losses.path_lengths, TINY))(params, w_plus, key)
    ):
        product = np.einsum("hwcld,hwc->ld", jacobian(w_plus[i], tuple(n[i] for n in noise)), y[i])
        np.testing.assert_allclose(length, np.sqrt(np.sum(product**2, 1).mean()), rtol=1e-4)


def test_a_step_follows_the_non_saturating_losses():
    """One step without lazy terms: each player's Adam step must be along the gradient of its loss,
    written out here on its own, with the generator moved before the discriminator."""
    config = PLAIN
    state = gan.begin(jax.random.key(0), TINY, config)
    state = state._replace(params=randomised(TINY), step=jnp.int32(1))
    after, log = jitted_step(TINY, config)(state, photos(TINY))
    real, keys = (
        jnp.float32(photos(TINY)) / 127.5 - 1,
        jax.random.split(jax.random.fold_in(state.key, 1), 4),
    )

    def judge(params, x):
        return stylegan2.discriminator(TINY, params, x)[0]

    def loss_of_generator(generator):
        fakes = gan_losses.draw_fakes(jax.random.split(keys[0])[0], TINY, config, generator)
        return -jax.nn.log_sigmoid(judge(state.params["discriminator"], fakes)).mean()

    def loss_of_discriminator(params):
        fakes = gan_losses.draw_fakes(jax.random.split(keys[2], 3)[0], TINY, config, after.params)
        return -(
            jax.nn.log_sigmoid(judge(params, real)).mean()
            + jax.nn.log_sigmoid(-judge(params, fakes)).mean()
        )

    generator = {k: state.params[k] for k in ("mapping", "synthesis")}
    players = (
        ("loss_generator", loss_of_generator, generator, {k: after.params[k] for k in generator}),
        (
            "loss_discriminator",
            loss_of_discriminator,
            state.params["discriminator"],
            after.params["discriminator"],
        ),
    )
    for name, loss, before, moved in players:
        value, grads = jax.jit(jax.value_and_grad(loss))(before)
        np.testing.assert_allclose(log[name], value, rtol=1e-5)
        # Adam's first step without momentum is the learning rate along the sign of the gradient.
        for g, b, m in zip(*map(jax.tree.leaves, (grads, before, moved)), strict=True):
            clear = np.abs(g) > 1e-4 * np.abs(g).max()
            assert (np.sign(np.asarray(b - m))[clear] == np.sign(np.asarray(g))[clear]).all()


def test_a_batch_split_over_devices_follows_their_mean_gradient():
    """Devices would drift apart, draw the same fakes, or take a step for each device."""
    config = gan.Config(batch=8, augment="none", path_weight=0.0, r1_gamma=0.0)
    state = gan.begin(jax.random.key(0), TINY, config)._replace(
        params=randomised(TINY), step=jnp.int32(1)
    )
    step = jax.vmap(gan.make_step(TINY, config, axis="batch"), (None, 0), axis_name="batch")
    after, log = jax.jit(step)(state, photos(TINY, 8).reshape(2, 4, 4, 4, 3))

    real = jnp.float32(photos(TINY)) / 127.5 - 1

    def member(index):
        key = jax.random.split(jax.random.fold_in(jax.random.fold_in(state.key, 1), index), 4)[0]
        generator = {k: state.params[k] for k in ("mapping", "synthesis")}
        return jax.value_and_grad(
            lambda g: gan_losses.generator_loss(key, TINY, CONFIG, state, g, real)
        )(generator)

    values, grads = jax.jit(jax.vmap(member))(jnp.arange(2))
    np.testing.assert_allclose(log["loss_generator"], [values.mean()] * 2, rtol=1e-5)
    # Adam's first moment is the gradient itself, because beta1 is 0.
    for moment, grad in zip(
        jax.tree.leaves(after.generator_opt[0].mu), jax.tree.leaves(grads), strict=True
    ):
        np.testing.assert_allclose(moment, np.stack([grad.mean(0)] * 2), rtol=1e-3, atol=1e-6)
    assert abs(values[0] - values[1]) > 1e-4
    jax.tree.map(lambda x: np.testing.assert_array_equal(x[0], x[1]), (after.params, after.ema))


@pytest.mark.parametrize(
    ("batch", "devices", "fits"),
    [(32, 4, True), (32, 3, False), (4, 4, False), (4, 2, True), (3, 1, True)],
)
def test_a_batch_fits_devices_that_divide_it_into_two_or_more(batch, devices, fits):
    """The minibatch statistic of a single photo is zero: its device would learn from less."""
    assert loop.fits(batch, devices) is fits


def test_lazy_terms_run_on_their_steps_only():
    config = dataclasses.replace(CONFIG, r1_interval=2, path_interval=2)
    state, ran = gan.begin(jax.random.key(0), TINY, config), []
    for _ in range(4):
        before = state
        state, log = jitted_step(TINY, config)(state, photos(TINY))
        ran.append((not np.isnan(log["r1"]), float(log["path_mean"]) != float(before.path_mean)))
    assert ran == [(True, True), (False, False)] * 2


@pytest.mark.slow
def test_learns_the_colour_of_plain_photos():
    """End to end: after 800 steps on flat photos of one colour the generator draws that colour."""
    config = gan.Config(batch=8, augment="none", path_weight=0.0, r1_gamma=0.1, learning_rate=5e-3)
    state, step = gan.begin(jax.random.key(0), TINY, config), jitted_step(TINY, config)
    colour = np.array([200, 60, 120], np.uint8)
    flat = np.broadcast_to(colour, (8, 4, 4, 3))
    for _ in range(800):
        state, _ = step(state, flat)
    prior = stylegan2.stylegan2(TINY)
    drawn = jax.jit(jax.vmap(prior.decode, (None, 0)))(
        state.params | state.ema, jax.random.normal(jax.random.key(1), (16, 4))
    )
    assert np.abs(np.asarray(drawn).mean((0, 1, 2)) - colour / 255).max() < 0.1


def test_style_mixing_switches_once():
    """Each code has at most two styles, the first up to a random layer; without mixing it has
    one."""
    mapping = randomised(NET)["mapping"]
    mixed = jax.jit(gan_losses.mixed_styles, static_argnums=(1, 3))
    for mixing, styles in ((0.0, {1}), (1.0, {2})):
        codes = np.asarray(mixed(jax.random.key(0), NET, mapping, 16, mixing))
        assert {len(np.unique(code, axis=0)) for code in codes} == styles
        assert all((np.diff((code == code[0]).all(1).astype(int)) <= 0).all() for code in codes)


BOUNDED = [
    ({}, (0.3, 0.3, 0.3)),
    ({"noise_bound": 0.0}, (0, 0, 0)),
    ({"noise_bound": 0.2, "noise_layers": 1}, (0, 0, 0.2)),
    ({"noise_layers": 2}, (0, 0.3, 0.3)),
]


def noisy(settings):
    """A state that begins with strengths of -0.3 in every layer."""
    strong = jax.tree_util.tree_map_with_path(
        lambda path, x: jnp.full_like(x, -0.3) if path[-1].key == "noise_strength" else x,
        randomised(NET)["synthesis"],
    )
    warm = randomised(NET) | {"synthesis": strong}
    config = dataclasses.replace(PLAIN, **settings)
    return config, gan.begin(jax.random.key(0), NET, config, warm=warm)


def strengths(synthesis):
    return np.array(
        [
            synthesis[block][conv]["noise_strength"]
            for block, conv in (("b4", "conv1"), ("b8", "conv0"), ("b8", "conv1"))
        ]
    )


@pytest.mark.parametrize(("settings", "sizes"), BOUNDED)
def test_noise_begins_within_its_bounds(settings, sizes):
    """Noise draws the texture that w should, and nothing that is searched for in w can have it."""
    _, state = noisy(settings)
    for params in (state.params, state.ema):
        np.testing.assert_allclose(np.abs(strengths(params["synthesis"])), sizes, atol=1e-7)


def test_noise_stays_within_its_bounds():
    """A step must not lead out of them, nor let noise into a layer that has none."""
    settings, sizes = BOUNDED[2]
    config, state = noisy(settings)
    moved, _ = jitted_step(NET, config)(state, photos(NET))
    for params in (moved.params, moved.ema):
        found = np.abs(strengths(params["synthesis"]))
        assert (found[:2] == 0).all() and sizes[2] - 0.005 <= found[2] <= sizes[2] + 1e-7


def test_more_noise_layers_than_the_network_has_are_refused():
    """A typo would let noise into every layer."""
    with pytest.raises(
        ValueError, match="noise_layers must be at most 3, all of this network's, got 4"
    ):
        gan.begin(jax.random.key(0), NET, gan.Config(noise_layers=4))


@pytest.mark.parametrize(
    "settings",
    [
        {"augment": "flips"},
        {"batch": 1},
        {"r1_interval": 0},
        {"path_weight": -1.0},
        {"beta2": 1.5},
        {"learning_rate": math.nan},
        {"ema_images": -1.0},
        {"ema_rampup": math.nan},
        {"noise_bound": -0.1},
        {"noise_layers": -1},
    ],
)
def test_bad_settings_are_refused(settings):
    """A run would divide by zero, or end in NaN after minutes."""
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be"):
        gan.Config(**settings)
