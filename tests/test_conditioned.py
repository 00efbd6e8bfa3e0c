"""Methods for families of operators: each photo by its own operator in one program, and what nobody
knows of an operator found with the photo."""

import functools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from method_cases import SEARCHES, each_search, given, own

import jaxsr
from jaxsr import operators
from jaxsr.methods import METHODS, PULSE, networks, project
from jaxsr.operators import cameras, similarities
from jaxsr.search import Given, conditioned

SHAPE = (16, 16, 3)
FREE = ("blur", "shift", "gain")
# With one code for all layers and no noise the toy prior has 8 numbers, which 192 pixels determine.
DETERMINED = PULSE(steps=400, tile_latent=True, noise="zero", eps=0.0, learning_rate=0.2)
TRUE = {"blur": 0.6, "shift": np.array([0.3, -0.2]), "gain": 0.95}


def pulse(operator: operators.Operator):
    return METHODS["pulse"].make(toy.prior(), operator, DETERMINED)


@functools.cache
def camera_photos() -> tuple[dict, np.ndarray]:
    """The toy's parameters, and photos of images of one code by the TRUE camera."""
    params = toy.params(jax.random.key(0))
    solve = pulse(operators.downsample(2, image_shape=SHAPE))

    def image(key: jax.Array) -> jax.Array:
        variables, context = solve.phases[0].start(key, params, jnp.zeros((8, 8, 3)), None)
        return solve.finish(params, None, variables, context)[0]

    images = jax.vmap(image)(jax.random.split(jax.random.key(5), 2)[1:])
    camera = cameras(2, image_shape=SHAPE, free=FREE).make(TRUE)
    return params, np.asarray(jax.vmap(camera.apply)(images))


@functools.cache
def found_with_its_camera():
    params, ys = camera_photos()
    solve = conditioned(pulse, cameras(2, image_shape=SHAPE, free=FREE))
    return solve, jaxsr.restore(solve, params, ys, progress=False)


def test_the_camera_is_found_with_the_photo():
    """The table's blur, shift and gain are no measurements. Tolerances: 0.01 of a pixel, 0.1 %."""
    _, found = found_with_its_camera()
    camera = found.latent["operator"]
    np.testing.assert_allclose(camera["blur"], [TRUE["blur"]], atol=0.01)
    np.testing.assert_allclose(camera["shift"], [TRUE["shift"]], atol=0.01)
    np.testing.assert_allclose(camera["gain"], [TRUE["gain"]], atol=1e-3)


def test_without_free_parameters_the_photo_is_not_explained():
    """--free buys nothing; or the residual beside it is not that of the parameters at their
    start."""
    params, ys = camera_photos()
    fixed = pulse(operators.downsample(2, image_shape=SHAPE))
    without = jaxsr.restore(fixed, params, ys, progress=False)
    solve, found = found_with_its_camera()
    assert (found.residual < 1e-2 * without.residual).all()
    expected = np.mean((np.asarray(solve.operator(found.image[0])) - ys[0]) ** 2)
    np.testing.assert_allclose(found.latent["residual_at_start"], [expected], rtol=1e-3)
    assert (found.latent["residual_at_start"] > found.residual).all()


def test_the_projection_is_by_the_operator_that_was_found():
    """The last move takes the result back to the camera that the photo was not made by."""
    (solve, found), (_, ys) = found_with_its_camera(), camera_photos()
    far = found._replace(image=found.image + 0.05)
    moved = project(solve, far, ys, 0.0)
    camera = cameras(2, image_shape=SHAPE, free=FREE).make(
        {name: value[0] for name, value in found.latent["operator"].items()}
    )
    inside = np.clip(np.asarray(moved.image[0]), 0, 1)
    # Clipping takes back a little of the move.
    assert np.mean((np.asarray(camera(inside)) - ys[0]) ** 2) < 5e-5
    assert np.mean((np.asarray(solve.operator(inside)) - ys[0]) ** 2) > 1e-4
    assert moved.residual[0] < 5e-5


@pytest.mark.slow
def test_a_family_of_one_restores_as_its_operator():
    """A method that is built as the program runs is another method."""
    params, ys = camera_photos()
    few = {"steps": 30, "noise": "trainable", "eps": 1e-3}
    method = functools.partial(METHODS["pulse"].make, toy.prior(), config=PULSE(**few))
    expected = jaxsr.restore(
        method(operators.downsample(2, image_shape=SHAPE)), params, ys, progress=False
    )
    found = jaxsr.restore(
        conditioned(method, cameras(2, image_shape=SHAPE)), params, ys, progress=False
    )
    np.testing.assert_allclose(found.image, expected.image, atol=2e-3)
    np.testing.assert_allclose(found.residual, expected.residual, rtol=2e-2)


def test_photos_of_one_program_have_an_operator_each():
    """Faces that lie elsewhere in their photos are compiled for anew, or restored where another's
    is. What lies outside of the prior's picture may hold anything finite."""
    prior, params = toy.prior(), toy.params(jax.random.key(0))
    family = similarities(SHAPE, (8, 9, 3))
    matrices = np.array(
        [
            [[0.5, 0, -0.25], [0, 0.5, -0.25]],
            [[0.4, -0.2, 2.0], [0.2, 0.4, -0.5]],
            [[0.3, 0.2, 1.0], [-0.2, 0.3, 3.5]],
        ],
        np.float32,
    )
    thetas = {"matrix": matrices, "seen": np.ones((3, 8, 9), np.float32)}
    image = toy.image(jax.random.key(1), params)
    made = [family.make({name: v[i] for name, v in thetas.items()}) for i in range(3)]
    ys = np.stack([np.asarray(operator(image)) for operator in made])
    seen = [each.onto_range(np.ones((8, 9, 3))) for each in made if each.onto_range]
    outside = np.stack(seen) == 0
    assert outside.any()
    calls = Counter()

    def method(operator):
        calls["made"] += 1
        return METHODS["pulse"].make(prior, operator, PULSE(steps=60, eps=1e-4))

    solve = conditioned(method, family)
    found = jaxsr.restore(
        solve, params, ys[:1], told={"operator": _first(thetas, 1)}, progress=False
    )
    traced = calls["made"]
    found = jaxsr.restore(
        solve,
        params,
        np.where(outside, 0.9, ys).astype(np.float32),
        told={"operator": thetas},
        progress=False,
    )
    assert calls["made"] == traced
    for i, operator in enumerate(made):
        residual = np.mean((np.asarray(operator(found.image[i])) - ys[i]) ** 2)
        np.testing.assert_allclose(found.residual[i], residual, rtol=1e-3)
        others = [np.mean((np.asarray(o(found.image[i])) - ys[i]) ** 2) for o in made]
        assert np.argmin(others) == i
    assert (found.residual < 5e-3).all()


def _first(thetas: dict, n: int) -> dict:
    return {name: value[:n] for name, value in thetas.items()}


@pytest.mark.slow
@each_search
def test_every_search_takes_a_family(name):
    """A method looks at numbers of its operator that are not known yet."""
    on, config = given(), own(SEARCHES[name].config)
    family = cameras(2, image_shape=SHAPE, free=("shift",))
    solve = conditioned(lambda operator: METHODS[name].make(toy.prior(), operator, config), family)
    y = Given(jnp.zeros((8, 8, 3)), family.start)
    found = jax.eval_shape(solve, on.keys[0], on.params[0] | networks(config), y)
    assert found.image.shape == SHAPE
    assert found.latent["operator"]["shift"].shape == (2,)


def test_parameters_of_another_family_are_told():
    """A matrix that nobody reads, or one for all photos of which each has its own."""
    params, ys = camera_photos()
    solve = conditioned(pulse, cameras(2, image_shape=SHAPE, free=FREE))
    for thetas, words in (
        ({"matrix": np.zeros((1, 2, 3))}, "got matrix of"),
        ({"shift": np.zeros(2)}, "got shift of"),
    ):
        with pytest.raises(ValueError, match=words):
            jaxsr.restore(solve, params, ys, told={"operator": thetas})
    fixed = pulse(operators.downsample(2, image_shape=SHAPE))
    with pytest.raises(ValueError, match="which has none, got shift"):
        jaxsr.restore(fixed, params, ys, told={"operator": {"shift": np.zeros((1, 2))}})
