"""Results moved to explain their measurement as far as its noise allows: the damped inverses of all
operators, and what is made of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from method_cases import SEARCHES, case, given, own
from operator_table import SHAPE, TABLE, dense, draw, rows

import jaxsr
from jaxsr import operators
from jaxsr.methods import METHODS, consistent, project, trusted

DAMPED = pytest.mark.parametrize("damping", [1e-3, 0.1, 10.0])
FLAT = ("identity", "downsample 4 box", "inpainting", "grey", "compressed_sensing")
flat = pytest.mark.parametrize("operator", [TABLE[name][0] for name in FLAT], ids=FLAT)


@DAMPED
@rows
def test_damped_inverse_is_the_mean_of_the_posterior(operator, tolerance, damping):
    """Noise is amplified, or nothing is explained. The reference is the covariance form of the
    Gaussian posterior, with x ~ N(0, I) and noise of variance lambda, in dense float64."""
    matrix, y = dense(operator), draw(0, operator.measurement_shape)
    precision = np.eye(matrix.shape[1]) + matrix.T @ matrix / damping
    expected = np.linalg.solve(precision, matrix.T @ y.reshape(-1) / damping)
    found = np.asarray(operator.damped(y, damping)).reshape(-1)
    np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())


@rows
def test_damped_inverse_without_damping_is_the_pseudo_inverse(operator, tolerance):
    """`--consistency=exact` is no limit of auto."""
    y = operator(draw(1, operator.image_shape))
    expected = operator.pinv(y)
    for damping, close in ((0.0, 1e-6), (1e-7, 1e-2)):
        np.testing.assert_allclose(
            operator(operator.damped(y, damping)),
            operator(expected),
            atol=close * float(jnp.abs(y).max()),
        )


@rows
def test_damped_inverse_under_jit_and_vmap_equals_a_loop(operator, tolerance):
    """Each photo has a lambda of its own, which no program may be compiled for."""
    ys = jnp.stack([draw(seed, operator.measurement_shape) for seed in (2, 3)])
    dampings = jnp.array([0.01, 1.0])
    expected = jnp.stack([operator.damped(*each) for each in zip(ys, dampings, strict=True)])
    np.testing.assert_allclose(
        jax.jit(jax.vmap(operator.damped))(ys, dampings),
        expected,
        atol=2e-5 * float(jnp.abs(expected).max()),
    )


@pytest.mark.parametrize("name", ["downsample 2 bicubic", "inpainting", "grey", "compose"])
def test_derivatives_of_the_damped_inverse(name):
    """A search that looks at a moved image goes another way than downhill."""
    operator, damping = TABLE[name][0], 0.3
    y, cotangent = draw(4, operator.measurement_shape), draw(5, operator.image_shape)
    matrix = dense(operator)
    inverse = np.linalg.inv(matrix @ matrix.T + damping * np.eye(len(matrix)))
    of_y, of_damping = jax.grad(
        lambda y, damping: jnp.vdot(operator.damped(y, damping), cotangent), (0, 1)
    )(jnp.asarray(y), jnp.float32(damping))
    expected = inverse @ matrix @ cotangent.reshape(-1)
    np.testing.assert_allclose(of_y.reshape(-1), expected, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(of_damping, -expected @ inverse @ y.reshape(-1), rtol=1e-3)


def test_damped_inverse_refuses_other_shapes():
    """A lambda for each value would broadcast silently into another formula."""
    operator = TABLE["grey"][0]
    with pytest.raises(ValueError, match=r"grey, damped: expected an array of shape \(12, 8, 1\)"):
        operator.damped(np.zeros((8, 12, 1), np.float32), 0.1)
    with pytest.raises(ValueError, match=r"grey, damped, lambda: .* shape \(\), got \(3,\)"):
        operator.damped(np.zeros((12, 8, 1), np.float32), np.zeros(3, np.float32))


def _mean_square(operator: operators.Operator, residual: jax.Array) -> float:
    """Of the numbers that are measured."""
    seen = np.ones(operator.measurement_shape, np.float32)
    seen = seen if operator.onto_range is None else operator.onto_range(seen)
    return float(jnp.sum(residual**2) / jnp.sum(seen))


@flat
def test_the_residual_is_brought_down_to_the_noise(operator):
    """The discrepancy principle: the residual of the truth is the noise's, which a hidden pixel has
    no part in; and what is not seen stays."""
    x, y = draw(6, SHAPE), operator(draw(7, SHAPE))
    before = np.sqrt(_mean_square(operator, y - operator(x)))
    for share in (0.1, 0.5, 0.9):
        moved = consistent(operator, x, y, share * before)
        after = np.sqrt(_mean_square(operator, y - operator(moved)))
        np.testing.assert_allclose(after, share * before, rtol=0.1)
        step = moved - x
        np.testing.assert_allclose(operator.pinv(operator(step)), step, atol=1e-4)


@rows
def test_an_image_that_explains_as_well_as_the_noise_allows_stays(operator, tolerance):
    """The noise of a photo is fitted, or a result turns to NaN."""
    x, y = draw(8, operator.image_shape), operator(draw(9, operator.image_shape))
    level = np.sqrt(_mean_square(operator, y - operator(x)))
    for noise in (1.001 * level, 10 * level, np.inf):
        np.testing.assert_array_equal(consistent(operator, x, y, noise), x)
    assert np.abs(consistent(operator, x, y, 0.99 * level) - x).max() > 0
    np.testing.assert_array_equal(consistent(operator, x, operator(x), 0.0), x)


NOISY = [name for name in TABLE if "bicubic" not in name and "boundary" not in name]


@pytest.mark.parametrize("name", NOISY)
def test_auto_is_nearer_to_the_truth_than_none_and_exact(name):
    """What is chosen from the noise is no better than a fixed choice. Prior and noise as assumed:
    white; over many draws."""
    operator = TABLE[name][0]

    def errors(key: jax.Array, noise: float) -> jax.Array:
        of_truth, of_noise = jax.random.split(key)
        truth = jax.random.normal(of_truth, operator.image_shape)
        y = operator(truth) + noise * jax.random.normal(of_noise, operator.measurement_shape)
        y = y if operator.onto_range is None else operator.onto_range(y)
        start = jnp.zeros(operator.image_shape)
        images = [consistent(operator, start, y, level) for level in (jnp.inf, 0.0, noise)]
        return jnp.stack([jnp.mean((image - truth) ** 2) for image in images])

    level = float(jnp.sqrt(jnp.mean(operator(jax.random.normal(jax.random.key(0), SHAPE)) ** 2)))
    keys = jax.random.split(jax.random.key(1), 10)
    none, exact, auto = jax.jit(jax.vmap(errors, (0, None)))(keys, 1.2 * level).mean(0)
    assert auto < none and auto < exact


@pytest.mark.parametrize(
    ("name", "what"),
    [("pulse", "downsample"), ("rls_plus", "downsample"), ("iagan", "inpainting")],
)
def test_project_moves_results_of_searches(name, what):
    """--consistency=exact leaves a residual, or moves the image where the measurement does not
    look; the residual of the search is lost; none changes a result."""
    operator = toy.operator() if what == "downsample" else operators.make(what, 16)
    solve = METHODS[name].make(toy.prior(), operator, own(SEARCHES[name].config))
    params = given().params[0]
    ys = 0.2 + 0.6 * np.asarray(operator(toy.image(jax.random.key(4), params)))[None]
    plain = jaxsr.restore(solve, params, ys, progress=False, batch_size=1)
    as_found = project(solve, plain, ys, [trusted("none", 0.1)])
    np.testing.assert_array_equal(as_found.image, plain.image)
    assert "residual_before" not in as_found.latent
    moved = project(solve, plain, ys, [trusted("exact", 0.1)])
    np.testing.assert_array_equal(moved.latent["residual_before"], plain.residual)
    np.testing.assert_allclose(
        operator(jnp.asarray(moved.image[0])),
        operator.onto_range(ys[0]) if what == "inpainting" else ys[0],
        atol=1e-4,
    )
    step = moved.image[0] - plain.image[0]
    np.testing.assert_allclose(operator.pinv(operator(step)), step, atol=1e-3)
    noise = 0.5 * float(np.sqrt(plain.residual[0]))
    between = project(solve, plain, ys, [trusted("auto", noise)])
    norms = [np.linalg.norm(each.image - plain.image) for each in (as_found, between, moved)]
    assert norms[0] < norms[1] < norms[2]


def test_feasible_is_the_image_that_is_written():
    """An image out of [0, 1] explains the photo, but not its file, which is clipped; or one that no
    search found, its loss never finite, passes for a solution."""
    found, operator = case("pulse"), toy.operator()
    results = jax.tree.map(lambda leaf: np.asarray(leaf), found.results[0])
    lone = jax.tree.map(lambda leaf: leaf[:1], results)
    white = lone._replace(image=np.full_like(lone.image, 1.5))
    ys = np.asarray(operator(white.image[0]))[None]
    as_written = project(found.solve, white, ys, [0.0])
    np.testing.assert_allclose(as_written.residual, 0.25, rtol=1e-3)
    assert not as_written.feasible[0]
    ys = np.asarray(operator(np.full_like(lone.image[0], 0.5)))[None]
    assert project(found.solve, lone, ys, [0.0]).feasible[0]
    lost = lone._replace(trace={"loss": np.full_like(lone.trace["loss"], np.nan)})
    assert not project(found.solve, lost, ys, [0.0]).feasible[0]


def test_a_photo_is_moved_alike_whatever_its_neighbours():
    """The same photo gives another file in another batch; or the noises go to other photos."""
    found = case("pulse")
    results, ys = jax.tree.map(np.asarray, found.results[0]), np.asarray(given().ys)
    noises = [0.0, 1e-3, np.inf]
    together = project(found.solve, results, ys, noises)
    for i, noise in enumerate(noises):
        one = jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], results)
        alone = project(found.solve, one, ys[i : i + 1], [noise])
        np.testing.assert_array_equal(alone.image[0], together.image[i])
    np.testing.assert_array_equal(together.image[2], results.image[2])
    for wrong in ([0.0], [0.0, 0.0, -1.0], [0.0, 0.0, np.nan]):
        with pytest.raises(ValueError, match="a noise of at least 0 for each of 3 results"):
            project(found.solve, results, ys, wrong)
