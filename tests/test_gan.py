"""training/gan: each term against its definition, and the loop's promise to resume exactly."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_stylegan2 as reference

from jaxsr import images, weights
from jaxsr.loading import load_prior
from jaxsr.nets import style_based, stylegan2
from jaxsr.records import files
from jaxsr.training import checkpoints, gan, gan_loop, gan_losses, loop
from jaxsr.training.gan_state import generator_of

NET = stylegan2.Config(resolution=8, z_dim=4, w_dim=4, mapping_layers=2, channels=(4, 3))
TINY = stylegan2.Config(resolution=4, z_dim=4, w_dim=4, mapping_layers=2, channels=(3,))
CONFIG = gan.Config(batch=4, augment="none")


@functools.cache
def randomised(net):
    leaves, tree = jax.tree.flatten(
        jax.jit(stylegan2.init, static_argnums=1)(jax.random.key(0), net)
    )
    rng = np.random.default_rng(0)
    return jax.tree.unflatten(
        tree, [x + 0.3 * rng.normal(size=x.shape).astype(np.float32) for x in leaves]
    )


@functools.cache
def jitted_step(net, config):
    return jax.jit(gan.make_step(net, config))


def photos(net, count=4, seed=1):
    return np.random.default_rng(seed).integers(
        0, 256, (count, net.resolution, net.resolution, 3), np.uint8
    )


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
    penalty = functools.partial(
        gan_losses.r1_penalty, jax.random.key(0), config=CONFIG, params=params, p=jnp.float32(0)
    )
    expected = penalty(net=TINY, photos=stylegan2.emphasised(batch, 3.0))
    np.testing.assert_allclose(penalty(net=sharp, photos=batch), expected, rtol=1e-5)


@pytest.mark.parametrize("count", [2, 4, 6, 8])
def test_one_pass_judges_fakes_and_photos_as_two_passes(count):
    """Breaks when a minibatch statistic mixes fakes and photos: it would tell them apart by
    itself."""
    fakes, real = (jax.random.normal(jax.random.key(i), (count, 4, 4, 3)) for i in range(2))
    params = randomised(TINY)["discriminator"]
    for got, alone in zip(
        gan_losses.judge_both(TINY, params, fakes, real), (fakes, real), strict=True
    ):
        np.testing.assert_allclose(
            got, stylegan2.discriminator(TINY, params, alone)[0], rtol=2e-5, atol=1e-5
        )


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
        product = np.einsum("hwcld,hwc->ld", jacobian(w_plus[i], [n[i] for n in noise]), y[i])
        np.testing.assert_allclose(length, np.sqrt(np.sum(product**2, 1).mean()), rtol=1e-4)


def test_a_step_follows_the_non_saturating_losses():
    """One step without lazy terms: each player's Adam step must be along the gradient of its loss,
    written out here on its own, with the generator moved before the discriminator."""
    config = gan.Config(batch=4, augment="none", path_weight=0.0, r1_gamma=0.0)
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
    config = gan.Config(batch=4, augment="ada", r1_interval=2, path_interval=2)
    state, ran = gan.begin(jax.random.key(0), TINY, config), []
    for _ in range(4):
        before = state
        state, log = jitted_step(TINY, config)(state, photos(TINY))
        ran.append((not np.isnan(log["r1"]), float(log["path_mean"]) != float(before.path_mean)))
    assert ran == [(True, True), (False, False)] * 2


def test_learns_the_colour_of_plain_photos():
    """End to end: after 800 steps on flat photos of one colour the generator draws that colour."""
    config = gan.Config(batch=8, augment="none", path_weight=0.0, r1_gamma=0.1, learning_rate=5e-3)
    state, step = gan.begin(jax.random.key(0), TINY, config), jitted_step(TINY, config)
    colour = np.array([200, 60, 120], np.uint8)
    flat = np.broadcast_to(colour, (8, 4, 4, 3))
    for _ in range(800):
        state, _ = step(state, flat)
    prior = stylegan2.stylegan2(TINY)
    drawn = jax.vmap(prior.decode, (None, 0))(
        state.params | state.ema, jax.random.normal(jax.random.key(1), (16, 4))
    )
    assert np.abs(np.asarray(drawn).mean((0, 1, 2)) - colour / 255).max() < 0.1


def test_style_mixing_switches_once():
    """Each code has at most two styles, the first up to a random layer; without mixing it has
    one."""
    mapping = randomised(NET)["mapping"]
    for mixing, styles in ((0.0, {1}), (1.0, {2})):
        codes = np.asarray(gan_losses.mixed_styles(jax.random.key(0), NET, mapping, 16, mixing))
        assert {len(np.unique(code, axis=0)) for code in codes} == styles
        assert all((np.diff((code == code[0]).all(1).astype(int)) <= 0).all() for code in codes)


def test_warm_start_takes_over_blocks_of_equal_shape():
    """A 4 px prior grows into an 8 px one: its blocks stay, the new ones are fresh."""
    small = stylegan2.init(
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


def test_a_narrower_prior_goes_on_in_a_wider_network():
    """A recipe that widens the network would lose the hours that the narrow one took, or new
    channels would never learn."""
    narrow = randomised(NET)
    state = gan.begin(jax.random.key(0), WIDE, CONFIG, warm=narrow)
    w_plus = jax.random.normal(jax.random.key(3), (NET.num_layers, NET.w_dim))
    noise = style_based.random_noise(jax.random.key(4), NET)
    before, after = (
        stylegan2.synthesis(n, p["synthesis"], w_plus, noise)[1]
        for n, p in ((NET, narrow), (WIDE, state.params))
    )
    np.testing.assert_allclose(after, before, atol=1e-5)
    x = jax.random.normal(jax.random.key(5), (4, 8, 8, 3))
    before, after = (
        stylegan2.discriminator(n, p["discriminator"], x)[1][0]
        for n, p in ((NET, narrow), (WIDE, state.params))
    )
    np.testing.assert_allclose(after[..., :4], before, atol=1e-5)
    real = jnp.float32(photos(WIDE)) / 127.5 - 1
    grads = jax.grad(
        lambda g: gan_losses.generator_loss(jax.random.key(6), WIDE, CONFIG, state, g, real)
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
        stylegan2.discriminator(n, p["discriminator"], flat)[0]
        for n, p in ((NET, narrow), (WIDE, wide))
    ]
    np.testing.assert_allclose(logits[1], logits[0], rtol=1e-3)
    kernels = [p["discriminator"]["conv"]["kernel"] for p in (narrow, wide)]
    np.testing.assert_allclose(
        kernels[1][:, :, -1, :4], kernels[0][:, :, -1] * (8 / 5) ** 0.5, rtol=1e-6
    )


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        ({}, (0.3, 0.3, 0.3)),
        ({"noise_bound": 0.0}, (0, 0, 0)),
        ({"noise_bound": 0.2, "noise_layers": 1}, (0, 0, 0.2)),
        ({"noise_layers": 2}, (0, 0.3, 0.3)),
    ],
)
def test_noise_stays_within_its_bounds(settings, sizes):
    """Noise draws the texture that w should, and nothing that is searched for in w can have it."""
    config, step = (
        gan.Config(batch=4, augment="none", path_weight=0.0, r1_gamma=0.0, **settings),
        0.005,
    )
    strong = jax.tree_util.tree_map_with_path(
        lambda path, x: jnp.full_like(x, -0.3) if path[-1].key == "noise_strength" else x,
        randomised(NET)["synthesis"],
    )
    state = gan.begin(jax.random.key(0), NET, config, warm=randomised(NET) | {"synthesis": strong})
    for moved in (state, jitted_step(NET, config)(state, photos(NET))[0]):
        layers = moved.params["synthesis"]
        averages = [
            moved.ema["synthesis"][block][conv]["noise_strength"]
            for block, conv in (("b4", "conv1"), ("b8", "conv0"), ("b8", "conv1"))
        ]
        assert (
            np.abs(averages)
            <= np.array(sizes) + (0 if config.noise_bound else step) * np.sign(sizes) + 1e-7
        ).all()
        strengths = [
            layers[block][conv]["noise_strength"]
            for block, conv in (("b4", "conv1"), ("b8", "conv0"), ("b8", "conv1"))
        ]
        least, most = (
            np.array([size + move if size else 0 for size in sizes])
            for move in (-step, 0 if config.noise_bound else step)
        )
        assert (np.abs(strengths) >= least - 1e-7).all() and (
            np.abs(strengths) <= most + 1e-7
        ).all()


def test_more_noise_layers_than_the_network_has_are_refused():
    """A typo would let noise into every layer."""
    with pytest.raises(
        ValueError, match="noise_layers must be at most 3, all of this network's, got 4"
    ):
        gan.begin(jax.random.key(0), NET, gan.Config(noise_layers=4))


RUN = gan_loop.Run(total_images=24, tick_images=8, frechet_samples=0, symmetry="dihedral")
ABOUT = {"name": "test", "domain": "noise", "licence": "none"}


class Killed(Exception):
    pass


def test_resumed_run_equals_an_uninterrupted_one(tmp_path):
    """Stopped after the first checkpoint and started again: state, prior and curve must end bit for
    bit the same."""

    def stop(line):
        raise Killed(line)

    stock = photos(TINY, 10)
    gan_loop.fit(TINY, CONFIG, RUN, stock, tmp_path / "whole", about=ABOUT, say=lambda _: None)
    with pytest.raises(Killed):
        gan_loop.fit(
            TINY, CONFIG, RUN, stock, tmp_path / "parts", about=ABOUT | {"images": 1_000}, say=stop
        )
    assert checkpoints.latest(tmp_path / "parts" / "checkpoints") == 2
    folder = gan_loop.fit(
        TINY,
        CONFIG,
        RUN,
        stock,
        tmp_path / "parts",
        about=ABOUT | {"images": 1_000},
        say=lambda _: None,
    )
    whole, parts = (weights.load(tmp_path / name / "prior")[0] for name in ("whole", "parts"))
    jax.tree.map(np.testing.assert_array_equal, parts, whole)
    assert len((tmp_path / "parts" / "curve.csv").read_text().splitlines()) == 4
    prior, params = load_prior(folder)
    state = checkpoints.restore(
        tmp_path / "parts" / "checkpoints", gan.begin(jax.random.key(0), TINY, CONFIG)
    )[0]
    trained = {name: params[name] for name in state.ema}
    # Exported as it was trained.
    jax.tree.map(np.testing.assert_array_equal, trained, jax.tree.map(np.asarray, state.ema))
    weights.save(tmp_path / "again", params, weights.read_config(folder))
    jax.tree.map(np.testing.assert_array_equal, load_prior(tmp_path / "again")[1], params)
    assert weights.read_config(folder)["images"] == 1_000 + 24
    assert images.read(folder.parent / "samples.png").shape == (32, 32, 3)
    assert np.isfinite(prior.decode(params, jnp.ones(4))).all()


def test_a_kill_between_checkpoint_and_prior_loses_neither(tmp_path, monkeypatch):
    """The last tick's checkpoint is there, its prior and its row are not: the next start must write
    them though no step is left."""
    run, stock = gan_loop.Run(total_images=8, tick_images=4, frechet_samples=0), photos(TINY, 10)
    gan_loop.fit(TINY, CONFIG, run, stock, tmp_path / "whole", about=ABOUT, say=lambda _: None)
    publish, calls = gan_loop._publish, []

    def killed(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise Killed
        return publish(*arguments)

    monkeypatch.setattr(gan_loop, "_publish", killed)
    with pytest.raises(Killed):
        gan_loop.fit(
            TINY,
            CONFIG,
            run,
            stock,
            tmp_path / "parts",
            about=ABOUT | {"images": 1_000},
            say=lambda _: None,
        )
    folder = gan_loop.fit(
        TINY,
        CONFIG,
        run,
        stock,
        tmp_path / "parts",
        about=ABOUT | {"images": 1_000},
        say=lambda _: None,
    )
    jax.tree.map(
        np.testing.assert_array_equal,
        weights.load(folder)[0],
        weights.load(tmp_path / "whole" / "prior")[0],
    )
    assert [
        line.partition(",")[0]
        for line in (tmp_path / "parts" / "curve.csv").read_text().splitlines()
    ] == ["images", "4", "8"]


@pytest.mark.parametrize(
    ("seed", "stock", "warm", "words"),
    [
        (1, 1, False, "seed = 0, got 1"),
        (0, 2, False, "photos = "),
        (0, 1, True, "warm = None, got "),
    ],
    ids=["seed", "photos", "warm"],
)
def test_another_run_in_the_same_folder_is_refused(seed, stock, warm, words, tmp_path):
    """A run must not go on with other settings, other photos or from another prior: its curve and
    card would be false."""
    run = gan_loop.Run(total_images=4, frechet_samples=0)
    gan_loop.fit(TINY, CONFIG, run, photos(TINY), tmp_path, about=ABOUT, say=lambda _: None)
    run = gan_loop.Run(total_images=8, seed=seed, frechet_samples=0)
    with pytest.raises(ValueError, match=f"holds a run with {words}"):
        gan_loop.fit(
            TINY,
            CONFIG,
            run,
            photos(TINY, seed=stock),
            tmp_path,
            about=ABOUT,
            warm=randomised(TINY) if warm else None,
        )


def test_two_processes_in_one_folder_are_refused(tmp_path):
    """Two trainings would delete each other's checkpoints."""
    with (
        files.only_here(tmp_path),
        pytest.raises(ValueError, match="another process is writing there"),
    ):
        gan_loop.fit(TINY, CONFIG, RUN, photos(TINY), tmp_path, about=ABOUT)


def test_diverged_weights_stop_with_the_last_good_checkpoint_kept(tmp_path):
    config = gan.Config(batch=4, augment="none", learning_rate=1e37, path_weight=0.0)
    run = gan_loop.Run(total_images=400, tick_images=4, frechet_samples=0)
    with pytest.raises(
        ValueError, match=r"no longer finite at step \d+ \(photos \d.* last good checkpoint is kept"
    ):
        gan_loop.fit(TINY, config, run, photos(TINY), tmp_path, about=ABOUT, say=lambda _: None)
    step = checkpoints.latest(tmp_path / "checkpoints")
    if step is not None:
        state, _ = checkpoints.restore(
            tmp_path / "checkpoints", gan.begin(jax.random.key(0), TINY, config)
        )
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(state.params))


@pytest.mark.parametrize(
    "settings",
    [{"symmetry": "flips"}, {"total_images": 0}, {"tick_images": 0}, {"frechet_samples": 1}],
)
def test_an_impossible_run_is_refused_before_anything_is_trained(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be"):
        gan_loop.Run(**settings)


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
