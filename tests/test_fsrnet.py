"""FSRNet-style with pseudo-parsing: counts of the published sizes, what a slow network computes,
and the classes of colours."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_fsrnet
from learners import SIZES, X4, bound, photos, prior_of

from jaxsr import learned, operators
from jaxsr.nets import fsrnet

COUNTS = {
    "11 parsing maps": (fsrnet.Config(), 3_263_691),
    "Helen's 9 maps and 194 landmarks": (fsrnet.Config(maps=203), 3_288_459),
    "pbc64": (fsrnet.Config(32, 32, 2, 4, hourglasses=1, levels=2, maps=4), 259_236),
}
COLOURS = ((0.1, 0.1, 0.3), (0.6, 0.2, 0.3), (0.9, 0.9, 0.8))
SMALL = fsrnet.Config(4, 6, 1, 2, 2, 2, 3, COLOURS)


def leaves(tree):
    return jax.tree_util.tree_leaves_with_path(tree)


@pytest.mark.parametrize("name", COUNTS)
def test_a_network_has_as_many_parameters_as_the_published_one(name):
    """A layer is missing, or the decoder gets the maps in place of the features."""
    config, count = COUNTS[name]
    shapes = jax.eval_shape(lambda: fsrnet.init(jax.random.key(0), config))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["net"])) == count


@functools.cache
def drawn():
    """Parameters and kept statistics of which none is at its default, and photos."""
    rng = np.random.default_rng(0)
    params = jax.jit(lambda key: fsrnet.init(key, SMALL))(jax.random.key(0))
    params = jax.tree.map(lambda x: np.float32(x + 0.2 * rng.normal(size=x.shape)), params)
    params["statistics"] = jax.tree_util.tree_map_with_path(
        lambda path, x: np.abs(x) + 0.3 if path[-1].key == "var" else x, params["statistics"]
    )
    return params, rng.random((2, 16, 8, 3), np.float32)


def test_a_restored_photo_is_the_slow_ones():
    """A branch goes to another place, or a photo is normalised by itself."""
    params, images = drawn()
    restored = jax.jit(lambda image: fsrnet.restored(SMALL, params, image))
    expected = reference_fsrnet.fsrnet(SMALL, params["net"], params["statistics"], images[:1])[0]
    assert np.std(expected[0]) > 0.1
    np.testing.assert_allclose(restored(images[0]), expected[0], rtol=1e-4, atol=1e-4)


@functools.cache
def staged():
    params, images = drawn()
    return jax.jit(lambda p: fsrnet.stages(SMALL, p, images))(params)


def test_training_sees_the_slow_stages_normalised_by_their_batch():
    """The coarse image or the maps are others than what the next network gets; what is kept is not
    what a photo is normalised by afterwards."""
    params, images = drawn()
    made = staged()
    expected = reference_fsrnet.fsrnet(SMALL, params["net"], None, images)
    for got, wanted in zip(made[:3], expected, strict=True):
        np.testing.assert_allclose(got, np.stack(wanted), rtol=1e-3, atol=1e-3)
    again = jax.jit(jax.vmap(lambda x: fsrnet.restored(SMALL, params | kept, x)))
    kept = {"statistics": made.statistics}
    np.testing.assert_allclose(again(images), made.restored, rtol=1e-3, atol=1e-3)
    assert jax.tree.structure(made.statistics) == jax.tree.structure(params["statistics"])


def test_every_parameter_is_trained_and_no_statistic():
    """A layer is made and not used; or an optimiser moves what the photos tell."""
    params, images = drawn()

    def total(p):
        made = fsrnet.stages(SMALL, p, images)
        return sum(jnp.sum(jnp.cos(x)) for x in made[:3])

    gradients = jax.jit(jax.grad(total))(params)
    for path, gradient in leaves(gradients["net"]):
        # A bias before a normalisation has no say.
        assert np.abs(gradient).max() > 1e-6 or path[-1].key == "bias", path
    assert all(not leaf.any() for leaf in jax.tree.leaves(gradients["statistics"]))


# Classes of colours


def test_a_pixel_is_of_the_class_of_nearest_colour():
    """Maps are those of another class, of single pixels, or shifted by one."""
    image = np.random.default_rng(1).random((8, 6, 3), np.float32)
    maps = np.asarray(fsrnet.parsed(SMALL, image))
    assert maps.shape == (4, 3, 3)
    for i, j in np.ndindex(4, 3):
        mean = image[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].reshape(4, 3).mean(0)
        nearest = np.argmin([np.sum((mean - np.array(colour)) ** 2) for colour in COLOURS])
        np.testing.assert_array_equal(maps[i, j], np.eye(3)[nearest])


def painted(seed=0):
    """Photos uint8 of the three colours in squares of 2 pixels, a little noisy."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (20, 8, 8)).repeat(2, 1).repeat(2, 2)
    noisy = np.array(COLOURS)[labels] + 0.02 * rng.normal(size=(20, 16, 16, 3))
    return np.uint8(np.clip(255 * noisy, 0, 255).round())


def test_classes_are_the_photos_colours_from_dark_to_bright():
    """A resumed run learns other maps, or in another order."""
    blank = fsrnet.Config(4, 6, 1, 2, 2, 2, 3)
    fitted = learned.fitted("fsrnet_style", blank, painted())
    np.testing.assert_allclose(fitted.centres, COLOURS, atol=0.01)
    assert learned.fitted("fsrnet_style", blank, painted()) == fitted
    assert learned.fitted("fsrnet_style", fitted, painted() // 2) == fitted
    assert learned.fitted("rrdb", "any net", painted()) == "any net"


def test_a_network_that_was_not_fitted_guesses_no_maps():
    """Classes of no colour would all be one."""
    with pytest.raises(ValueError, match="expected a network with colours of its classes"):
        fsrnet.parsed(fsrnet.Config(), np.zeros((8, 8, 3), np.float32))


def sized_for(side):
    prior, given = prior_of()
    made = prior._replace(info=prior.info._replace(resolution=side))
    operator = operators.downsample(2, image_shape=(side, side, 3))
    return learned.sized("fsrnet_style", made, given, operator, SIZES)


BAD = {
    "no width": (lambda: fsrnet.Config(width=0), "width must be at least 1, got 0"),
    "no level": (lambda: fsrnet.Config(levels=0), "levels must be at least 1, got 0"),
    "odd": (lambda: fsrnet.Config(parsing_width=5), "parsing_width must be even, got 5"),
    "too few colours": (
        lambda: fsrnet.Config(maps=2, centres=COLOURS),
        "expected an RGB of each of 2 classes",
    ),
    "sides": (lambda: sized_for(12), "expected images whose sides 8 divides, .* of 12x12 px"),
    "sides of another operator": (
        lambda: learned.bind(fsrnet.Config(levels=4), None, X4),
        "sides 32 divides, for hourglasses of 4 levels, got an operator of 16x16 px",
    ),
    "photos of one colour": (
        lambda: learned.fitted("fsrnet_style", fsrnet.Config(), np.full((3, 4, 4, 3), 7, np.uint8)),
        "expected photos of at least 11 colours, for as many classes, got 1",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_is_told(name):
    """It surfaces as an error of a library, long after."""
    make, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        make()


def test_the_network_sees_the_bicubic_enlargement():
    """It sees another image than VDSR does, or the measurement itself."""
    this = bound("fsrnet_style")
    y = X4(jnp.asarray(photos(1)[0], jnp.float32) / 255)
    params = jax.jit(this.model.init)(jax.random.key(0), {})
    restore, restored = jax.jit(this.model.restore), jax.jit(fsrnet.restored, static_argnums=0)
    image, latent = restore(jax.random.key(0), {}, params, y)
    expected = restored(this.model.net, params, jax.image.resize(y, (16, 16, 3), "bicubic"))
    np.testing.assert_allclose(image, expected, atol=1e-5)
    assert latent == {}
