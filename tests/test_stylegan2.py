"""nets/stylegan2 against a slow float64 reference written from the paper, and the laws of a
prior."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_stylegan2 as reference
from architectures import fresh, traced

from jaxsr import priors
from jaxsr.nets import stylegan2

CONFIGS = {
    "4 px": stylegan2.Config(resolution=4, z_dim=6, w_dim=5, mapping_layers=2, channels=(7,)),
    "16 px": stylegan2.Config(
        resolution=16, z_dim=8, w_dim=8, mapping_layers=3, channels=(6, 5, 4)
    ),
    "32 px, official rule": stylegan2.Config(
        resolution=32, z_dim=8, w_dim=8, channel_base=128, channel_max=8
    ),
}


@functools.cache
def randomised(name):
    """A prior and parameters none of which is at its default, so that a forgotten one shows."""
    config, rng = CONFIGS[name], np.random.default_rng(1)
    shapes = jax.eval_shape(lambda: stylegan2.init(jax.random.key(1), config))

    def draw(path, leaf):
        names = [getattr(key, "key", None) for key in path]
        x = rng.normal(size=leaf.shape)
        if names[-1] == "kernel":
            return np.float32(100 * x if names[0] == "mapping" else x)  # 1 / its learning rate
        if names[0] == "noise" or names[-1] == "const":
            return np.float32(x)
        return np.float32((names[-2:] == ["affine", "bias"]) + 0.3 * x)

    return stylegan2.stylegan2(config), jax.tree_util.tree_map_with_path(draw, shapes)


def double(tree):
    return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


def chw(images):
    return np.moveaxis(np.asarray(images, np.float64), -1, -3)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("kind", ["const", "none", "random"])
def test_synthesis_equals_the_paper(name, kind):
    """Breaks when a filter, a gain, the demodulation, the order of styles or of noise maps is
    wrong."""
    prior, params = randomised(name)
    w_plus = jax.random.normal(jax.random.key(3), (prior.info.num_layers, prior.info.w_dim))
    noise = prior.noise(kind, params, jax.random.key(4))
    expected = reference.synthesis(double(params["synthesis"]), double(w_plus), double(noise))
    image = jax.jit(prior.synthesize)(params, w_plus, noise)
    np.testing.assert_allclose(chw(2 * image - 1), expected, atol=1e-4)


@pytest.mark.parametrize("name", CONFIGS)
def test_mapping_equals_the_paper(name):
    prior, params = randomised(name)
    z = jax.random.normal(jax.random.key(3), (prior.info.z_dim,))
    np.testing.assert_allclose(
        jax.jit(prior.map)(params, z),
        reference.mapping(double(params["mapping"]), double(z)),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("name", "count", "group"),
    [
        *[("4 px", 1, 1), ("4 px", 2, 2), ("4 px", 4, 4), ("4 px", 8, 4)],
        *[("16 px", 8, 4), ("32 px, official rule", 8, 4)],
    ],
)
def test_discriminator_equals_the_paper(name, count, group):
    """Breaks when the residual gains, the strided filter or the groups of the minibatch statistic
    are wrong."""
    prior, params = randomised(name)
    images = jax.random.uniform(
        jax.random.key(5), (count, prior.info.resolution, prior.info.resolution, 3)
    )
    logits, features = jax.jit(prior.discriminate)(params, images)
    expected, expected_features = reference.discriminator(
        double(params["discriminator"]), chw(2 * images - 1), group
    )
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    assert [f.shape for f in features] == [np.moveaxis(f, 1, -1).shape for f in expected_features]
    for f, e in zip(features, expected_features, strict=True):
        np.testing.assert_allclose(chw(f), e, atol=1e-4)


def test_gradient_equals_finite_differences():
    """The search follows this gradient; the reference is the slow network's central difference."""
    prior, params = randomised("16 px")
    w_plus = jax.random.normal(jax.random.key(3), (prior.info.num_layers, prior.info.w_dim))
    noise = prior.noise("const", params)
    weight = jax.random.normal(jax.random.key(6), (16, 16, 3))
    direction = jax.random.normal(jax.random.key(7), w_plus.shape)
    grad = jax.jit(jax.grad(lambda w: jnp.sum(prior.synthesize(params, w, noise) * weight)))(w_plus)

    def slow(step):
        image = reference.synthesis(
            double(params["synthesis"]), double(w_plus) + step * double(direction), double(noise)
        )
        return np.sum((0.5 + 0.5 * image) * chw(weight))

    expected = (slow(1e-4) - slow(-1e-4)) / 2e-4
    np.testing.assert_allclose(jnp.vdot(grad, direction), expected, rtol=1e-4)


@pytest.mark.parametrize("function", ["upsample", "downsample"])
@pytest.mark.parametrize("side", [2, 8])
def test_resampling_equals_the_filter(function, side):
    x = np.random.default_rng(0).normal(size=(1, side, side + 2, 3)).astype(np.float32)
    expected = getattr(reference, function)(chw(x[0]))
    got = jax.jit(getattr(stylegan2, function))(x)
    np.testing.assert_allclose(chw(got[0]), expected, atol=1e-6)


@pytest.mark.parametrize("function", ["conv_up", "conv_down"])
@pytest.mark.parametrize("side", [2, 8])
def test_strided_convolutions_equal_their_definition(function, side):
    rng = np.random.default_rng(0)
    x, kernel = (
        rng.normal(size=(1, side, side + 2, 3)).astype(np.float32),
        rng.normal(size=(3, 3, 3, 5)).astype(np.float32),
    )
    expected = getattr(reference, function)(chw(x[0]), kernel.transpose(3, 2, 0, 1))
    got = jax.jit(getattr(stylegan2, function))(x, kernel)
    np.testing.assert_allclose(chw(got[0]), expected, atol=1e-4)


emphasised = jax.jit(stylegan2.emphasised, static_argnums=1)


@pytest.mark.parametrize("emphasis", [0.0, 1.0, 4.0])
def test_emphasis_amplifies_detail_and_keeps_means(emphasis):
    """Against the filter in float64: checks of one pixel grow by 1 + emphasis, what is flat does
    not, borders are no edges."""
    images = np.random.default_rng(0).normal(size=(2, 8, 6, 3)).astype(np.float32)
    smooth = images.astype(np.float64)
    for axis in (1, 2):
        padded = np.pad(smooth, [(int(i == axis),) * 2 for i in range(4)], mode="edge")
        smooth = sum(
            weight * np.take(padded, np.arange(k, k + smooth.shape[axis]), axis)
            for k, weight in enumerate((0.25, 0.5, 0.25))
        )
    np.testing.assert_allclose(
        emphasised(images, emphasis), images + emphasis * (images - smooth), atol=1e-5
    )
    checks = np.broadcast_to(
        (-1.0) ** np.add.outer(np.arange(8), np.arange(8))[None, :, :, None], (1, 8, 8, 3)
    ).astype(np.float32)
    for picture, gain in ((np.ones_like(checks), 1.0), (checks, 1.0 + emphasis)):
        inner = np.asarray(emphasised(picture, emphasis))[:, 1:-1, 1:-1]
        np.testing.assert_allclose(inner, gain * picture[:, 1:-1, 1:-1], rtol=1e-5)


def test_a_discriminator_with_emphasis_sees_the_emphasised_picture():
    """Whoever uses it, not its training alone: RLSE and LAREN are guided by it."""
    images = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    plain, params = randomised("4 px")
    config = dataclasses.replace(CONFIGS["4 px"], emphasis=4.0)
    expected = jax.jit(plain.discriminate)(params, emphasised(images, 4.0) / 2 + 0.5)[0]
    got = jax.jit(stylegan2.stylegan2(config).discriminate)(params, images / 2 + 0.5)[0]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


SPACES = (priors.in_w, priors.in_w_plus, priors.in_w_plus_noise, priors.in_styles)


def test_spaces_agree():
    """z, w, w+, w+ with noise, and styles are five ways to the same image."""
    prior, params = fresh("stylegan2")
    z = jax.random.normal(jax.random.key(3), (prior.info.z_dim,))
    w = jax.jit(prior.map)(params, z)
    w_plus = priors.tile(prior, w)
    with_noise = {"w_plus": w_plus, "noise": prior.noise("const", params)}
    latents = (w, w_plus, with_noise, jax.jit(prior.styles)(params, w_plus))

    @jax.jit
    def in_all(params, latents):
        return [s(prior).decode(params, x) for s, x in zip(SPACES, latents, strict=True)]

    for image in in_all(params, latents):
        np.testing.assert_allclose(image, traced("stylegan2")[0](params, z), atol=1e-6)
    for space, latent in zip(SPACES, latents, strict=True):
        drawn = jax.eval_shape(space(prior).sample, jax.random.key(0), params)
        assert jax.tree.map(jnp.shape, drawn) == jax.tree.map(jnp.shape, latent)


def test_truncation_is_a_line_from_the_mean_to_w():
    prior, params = randomised("16 px")
    z = np.random.default_rng(3).normal(size=prior.info.z_dim).astype(np.float32)
    mean, mapped = params["statistics"]["w_mean"], jax.jit(prior.map, static_argnums=2)
    w = mapped(params, z, 1.0)
    np.testing.assert_allclose(mapped(params, z, 0.0), mean, atol=1e-6)
    np.testing.assert_allclose(mapped(params, z, 0.7), mean + 0.7 * (w - mean), atol=1e-5)


def test_statistics_are_those_of_w():
    """RLS starts at w_mean and PULSE searches in the whitened space: both must be the moments of
    the prior's own w."""
    prior, params = randomised("16 px")
    statistics = jax.jit(
        lambda p: priors.latent_statistics(prior, p, jax.random.key(0), num_samples=20_000)
    )(params)
    z = jax.random.normal(jax.random.key(9), (20_000, prior.info.z_dim))
    w = np.asarray(jax.jit(jax.vmap(lambda z: prior.map(params, z)))(z), np.float64)
    white = np.where(w > 0, w, 5 * w)
    for name, expected in (
        ("w_mean", w.mean(0)),
        ("w_std", w.std(0)),
        ("white_mean", white.mean(0)),
        ("white_std", white.std(0)),
    ):
        np.testing.assert_allclose(statistics[name], expected, atol=0.05 * white.std())


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"resolution": 48}, "power of two"), ({"resolution": 16, "channels": (4, 4)}, "3 widths")],
)
def test_bad_configs_say_what_was_expected(settings, words):
    with pytest.raises(ValueError, match=words):
        stylegan2.Config(**settings)


def test_unknown_noise_kind_is_refused():
    prior, params = randomised("4 px")
    for kind in ("constant", "random"):  # random needs a key
        with pytest.raises(ValueError, match="noise kind"):
            prior.noise(kind, params)


def test_official_sizes():
    """1024 px: 18 styles, 17 noise inputs, 30,370,060 generator parameters."""
    config = stylegan2.Config()
    shapes = jax.eval_shape(lambda: stylegan2.init(jax.random.key(0), config))
    count = sum(x.size for x in jax.tree.leaves((shapes["mapping"], shapes["synthesis"])))
    assert (config.num_layers, len(config.noise_shapes), count) == (18, 17, 30_370_060)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"channels": (0, 8)}, "every layer must have a channel"),
        ({"channel_base": 0}, "every layer must have a channel"),
        ({"z_dim": 0}, "z_dim must be at least 1"),
        ({"mapping_layers": -1}, "mapping_layers must be at least 1"),
        ({"mbstd_group": 0}, "mbstd_group must be at least 1"),
        ({"mapping_lr": float("nan")}, "mapping_lr must be a number above 0"),
        ({"clamp": 0.0}, "clamp must be above 0"),
    ],
)
def test_impossible_sizes_are_refused(settings: dict, words: str):
    """A flag's typo would end in a traceback from deep inside the network."""
    with pytest.raises(ValueError, match=words):
        stylegan2.Config(resolution=8, **settings)
