"""explore.start: what a method returned becomes a point of the space, with the weights that the
method tuned."""

import jax
import numpy as np
import pytest
import toy
import toy_z
from exploration.first import space_of
from explorations import params
from method_cases import SEARCHES, given, own, solve_of

from jaxsr import explore, loading, operators, priors
from jaxsr.explore import Config, Start
from jaxsr.methods import IAGAN, METHODS, setups
from jaxsr.methods.auto import soonest
from jaxsr.search import Solve, restore, restore_tuned

LATENTS = [
    ("z", {"w_plus": np.zeros((6, 8))}, "space z starts from z, but the method returned w_plus"),
    (
        "w_plus",
        {"styles": 0},
        "space w_plus starts from w_plus or z, but the method returned styles",
    ),
    (
        "z",
        {"z": np.zeros((4, 8)), "alpha": 0},
        r"space z starts from one z \(8,\), but the method returned \(4, 8\)",
    ),
]


@pytest.mark.parametrize(("space", "latent", "message"), LATENTS)
def test_latents_that_are_no_point_of_the_space(space, latent, message):
    """mGANprior's several codes, or w+ where z is explored."""
    with pytest.raises(ValueError, match=message):
        explore.start(toy.prior(), space, params(), latent)


def test_a_start_in_each_space_draws_the_same_image():
    """z, its w, w+ and w+ with the noise maps are one solution; so are a w+ and the w with each
    layer's difference from it."""
    latent = {"z": toy._sample(jax.random.key(7), None)}
    # Which the toy lacks: test_styles_are_explored.
    for space in [name for name in explore.SPACES if name != "styles"]:
        told = explore.problem(
            toy.prior(), toy.operator(), Config(space=space, perceptual="discriminator")
        )
        start: Start = explore.start(toy.prior(), space, params(), latent)
        np.testing.assert_allclose(
            told.draw(params(), start, start.latent), toy._decode(params(), latent["z"]), atol=1e-5
        )


def test_a_w_plus_is_explored_in_w_by_moving_all_layers_alike():
    """LAREN's and PULSE's solutions would be lost in W, or explored around another image."""
    prior, told = (
        toy.prior(),
        explore.problem(toy.prior(), toy.operator(), Config(space="w", perceptual="discriminator")),
    )
    w_plus = jax.random.normal(jax.random.key(3), (prior.info.num_layers, prior.info.w_dim))
    start = explore.start(prior, "w", params(), {"w_plus": w_plus})
    assert start.latent.shape == (prior.info.w_dim,)
    noise = prior.noise("const", params())
    for step in (0.0, jax.random.normal(jax.random.key(4), start.latent.shape)):
        expected = prior.synthesize(params(), w_plus + step, noise)
        np.testing.assert_allclose(
            told.draw(params(), start, start.latent + step), expected, atol=1e-5
        )
    plain = explore.start(prior, "w", params(), {"w_plus": priors.tile(prior, start.latent)})
    scales = [explore.geometry(told, params(), point).scale for point in (start, plain)]
    # Of the prior's own pictures, whatever is explored.
    np.testing.assert_allclose(*scales, rtol=1e-5)


# The weights that a method tunes


# Methods whose image comes from weights of the photo's own.
TUNED = [name for name in SEARCHES if solve_of(name).tuned is not Solve.tuned]


def drawn(tuned, latent):
    """The image of a method's latent as an exploration draws it."""
    space = "z" if "z" in latent else "w_plus"
    told = explore.problem(
        toy.prior(), toy.operator(), Config(space=space, perceptual="discriminator")
    )
    start = explore.start(toy.prior(), space, tuned, latent)
    return told.draw(tuned, start, start.latent)


@pytest.mark.parametrize("name", TUNED)
def test_tuned_weights_draw_the_methods_image(name):
    """`Solve.tuned` leaves out weights that `finish` draws with; params get other ones at the start
    of the last phase."""
    on = given()
    weights, y, previous = on.params[0], on.ys[0], None
    solve = METHODS[name].make(toy.prior(), toy.operator(), own(SEARCHES[name].config))
    for phase in solve.phases:
        previous = phase.start(jax.random.key(4), weights, y, previous)
    variables, context = previous
    moved = jax.tree.map(lambda x: 1.1 * x, variables)
    image, latent = solve.finish(weights, y, moved, context)
    np.testing.assert_allclose(drawn(weights | solve.tuned(moved), latent), image, atol=1e-5)
    assert np.abs(drawn(weights, latent) - image).max() > 1e-3


def test_one_photo_with_its_weights_is_that_photo_among_others():
    """`restore_tuned` restores another image than `restore`, or its weights are not those of the
    best iterate."""
    y = np.asarray(toy.operator()(toy.image(jax.random.key(1), params())))
    solve = METHODS["iagan"].make(
        toy.prior(), toy.operator(), IAGAN(steps=2, starts=2, refine_steps=3, back_projection=False)
    )
    result, tuned = restore_tuned(solve, params(), y, seed=4, progress=False)
    np.testing.assert_array_equal(
        result.image, restore(solve, params(), y[None], seed=4, progress=False).image[0]
    )
    np.testing.assert_allclose(drawn(tuned, result.latent), result.image, atol=1e-5)


# What explore.py starts with


def test_the_default_start_suits_prior_and_operator():
    """LAREN is chosen for a prior whose weights it was not trained with, or another operator; or a
    method is chosen that the prior has not what it needs for."""
    prior, weights = loading.load_prior("pbc64")
    x8, x4 = (operators.make("downsample", 64, factor=factor) for factor in (8, 4))
    assert soonest(prior, weights, x8).method == "laren"
    assert soonest(prior, weights, x4).method == "pulse"
    assert soonest(prior, weights, operators.make("inpainting", 64)).method == "pulse"
    assert soonest(prior, weights, x8, space="z").method == "iagan"
    mapping = jax.tree.map(lambda leaf: leaf + 1, weights["mapping"])
    assert soonest(prior, weights | {"mapping": mapping}, x8).method == "pulse"
    bare = {name: tree for name, tree in weights.items() if name != "statistics"}
    assert soonest(prior, bare, x4).method == "iagan"


@pytest.mark.parametrize("name", toy_z.NETS)
def test_the_default_start_of_a_prior_without_w_is_a_z(name):
    """explore.py has no default on PGGAN and BigGAN, or one whose latent is no point of z."""
    prior, weights = toy_z.made(name)
    operator = toy_z.operator_of(prior)
    method, preset, why = soonest(prior, weights, operator)
    assert why
    setup = setups.Setup(method, preset, smoke=True)
    solve, weights = setups.make_solve(prior, weights, operator, setup)
    space, size = space_of(prior, solve, weights, method, None)
    latent = prior.sample(jax.random.key(0), weights)
    assert (space, size) == ("z", latent.size)
