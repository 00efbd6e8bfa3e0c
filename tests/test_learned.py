"""learned: what a network sees and draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from learners import NETWORKS, SHAPE, SIDE, SIZES, X4, bound, fresh, photos, prior_of
from method_cases import LEARNED

import jaxsr
from jaxsr import learned, loading, operators, priors
from jaxsr.learned.codes import maps_as_noise
from jaxsr.training.restorer_losses import measure, restored


@pytest.mark.parametrize("name", ["stylegan1", "stylegan2"])
def test_blocks_in_turn_are_the_generator(name):
    """GLEAN's bank gets another layer's codes or noise, or a map of another block."""
    prior, params = prior_of(name)
    w_plus = jax.random.normal(jax.random.key(1), (prior.info.num_layers, 6))
    noise, cut = prior.noise("random", params, jax.random.key(2)), (None, None)
    for i in range(3):
        cut = prior.blocks(params, w_plus, noise, cut, i, i + 1)
        assert cut[0].shape == (4 << i, 4 << i, (5, 4, 3)[i])
    np.testing.assert_allclose(
        0.5 + 0.5 * cut[1], prior.synthesize(params, w_plus, noise), atol=1e-5
    )
    assert learned.widths(prior, params) == (5, 4, 3)


# What a network sees and draws

SEEN = {name: (operators.make(name, SIDE, factor=4), SIDE) for name in operators.OPERATORS} | {
    "downsample": (X4, 4),
    "downsample_420": (operators.make("downsample_420", SIDE, factor=4), 4),
    "downsample 16": (operators.downsample(16, image_shape=SHAPE), SIDE),  # one pixel: too small
}


@pytest.mark.parametrize("name", SEEN)
def test_every_operator_is_seen_as_an_image(name):
    """An encoder gets a measurement that it cannot take, or one of another range."""
    operator, side = SEEN[name]
    prior, params = prior_of()
    y = operator(jnp.full(SHAPE, 0.25))
    seen = learned.seen(prior, operator, y)
    assert seen.shape == (side, side, 3)
    assert name != "downsample" or np.abs(seen + 0.5).max() < 1e-4
    if side == SIDE:
        np.testing.assert_allclose(operator((seen + 1) / 2), y, atol=1e-4)
    net = learned.sized("laren", prior, params, operator, SIZES)
    assert net.encoder.side == side and net.encoder.widths == (5, 4, 3)[: len(net.encoder.widths)]


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(name, marks=[] if name in ("laren", "gpen") else [pytest.mark.slow])
        for name in NETWORKS
    ],
)
def test_latent_draws_the_image_again(network):
    """A result's latent is not what its image was drawn from, or depends on the photos beside
    it."""
    this, params = bound(network), fresh(network)
    prior, given = prior_of()
    ys = measure(this, jnp.asarray(photos(2), jnp.float32) / 255)
    restore = jax.jit(lambda key, y: this.model.restore(key, given, params, y))
    image, latent = restore(jax.random.key(3), ys[0])
    assert image.shape == SHAPE and np.isfinite(image).all()
    if "w_plus" in latent:
        np.testing.assert_allclose(
            prior.synthesize(given, latent["w_plus"], latent["noise"]), image, atol=1e-5
        )
    if "styles" in latent:
        np.testing.assert_allclose(
            priors.synthesize_styles(prior, given, latent["styles"], latent["noise"]),
            image,
            atol=1e-5,
        )
    both = jax.jit(lambda keys: restored(keys, this, given, params, ys))(jax.random.key(3))
    alone = restore(jax.random.split(jax.random.key(3), 2)[1], ys[1])[0]
    np.testing.assert_allclose(both[1], alone, atol=1e-5)
    generated = any(network in row.generated for row in LEARNED.values())
    # Without maps, noise is drawn.
    assert bool(np.abs(restore(jax.random.key(4), ys[0])[0] - image).max() < 1e-6) == generated


def test_styles_are_in_units_of_their_deviation():
    """A dense layer's output of 1 is a step that one style hardly knows and another never takes."""
    prior, given = prior_of()
    mean, deviation = jax.jit(lambda p: learned.style_statistics(prior, p))(given)
    w_mean, w_std = given["statistics"]["w_mean"], given["statistics"]["w_std"]
    draws = w_mean + w_std * jax.random.normal(jax.random.key(0), (4000, len(w_mean)))
    styles = jax.jit(jax.vmap(lambda w: prior.styles(given, priors.tile(prior, w))))(draws)
    for path, values in styles.items():
        np.testing.assert_allclose(values.mean(0), mean[path], atol=0.1 * deviation[path].max())
        np.testing.assert_allclose(values.std(0), deviation[path], rtol=0.08)


@pytest.mark.parametrize("name", ["stylegan1", "stylegan2"])
def test_maps_are_seen_where_a_prior_shut_its_noise(name):
    """A map times a noise strength of 1e-5 changes nothing; another layer's strength is taken; or
    strengths of use are changed."""
    prior, given = prior_of(name)
    shapes, net = prior.info.noise_shapes, learned.sized("laren", prior, given, X4, SIZES)
    wanted = [1e-5, -1e-3, 0.5, 0.2, 1e-4][: len(shapes)]

    def with_strengths(tree):
        order = sorted(
            (int(block[1:]), block, layer)
            for block, layers in tree.items()
            for layer in layers
            if isinstance(layers[layer], dict) and "noise_strength" in layers[layer]
        )
        tree = jax.tree.map(lambda x: x, tree)
        for value, (_, block, layer) in zip(wanted, order, strict=False):
            leaf = tree[block][layer]["noise_strength"]
            tree[block][layer]["noise_strength"] = jnp.full_like(leaf, value)
        return tree

    params = given | {"synthesis": with_strengths(given["synthesis"])}
    strengths = learned.noise_strengths(params)
    np.testing.assert_allclose(strengths[: len(wanted)], np.abs(wanted), rtol=1e-5)
    maps = tuple(jnp.ones(shape) for shape in shapes)
    noise = maps_as_noise(net, params, maps)
    felt = [float(n.max() * s) for n, s in zip(noise, strengths, strict=True)]
    least = np.maximum(np.array(strengths), learned.LEAST_STRENGTH)
    np.testing.assert_allclose(felt, least, rtol=1e-4)


def test_literal_codes_are_not_moved_to_w():
    prior, given = prior_of()
    literal = learned.sized(
        "gdm", prior, given, X4, learned.Sizes(**{**SIZES.__dict__, "literal": True})
    )
    model = learned.bind(literal, prior, X4)
    latent = model.restore(
        jax.random.key(0), given, model.init(jax.random.key(1), given), jnp.full((4, 4, 3), 0.5)
    )[1]
    assert (latent["w_plus"] >= 0).all()


# The model that comes with the package


def test_bundled_laren_restores_the_examples():
    """`--method=laren` without a model: weights of another prior or a damaged file restore to
    something that does not explain the photo."""
    prior, given = loading.load_prior("pbc64")
    folder = loading.prior_folder("pbc64") / "examples"
    ys = np.stack([jaxsr.images.read(path) for path in sorted(folder.glob("*.png"))])
    operator = operators.downsample(8, image_shape=(64, 64, 3))
    params = given | learned.load("laren", prior, given, operator)
    result = jaxsr.restore(jaxsr.methods.laren(prior, operator), params, ys, progress=False)
    assert result.image.shape == (len(ys), 64, 64, 3)
    assert result.residual.mean() < 0.1 * ys.var((1, 2)).mean()  # of one colour all over
    assert sum(path.stat().st_size for path in learned.MODELS.rglob("*") if path.is_file()) < 10e6
