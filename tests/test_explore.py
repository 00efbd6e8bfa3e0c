"""explore: laws that every exploration obeys, over spaces, operators and ways; directions against
independent linear algebra."""

import dataclasses
import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import toy

from jaxsr import explore, metrics, operators
from jaxsr.explore import Config, Scale
from jaxsr.explore.pullback import Spectrum
from jaxsr.nets import biggan, pggan, stylegan1, stylegan2

SHAPE = (toy.RESOLUTION, toy.RESOLUTION, 3)
SEEN = np.ones(SHAPE[:2])
SEEN[4:12, 4:12] = 0
OPERATORS = {
    "downsample": lambda: toy.operator(8),
    "mask": lambda: operators.mask(SEEN, SHAPE),
    "grey": lambda: operators.grey(SHAPE),
    "blur": lambda: operators.motion_blur(5, 45.0, image_shape=SHAPE),
    "compressed": lambda: operators.compressed_sensing(jax.random.key(5), 20, SHAPE),
}
SMALL = {
    "perceptual": "discriminator",
    "num_solutions": 3,
    "steps": 4,
    "bisections": 8,
    "chunk": 4,
    "energy": 0.9,
    "eps": 4e-3,
}
SMALL |= {"dense_limit": 256, "rank": 16}  # the latent with noise maps, of 704, is matrix-free
CASES = [
    ("z", "downsample", "algorithm1"),
    ("w", "mask", "vk"),
    ("w_plus", "grey", "generalized"),
    ("w_plus_noise", "blur", "closed_form"),
    ("w_plus", "compressed", "curved"),
]


@functools.cache
def params(seed=0):
    return jax.jit(functools.partial(toy.params, flow=False))(jax.random.key(seed))


@functools.cache
def problem(space, operator, way):
    return explore.problem(
        toy.prior(), OPERATORS[operator](), Config(space=space, way=way, **SMALL)
    )


def begin(told, seed=0):
    """A start and a measurement that it explains exactly."""
    latent = {
        "z": toy._sample(jax.random.key(7), None),
        "noise": toy._random_noise(jax.random.key(8)),
    }
    start = explore.start(toy.prior(), told.config.space, params(seed), latent)
    return start, told.measure(params(seed), start, start.latent)


@functools.cache
def found(space, operator, way):
    told = problem(space, operator, way)
    return told, *begin(told), explore.explore(told, params(), *begin(told))


each_case = pytest.mark.parametrize("case", CASES, ids="-".join)


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


# Any prior, by z alone


SMALL_Z = {
    "way": "generalized",
    "num_solutions": 1,
    "steps": 3,
    "bisections": 4,
    "chunk": 4,
    "perceptual": "features",
}
SMALL_NETS = {
    "pggan": (pggan, pggan.Config(resolution=16, z_dim=8, channels=(8, 8, 6), hidden=9)),
    "biggan": (
        biggan,
        biggan.Config(channels=(8, 8, 6), attention=0, z_dim=12, z_part=4, shared_dim=4, classes=3),
    ),
}


@pytest.mark.parametrize("name", SMALL_NETS)
def test_priors_without_w_are_explored_in_z(name):
    """A prior whose latent is no w, or holds the vector of its class besides z, has no metric or no
    solutions."""
    module, net = SMALL_NETS[name]
    prior, params = (
        getattr(module, name)(net),
        jax.jit(module.init, static_argnums=1)(jax.random.key(0), net),
    )
    params, side = params | metrics.load_embedding("features"), prior.info.resolution
    told = explore.problem(
        prior, operators.downsample(side // 4, image_shape=(side, side, 3)), Config(**SMALL_Z)
    )
    latent = prior.sample(jax.random.key(1), params)
    start = explore.start(prior, "z", params, {"z": latent})
    result = explore.explore(told, params, start, told.measure(params, start, start.latent))
    assert len(result.solutions) == 1
    assert result.geometry.perceptual.vectors.shape == (latent.size, latent.size)
    with pytest.raises(ValueError, match="needs a prior with a w space"):
        explore.start(prior, "w", params, {"z": latent})


@pytest.mark.parametrize(
    "module", [stylegan1, stylegan2], ids=lambda module: module.__name__.rsplit(".")[-1]
)
def test_styles_are_explored(module):
    """The space of one number a modulated channel draws another image than the first solution, or
    walks nowhere."""
    net = module.Config(resolution=8, z_dim=6, w_dim=6, mapping_layers=2, channels=(6, 5))
    prior, params = (
        getattr(module, module.__name__.rsplit(".")[-1])(net),
        jax.jit(module.init, static_argnums=1)(jax.random.key(0), net),
    )
    params = params | metrics.load_embedding("features")
    told = explore.problem(
        prior, operators.downsample(4, image_shape=(8, 8, 3)), Config(space="styles", **SMALL_Z)
    )
    w_plus = jax.random.normal(jax.random.key(1), (prior.info.num_layers, 6))
    start = explore.start(prior, "styles", params, {"w_plus": w_plus})
    expected = prior.synthesize(params, w_plus, prior.noise("const", params))
    np.testing.assert_allclose(told.draw(params, start, start.latent), expected, atol=1e-5)
    result = explore.explore(told, params, start, told.measure(params, start, start.latent))
    assert len(result.solutions) == 1
    with pytest.raises(ValueError, match="needs a prior with modulations"):
        explore.problem(prior._replace(styles=None), told.operator, told.config)


# Directions


def orthonormal(seed, size=24):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))[0]


def random_geometry(seed, k=10):
    decay = 0.7 ** np.arange(24)
    u, v = (
        Spectrum(decay * scale, orthonormal(seed + i), decay.sum() * scale)
        for i, scale in enumerate((3.0, 1.0))
    )
    seen = v.vectors.T @ (u.vectors * u.values @ u.vectors.T) @ v.vectors
    return explore.Geometry(u, v, u.vectors.T @ v.vectors, seen, k, Scale(1.0, 1.0), 0.01)


@pytest.mark.parametrize("seed", range(5))
def test_algorithm1_without_threshold_is_the_closed_form(seed):
    """The loop over orthonormal vectors is not the projection onto their complement."""
    top, v = orthonormal(seed)[:, :9], orthonormal(seed + 50)[:, 3]
    closed = explore.closed_form(v, top)
    np.testing.assert_allclose(
        explore.algorithm1(v, top, 0.0), closed / np.linalg.norm(closed), atol=1e-12
    )
    np.testing.assert_allclose(closed, (np.eye(24) - top @ top.T) @ v, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_algorithm1_leaves_no_correlation_above_its_threshold(seed):
    """One pass is taken for enough, or correlations that may stay are removed."""
    top, v = orthonormal(seed)[:, :9], orthonormal(seed + 50)[:, 3]
    d = explore.algorithm1(v, top, 0.2)
    assert np.abs(top.T @ d).max() <= 0.2
    np.testing.assert_allclose(np.linalg.norm(d), 1.0, rtol=1e-12)
    small = np.abs(top.T @ d) > 1e-12
    assert (np.abs(top.T @ v)[small] <= 0.2).all()


def test_generalized_directions_are_scipys():
    """Cholesky's factor is transposed or the order reversed."""
    geometry = random_geometry(0)
    h_x, h_y = (
        s.vectors * s.values @ s.vectors.T for s in (geometry.perceptual, geometry.measurement)
    )
    mu, vectors = explore.generalized(h_x, h_y, 0.01)
    expected, theirs = scipy.linalg.eigh(h_x, h_y + 0.01 * np.eye(24))
    np.testing.assert_allclose(mu, expected[::-1], rtol=1e-8)
    cosines = np.abs(np.sum(vectors * (theirs / np.linalg.norm(theirs, axis=0))[:, ::-1], 0))
    np.testing.assert_allclose(cosines[:12], 1.0, rtol=1e-8)
    ways = explore.directions(told_way("generalized"), geometry)
    np.testing.assert_allclose(
        np.abs(np.sum(ways.vectors.T[:, :12] * vectors[:, :12], 0)), 1.0, rtol=1e-8
    )


def told_way(way, **changes):
    return explore.problem(
        toy.prior(), toy.operator(8), Config(way=way, perceptual="discriminator", **changes)
    )


@pytest.mark.parametrize("way", ["vk", "algorithm1", "closed_form", "curved"])
def test_skipped_directions_are_those_that_retain_little(way):
    """A K is skipped that should not be, K is counted from 0, or a direction is not of unit
    length."""
    geometry = random_geometry(0)
    ways = explore.directions(told_way(way, least_retained=0.7), geometry)
    top = geometry.measurement.vectors[:, :10]
    retained = np.linalg.norm(
        geometry.perceptual.vectors - top @ (top.T @ geometry.perceptual.vectors), axis=0
    )
    np.testing.assert_array_equal(ways.index, np.flatnonzero(retained >= 0.7) + 1)
    np.testing.assert_allclose(ways.retained, retained[retained >= 0.7])
    np.testing.assert_allclose(np.linalg.norm(ways.vectors, axis=1), 1.0)
    with pytest.raises(ValueError, match="no direction keeps 1 of its norm outside the 10"):
        explore.directions(told_way(way, least_retained=1.0), geometry)


def test_ways_differ_in_how_much_of_the_measurement_they_see():
    """Generalised directions see more than the closed form allows, or raw eigenvectors less than
    projected ones."""
    geometry = random_geometry(3)
    h_y = (
        geometry.measurement.vectors * geometry.measurement.values @ geometry.measurement.vectors.T
    )

    def seen(way):
        return np.mean(
            [d @ h_y @ d for d in explore.directions(told_way(way), geometry).vectors[:4]]
        )

    assert seen("closed_form") <= seen("algorithm1") < seen("vk")


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
