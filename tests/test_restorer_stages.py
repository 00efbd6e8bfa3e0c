"""training/restorer_terms: what one network's objective has beside LAREN's, each against slow NumPy
and with and without."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from learners import SHAPE, X4, bound, fresh, photos, prior_of

from jaxsr import metrics
from jaxsr.learned import RESTORERS, Model, Stages
from jaxsr.training import restorer, restorer_losses
from jaxsr.training.restorer_config import Config
from jaxsr.training.restorer_discriminators import DISCRIMINATORS, Discriminator
from jaxsr.training.restorer_losses import Bound

ALONE = {"batch": 4, "perceptual_weight": 0.0, "adversarial_weight": 0.0, "warmup_images": 0}
IMAGES = np.asarray(photos(4), np.float32) / 255


def squares(image, side):
    """Means of squares of pixels."""
    step = len(image) // side
    return np.float64(image).reshape(side, step, side, step, 3).mean((1, 3))


@pytest.fixture
def this(monkeypatch):
    """A network of one number that makes a half-size image, maps and statistics on its way, and a
    discriminator with two maps."""

    def image(params, y):
        return params["scale"] * jax.image.resize(y, SHAPE, "nearest")

    def stages(key, prior_params, params, ys):
        made = jax.vmap(lambda y: image(params, y))(ys)
        kept = {"mean": made.mean((0, 1, 2))}
        return Stages(made, (0.5 * made, 0.5 * made[:, ::2, ::2]), made[:, ::2, ::2, :2], kept)

    def parse(photo):
        return photo[::2, ::2, :2] + 0.25

    def judged(prior, config, params, x):
        maps = [params["w"] * x, jnp.sin(x[:, ::2])]
        return jnp.sum(maps[0], (1, 2, 3)), maps

    def init(key, prior_params):
        return {"scale": jnp.float32(0.5), "statistics": {"mean": jnp.zeros(3)}}

    linear = Discriminator(lambda key, prior, config, params: {"w": jnp.float32(0.1)}, judged)
    monkeypatch.setitem(DISCRIMINATORS, "prior", linear)
    model = Model("laren", None, init, lambda *a: (image(a[2], a[3]), {}), stages, parse)
    return Bound(model, prior_of()[0], X4, "features")


def objective(this, config):
    """(value, terms, restored images) at the network's beginning."""
    state = restorer.begin(jax.random.key(0), this, prior_of()[1], config)
    given = prior_of()[1]
    value, (terms, made, _) = jax.jit(
        lambda p: restorer_losses.loss(
            jax.random.key(1), this, config, given, state.discriminator, p, IMAGES
        )
    )(state.params)
    return value, terms, np.float64(made)


@pytest.mark.parametrize("fit", ["l1", "mse"])
def test_earlier_images_are_compared_at_their_size(this, fit):
    """GFPGAN's pyramid is compared with photos made small otherwise, or its images are averaged
    over their sizes."""
    config = Config(**ALONE, pixel_fit=fit, pixel_weight=0.1, stages_weight=3.0)
    value, terms, made = objective(this, config)
    size = np.abs if fit == "l1" else np.square
    small = np.stack([squares(image, 8) for image in IMAGES])
    expected = size(made - 2 * IMAGES).mean() + size(made[:, ::2, ::2] - 2 * small).mean()
    np.testing.assert_allclose(terms["stages"], expected, rtol=1e-4)
    pixel = size(2 * (made - IMAGES)).mean()
    np.testing.assert_allclose(value, 0.1 * pixel + 3 * expected, rtol=1e-4)


def test_maps_count_as_in_fsrnets_equation(this):
    """The squared error of maps is averaged on its own, so that beta is another number."""
    config = Config(**ALONE, stages_weight=1.0, parsing_weight=0.5)
    value, _, made = objective(this, config)
    guessed, maps = made[:, ::2, ::2, :2], IMAGES[:, ::2, ::2, :2] + 0.25
    small = np.stack([squares(image, 8) for image in IMAGES])
    # Eq. 5 but for its factor, with a second coarse image of a quarter of the numbers.
    total = ((made - IMAGES) ** 2).sum() + ((0.5 * made - IMAGES) ** 2).sum()
    total += 4 * ((0.5 * made[:, ::2, ::2] - small) ** 2).sum()
    total += 0.5 * ((guessed - maps) ** 2).sum()
    np.testing.assert_allclose(value, 4 * total / IMAGES.size, rtol=1e-4)


def test_style_is_the_difference_of_gram_matrices(this):
    """Maps are compared place by place, unscaled, or all with one weight."""
    _, terms, made = objective(this, Config(**ALONE, style_weight=50.0))
    net, params = metrics.load_features()
    total = 0.0
    seen = jax.jit(lambda image: net.maps(params, image))
    maps = [[seen(np.float32(x)) for x in stack] for stack in (made, IMAGES)]
    for layer, weight in enumerate((0.1, 0.1, 1, 1, 1)):
        grams = []
        for stack in maps:
            flat = [np.float64(x[layer]).reshape(-1, x[layer].shape[-1]) for x in stack]
            grams.append(np.stack([x.T @ x / x.size for x in flat]))
        total += weight * np.abs(grams[0] - grams[1]).mean()
    np.testing.assert_allclose(terms["style"], total, rtol=1e-3)


def test_matching_is_the_distance_of_the_discriminators_maps(this):
    """Maps of one kind are compared with themselves, or over all photos at once."""
    config = Config(**ALONE | {"adversarial_weight": 1.0}, matching_weight=0.02)
    _, terms, made = objective(this, config)
    pairs = ((0.1 * made, 0.1 * IMAGES), (np.sin(made[:, ::2]), np.sin(IMAGES[:, ::2])))
    expected = sum(np.sqrt(((a - b) ** 2).mean((1, 2, 3))).mean() for a, b in pairs)
    np.testing.assert_allclose(terms["matching"], expected, rtol=1e-4)


WEIGHTS = ("stages_weight", "parsing_weight", "style_weight", "matching_weight")


@pytest.mark.parametrize("name", WEIGHTS)
def test_each_term_moves_the_network_where_it_counts(this, name):
    """A weight is read and its term left out, or taken where its weight is 0."""
    base = ALONE | {"adversarial_weight": 1e-3}
    state = restorer.begin(jax.random.key(0), this, prior_of()[1], Config(**base))

    def slope(config):
        def value(params):
            return restorer_losses.loss(
                jax.random.key(1), this, config, prior_of()[1], state.discriminator, params, IMAGES
            )[0]

        return float(jax.jit(jax.grad(value))(state.params)["scale"])

    with_it, without = slope(Config(**base, **{name: 1.0})), slope(Config(**base))
    assert abs(with_it - without) > 1e-4 * abs(without)
    assert slope(Config(**base, **{name: 0.0})) == without


def test_statistics_are_those_of_the_last_batch(this):
    """They stay as they began, an optimiser moves them, or their average is not kept."""
    config = Config(**ALONE, optimizer="rmsprop", learning_rate=0.001)
    given = prior_of()[1]
    state = restorer.begin(jax.random.key(0), this, given, config)
    after, log = jax.jit(restorer.make_step(this, config, 40))(state, given, photos(4))
    made = objective(this, config)[2]
    np.testing.assert_allclose(after.params["statistics"]["mean"], made.mean((0, 1, 2)), rtol=1e-4)
    assert np.abs(after.ema["statistics"]["mean"]).max() > 0
    # Torch's first step of RMSprop: the rate times g / sqrt(0.01 g^2).
    np.testing.assert_allclose(np.abs(after.params["scale"] - 0.5), 0.01, rtol=1e-3)
    assert float(log["parsing"]) == 0.0


REFUSED = {
    "no images": ("stages_weight", "stages_weight is of a network that makes images on its way"),
    "no maps": ("parsing_weight", "parsing_weight is of a network that makes maps of classes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_term_of_another_network_is_refused(name):
    """It is passed over, and two runs that differ in nothing are compared."""
    weight, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as caught:
        restorer.begin(
            jax.random.key(0), bound("rrdb"), prior_of()[1], Config(**ALONE, **{weight: 1.0})
        )
    assert f"got rrdb, which makes none: take {weight} 0" in str(caught.value)


def test_matching_needs_a_discriminator():
    """A term that cannot be is left out without a word."""
    with pytest.raises(ValueError, match="matching_weight needs a discriminator"):
        Config(**ALONE, matching_weight=0.02)


def test_networks_show_training_what_they_make():
    """GFPGAN's pyramid misses a size, or FSRNet's coarse image is at another."""
    ys = jnp.stack([X4(image) for image in jnp.asarray(IMAGES)])
    for name, sides, maps in (("gfpgan", [8, 16], None), ("fsrnet_style", [16], (4, 8, 8, 4))):
        model = bound(name).model
        params = jax.eval_shape(model.init, jax.random.key(0), prior_of()[1])
        made = jax.eval_shape(model.stages, jax.random.key(0), prior_of()[1], params, ys)
        assert made.images.shape == (4, *SHAPE)
        assert [x.shape for x in made.earlier] == [(4, side, side, 3) for side in sides]
        assert (made.maps and made.maps.shape) == maps


ABLATED = {
    "gfpgan": ("stages_weight", lambda params: params["unet"]["rgb8"]),
    "fsrnet_style": ("parsing_weight", lambda params: params["net"]["maps"]),
}


@pytest.mark.parametrize("name", ABLATED)
@pytest.mark.slow
def test_what_only_a_term_trains_stays_without_it(name):
    """--parsing_weight=0 is no ablation: maps are learned all the same."""
    weight, part = ABLATED[name]
    given = prior_of()[1] | {"learned": fresh(name)}
    for number in (0.0, 1.0):
        off = {"perceptual_weight": 0.0, "adversarial_weight": 0.0, "style_weight": 0.0}
        config = Config(**{**RESTORERS[name].training, **off, "batch": 4, weight: number})
        state = restorer.begin(jax.random.key(0), bound(name), given, config)
        step = jax.jit(restorer.make_step(bound(name), config, 40))
        after, _ = step(state, prior_of()[1], photos(4))
        pairs = zip(*(jax.tree.leaves(part(each.params)) for each in (state, after)), strict=True)
        assert any(np.abs(a - b).max() > 0 for a, b in pairs) == (number > 0)
