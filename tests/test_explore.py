"""explore: laws that every exploration obeys, over spaces, operators and ways; what it refuses."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from explorations import CASES, SMALL, begin, each_case, found, params, problem

from jaxsr import explore
from jaxsr.explore import Config


@each_case
def test_solutions_are_feasible_and_distinct(case):
    """A residual is not re-measured after the step, an image is of another latent, or two solutions
    look the same."""
    told, start, y, result = found(*case)
    assert len(result.solutions) == 3
    least, images = SMALL["eps"], [result.start_image]
    for solution in result.solutions:
        image = told.draw(params(), start, solution.latent)
        np.testing.assert_allclose(solution.image, image, atol=1e-4)
        np.testing.assert_allclose(
            solution.residual, np.mean((told.operator(image) - y) ** 2), rtol=1e-3, atol=1e-8
        )
        assert 0 < solution.residual <= least * (1 + 1e-5)
        images.append(solution.image)
    apart = np.array([[told.embedding.distance(params(), a, b) for a in images] for b in images])
    assert apart[
        np.triu_indices(4, 1)
    ].min() >= told.config.least_distance * result.geometry.scale.distance * (1 - 1e-4)
    np.testing.assert_allclose([s.distance for s in result.solutions], apart[0, 1:], rtol=1e-3)


@pytest.mark.parametrize("case", [case for case in CASES if case[2] != "curved"], ids="-".join)
def test_a_straight_step_is_the_largest_feasible_one(case):
    """Bisection stops on the wrong side, or far from the bound."""
    told, start, y, result = found(*case)
    longest = told.config.reach * result.geometry.scale.radius
    for solution in result.solutions:
        assert abs(solution.step) <= longest * (1 + 1e-6)
        assert (
            np.sign(solution.step)
            * (solution.path[-1] - solution.path[0])
            @ result.directions.vectors[solution.direction]
            > 0
        )
        if abs(solution.step) < longest * (1 - 1e-6):
            further = solution.path[0] + (solution.path[-1] - solution.path[0]) * (
                1 + 4 / abs(solution.step) * longest / 4 / 2**8
            )
            latent = jax.flatten_util.ravel_pytree(start.latent)[1](
                jnp.asarray(further, jnp.float32)
            )
            assert np.mean((told.measure(params(), start, latent) - y) ** 2) > SMALL["eps"]


@each_case
def test_walks_of_equal_perceptual_distance_are_equally_far(case):
    """A walk stops at another distance, not at the first place that is as far, or its residual is
    of another image."""
    told, start, y, result = found(*case)
    ways, share = explore.Directions(*(field[:2] for field in result.directions)), 0.05
    ends = jax.tree.map(
        lambda x: x[:, 1],
        explore.at_distance(told, params(), start, y, result.geometry, ways, (share / 2, share)),
    )
    distance, reached = share * result.geometry.scale.distance, np.isfinite(ends.step)
    assert reached.any() and len(reached) == 4
    for i in range(4):
        unravel = jax.flatten_util.ravel_pytree(start.latent)[1]
        path = [told.draw(params(), start, unravel(jnp.asarray(p))) for p in ends.path[i]]
        away = np.array([told.embedding.distance(params(), image, path[0]) for image in path])
        assert (away <= distance * 1.02).all()
        assert not reached[i] or abs(away[-1] - distance) <= 0.02 * distance
        np.testing.assert_allclose(ends.image[i], path[-1], atol=1e-4)
        np.testing.assert_allclose(
            ends.residual[i], np.mean((told.operator(path[-1]) - y) ** 2), rtol=1e-3, atol=1e-8
        )


@pytest.mark.parametrize(("operator", "share"), [("downsample", 0.1), ("mask", 0.02)])
def test_a_curved_walk_changes_the_measurement_less(operator, share):
    """A turn of the walk does not lead back to the measurement, or not to where the picture
    changes."""
    ends = {}
    for way in ("vk", "curved"):
        told, start, y, result = found("w_plus", operator, way)
        ways = explore.Directions(*(field[:2] for field in result.directions))
        ends[way] = explore.at_distance(told, params(), start, y, result.geometry, ways, (share,))
        assert np.isfinite(ends[way].step).sum() >= 3
    residuals = {
        way: np.median(found.residual[np.isfinite(found.step)]) for way, found in ends.items()
    }
    assert residuals["curved"] < 0.7 * residuals["vk"]


@each_case
def test_all_directions_and_parameters_are_one_program(case):
    """Another prior, measurement or bound compiles the walks again."""
    told, *_ = found(*case)
    before = explore.ends._cache_size()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = explore.explore(told, params(1), *begin(told, 1), seed=3)
    assert explore.ends._cache_size() == before
    assert np.abs(again.start_image - found(*case)[3].start_image).max() > 1e-2


def test_spectra_belong_to_the_start():
    """U and V are not eigenvectors of the metrics at z0, or the coupling is transposed."""
    told, start, _, result = found("z", "downsample", "algorithm1")
    jacobian = np.asarray(
        jax.jacobian(lambda z: told.measure(params(), start, z))(start.latent), np.float64
    ).reshape(-1, toy.DIM)
    u, v = result.geometry.measurement, result.geometry.perceptual
    np.testing.assert_allclose(u.vectors * u.values @ u.vectors.T, jacobian.T @ jacobian, atol=1e-5)
    np.testing.assert_allclose(
        result.geometry.coupling[1, 2], u.vectors[:, 1] @ v.vectors[:, 2], atol=1e-12
    )
    np.testing.assert_allclose(
        result.geometry.seen, v.vectors.T @ jacobian.T @ jacobian @ v.vectors, atol=1e-5
    )
    k = result.geometry.relevant
    assert u.values[:k].sum() >= 0.9 * u.trace > u.values[: k - 1].sum()


def test_matrix_free_spectra_are_the_dense_ones():
    """Large latents get other eigenvectors than small ones."""
    told, start, _, result = found("w_plus", "grey", "generalized")
    config = dataclasses.replace(told.config, dense_limit=8, rank=12)
    free = explore.geometry(explore.problem(toy.prior(), told.operator, config), params(), start)
    for one, other in (
        (free.measurement, result.geometry.measurement),
        (free.perceptual, result.geometry.perceptual),
    ):
        np.testing.assert_allclose(one.values[:12], other.values[:12], rtol=1e-4)
        np.testing.assert_allclose(one.trace, other.trace, rtol=0.1)
    assert free.perceptual.vectors.shape == (48, 12)
    # More pairs of H_Y than the rank, until they hold the energy.
    assert free.relevant == result.geometry.relevant > 12
    np.testing.assert_allclose(
        np.diag(free.seen), np.diag(result.geometry.seen)[:12], rtol=1e-2, atol=1e-4
    )


# What an exploration refuses, and what it keeps


def test_a_start_that_is_no_solution_is_refused_unless_forced():
    told, start, y, _ = found("z", "downsample", "algorithm1")
    with pytest.raises(
        ValueError, match=r"the start is no solution: its residual 0\.01 is above eps 0\.004; force"
    ) as raised:
        explore.explore(told, params(), start, y + 0.1)
    assert "\n" not in str(raised.value)
    result = explore.explore(told, params(), start, y + 0.1, force=True)
    assert all(0 < s.residual <= result.start_residual * (1 + 1e-5) for s in result.solutions)


def test_too_few_solutions_are_a_warning_and_kept():
    told = problem("z", "downsample", "algorithm1")
    greedy = explore.problem(
        toy.prior(), told.operator, dataclasses.replace(told.config, num_solutions=500)
    )
    with pytest.warns(UserWarning, match=r"^\d+ solutions of 500 asked for: of \d+ walks"):
        result = explore.explore(greedy, params(), *begin(greedy))
    assert len(result.solutions) >= 3
    assert (
        result.tried
        == len(result.solutions) + sum(result.rejected.values())
        == 2 * len(result.directions.vectors)
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [(np.nan, "expected a finite Hessian"), (0.0, "expected a Hessian of rank 1")],
)
def test_bad_hessians_say_which(value, message):
    told, start, *_ = found("z", "downsample", "algorithm1")
    broken = params() | {"synthesis": jax.tree.map(lambda x: x * value, params()["synthesis"])}
    with pytest.raises(ValueError, match=f"the measurement's metric H_Y: {message}"):
        explore.geometry(told, broken, start)


BAD = [
    ({"space": "w"}, {"map": None}, "space w needs a prior with a w space: 'toy' has none"),
    (
        {"way": "vK"},
        {},
        "way must be one of vk, algorithm1, closed_form, generalized, curved, got 'vK'",
    ),
    ({"eps": 0.0}, {}, "eps must be a number above 0, got 0.0"),
    ({"energy": 1.5}, {}, "energy must be at most 1, got 1.5"),
    ({"threshold": 1.0}, {}, "threshold must be below 1, got 1.0"),
    ({"least_distance": -1.0}, {}, "least_distance must be a number of at least 0, got -1.0"),
    ({"num_solutions": 2.5}, {}, "num_solutions must be an int, got 2.5"),
    ({"num_solutions": 0}, {}, "num_solutions must be a number of at least 1, got 0"),
    ({"reach": float("nan")}, {}, "reach must be a number above 0, got nan"),
]


@pytest.mark.parametrize(("settings", "changes", "message"), BAD)
def test_bad_settings(settings, changes, message):
    with pytest.raises(ValueError, match=message):
        explore.problem(toy.prior()._replace(**changes), toy.operator(), Config(**settings))


def test_the_name_of_the_metric_is_told():
    assert found("z", "downsample", "algorithm1")[3].perceptual == "discriminator"
    assert (
        explore.problem(toy.prior(), toy.operator(), Config(perceptual="features")).embedding.name
        == "features pbc64"
    )
