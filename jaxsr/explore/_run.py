"""The exploration itself: directions walked both ways in batches until there are enough distinct
feasible solutions."""

import functools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxsr.explore import _walks
from jaxsr.explore._directions import Directions, directions
from jaxsr.explore._pictures import drawn, embed, residual
from jaxsr.explore._problem import SPACES, Config, Problem, Start
from jaxsr.explore._spectra import Geometry, geometry, most_pairs
from jaxsr.explore._walks import Ends, Rays, Walk, ends
from jaxsr.explore.pullback import uncommitted
from jaxsr.metrics.embedding import squared_distance
from jaxsr.types import Latent, Measurement, Params

Verdict = Literal["solution", "duplicate", "infeasible"]


class Candidate(NamedTuple):
    """The end of one walk.

    Attributes:
        verdict: "solution"; "duplicate", too near the start or a solution before it; "infeasible",
            no step keeps the measurement.
        image: [H, W, 3], not clipped.
        latent: in the space explored.
        path: [steps + 1, d], the walk from z0.
        direction: row of `Directions`.
        index: its K.
        retained: see `Directions`.
        step: eta, length of the walk, negative against the direction.
        residual: mean squared A(image) - y, measured after the step.
        distance: perceptual distance to the start's image.
        nearest: perceptual distance to the nearest solution before it, or to the start.
    """

    verdict: Verdict
    image: np.ndarray
    latent: Latent
    path: np.ndarray
    direction: int
    index: int
    retained: float
    step: float
    residual: float
    distance: float
    nearest: float


class Exploration(NamedTuple):
    """What `explore` found.

    Attributes:
        start_image: [H, W, 3], G(z0); start_residual: its residual.
        solutions: the feasible, distinct ends, in the order they were found; at most
            `Config.num_solutions`.
        tried: walks made; verdicts of those that are no solutions are in `rejected`: name -> how
            many.
        geometry: both spectra and their coupling.
        directions: that were available.
        perceptual: name of the perceptual metric.
    """

    start_image: np.ndarray
    start_residual: float
    solutions: list[Candidate]
    tried: int
    rejected: dict[str, int]
    geometry: Geometry
    directions: Directions
    perceptual: str


def explore(
    problem: Problem,
    params: Params,
    start: Start,
    y: Measurement,
    *,
    seed: int = 0,
    force: bool = False,
) -> Exploration:
    """Other solutions of a measurement, from one (Montanaro et al., Algorithm 1 and section 4).

    Args:
        problem: space, operator, perceptual metric and settings.
        params: of the prior, with the weights tuned for the photo if the first solution has any,
            and `metrics.load_embedding`'s.
        start: the first solution.
        y: the measurement.
        seed: of the Krylov method and the measured scale of the space; the walks draw no random
            numbers.
        force: explore around a start that is no solution; then what has no larger residual than the
            start counts as feasible.

    Raises:
        ValueError: a start with a residual above `Config.eps` and not `force`, a Hessian that is
            not finite or is zero, or no direction that keeps the measurement. Fewer solutions than
            asked for are a warning.
    """
    y = jnp.asarray(y)
    bound = checked_bound(problem, params, start, y, force=force)
    found = geometry(problem, params, start, seed=seed)
    ways = directions(problem, found)
    made = list(candidates(problem, params, start, y, found, ways, bound=bound))
    solutions = [candidate for candidate in made if candidate.verdict == "solution"]
    told = shortage(problem, made, bound)
    if told:
        warnings.warn(told, stacklevel=2)
    rejected = {name: sum(c.verdict == name for c in made) for name in ("duplicate", "infeasible")}
    image = drawn(problem, params, start)
    first = float(residual(problem, params, start, y))
    return Exploration(
        image, first, solutions, len(made), rejected, found, ways, problem.embedding.name
    )


def checked_bound(
    problem: Problem, params: Params, start: Start, y: Measurement, *, force: bool
) -> float:
    """The largest residual that counts as feasible: `Config.eps`, or with `force` that of the start
    if it is larger.

    Raises:
        ValueError: y has another shape or values of 8 bits; a start of another space; params
            without the perceptual metric's; the start's residual is not finite, or above eps and
            not `force`.
    """
    _check_inputs(problem, params, start, y)
    if tuple(y.shape) != tuple(problem.operator.measurement_shape):
        raise ValueError(
            f"y has shape {tuple(y.shape)}, but the operator measures "
            f"{tuple(problem.operator.measurement_shape)}"
        )
    first, eps = float(residual(problem, params, start, y)), problem.config.eps
    if not np.isfinite(first):
        raise ValueError("the start is no solution: its residual is not finite")
    if first > eps and not force:
        raise ValueError(
            f"the start is no solution: its residual {first:.3g} is above eps {eps:g}; force "
            "explores around it all the same"
        )
    return max(first, eps)


def _check_inputs(problem: Problem, params: Params, start: Start, y: Measurement) -> None:
    space = problem.config.space
    if not isinstance(start, Start):
        raise ValueError(
            f"expected a Start, as jaxsr.explore.start gives, got {type(start).__name__}"
        )
    one = jax.eval_shape(SPACES[space](problem.base).sample, jax.random.key(0), params)
    if jax.tree.map(jnp.shape, start.latent) != jax.tree.map(jnp.shape, one):
        raise ValueError(
            f"expected a start in space {space}, got one in another: take "
            f"jaxsr.explore.start(prior, {space!r}, ...)"
        )
    if problem.network != "discriminator" and "perceptual_embedding" not in params:
        raise ValueError(
            "params lack the perceptual metric's: take params | "
            "jaxsr.metrics.load_embedding(problem.network)"
        )
    if not jnp.issubdtype(jnp.asarray(y).dtype, jnp.floating):
        raise ValueError(
            f"expected floating-point measurements of images in [0, 1], got {y.dtype}: divide "
            "8-bit values by 255"
        )


def candidates(
    problem: Problem,
    params: Params,
    start: Start,
    y: Measurement,
    geometry: Geometry,
    ways: Directions,
    *,
    bound: float,
) -> Iterator[Candidate]:
    """The ends of the walks along +d and -d of each direction, one by one as their batch is done,
    until there are enough solutions.

    Args:
        problem, params, start, y: as in `explore`.
        geometry: at the start.
        ways: the directions, walked in their order.
        bound: the largest feasible residual.
    """
    walk, count = _walk(problem, geometry, ways, bound), 0
    params, start, y = uncommitted((params, start, y))
    images, known = [drawn(problem, params, start)], [0]
    embedded = _embedded_once(problem, params, images)
    least = problem.config.least_distance * geometry.scale.distance
    for rows, rays in _batches(ways, problem.config):
        done = jax.device_get(ends(problem, params, start, y, walk, rays))
        for i, row in enumerate(rows):
            end = Ends(*(field[i] for field in done))
            images.append(np.asarray(end.image))
            apart = np.array(
                [float(squared_distance(embedded(len(images) - 1), embedded(j))) for j in known]
            )
            verdict = _verdict(bound, least, end, float(apart.min()))
            yield _candidate(verdict, start, end, ways, row, apart, sign=1 - 2 * (i % 2))
            if verdict == "solution":
                known.append(len(images) - 1)
                count += 1
            if count == problem.config.num_solutions:
                return


EMBEDDED_BYTES = 2**29  # of embeddings that are kept; what is beyond is made again


def _embedded_once(
    problem: Problem, params: Params, images: list[np.ndarray]
) -> Callable[[int], list[jax.Array]]:
    """i -> the perceptual embedding of images[i]; a list that may grow."""
    one = jax.eval_shape(problem.embedding.embed, params, images[0])
    kept = EMBEDDED_BYTES // max(sum(part.size * part.dtype.itemsize for part in one), 1)
    return functools.lru_cache(max(kept, 2))(lambda i: embed(problem, params, images[i]))


def at_distance(
    problem: Problem,
    params: Params,
    start: Start,
    y: Measurement,
    geometry: Geometry,
    ways: Directions,
    shares: Sequence[float],
) -> Ends:
    """Where walks along directions first are equally far from the start in the perceptual metric,
    feasible or not: what makes directions and ways comparable.

    Args:
        problem, params, start, y: as in `explore`.
        geometry: at the start.
        ways: n directions.
        shares: m distances, of the mean distance of two random images of the prior
            (`Scale.distance`).

    Returns:
        Ends of numpy arrays, [2 n, m] along and against each direction in turn; `step` is NaN where
        the longest walk is not as far.
    """
    rays, walk = _rays(ways, np.arange(len(ways.vectors))), _walk(problem, geometry, ways, np.inf)
    distances = jnp.asarray(shares, jnp.float32) * geometry.scale.distance
    return jax.device_get(
        _walks.at_distance(problem, *uncommitted((params, start, y, walk)), rays, distances)
    )


def _candidate(
    verdict: Verdict,
    start: Start,
    end: Ends,
    ways: Directions,
    row: int,
    apart: np.ndarray,
    *,
    sign: int,
) -> Candidate:
    path = np.asarray(end.path)
    latent = jax.tree.map(np.asarray, ravel_pytree(start.latent)[1](jnp.asarray(path[-1])))
    numbers = (sign * float(end.step), float(end.residual), float(apart[0]), float(apart.min()))
    return Candidate(
        verdict,
        np.asarray(end.image),
        latent,
        path,
        row,
        int(ways.index[row]),
        float(ways.retained[row]),
        *numbers,
    )


def shortage(problem: Problem, made: list[Candidate], bound: float) -> str:
    """One line when there are fewer solutions than were asked for, with the reasons; ""
    otherwise."""
    count = sum(candidate.verdict == "solution" for candidate in made)
    if count >= problem.config.num_solutions:
        return ""
    duplicates = sum(candidate.verdict == "duplicate" for candidate in made)
    config, infeasible = problem.config, len(made) - count - duplicates
    return (
        f"{count} solutions of {config.num_solutions} asked for: of {len(made)} walks "
        f"{duplicates} ended too near a solution "
        f"(least_distance {config.least_distance:g}) and {infeasible} had no feasible step "
        f"(residual of at most {bound:.3g})"
    )


def _verdict(bound: float, least: float, end: Ends, nearest: float) -> Verdict:
    if not (end.step > 0 and end.residual <= bound and np.isfinite(nearest)):
        return "infeasible"
    return "solution" if nearest >= least else "duplicate"


# Dampings of a curved walk: on the bundled prior a third of it keeps walks near, three times it
# changes the measurement more.
PULL = 3.0


def _walk(problem: Problem, geometry: Geometry, ways: Directions, bound: float) -> Walk:
    """Numbers as float32 arrays, so that another value compiles nothing."""
    longest = problem.config.reach * geometry.scale.radius
    spectrum, size = geometry.measurement, ways.vectors.shape[1]
    # Zeros, so that photos of other ranks are one program.
    empty = most_pairs(problem.config, size) - len(spectrum.values)
    values, vectors = (
        np.pad(np.maximum(spectrum.values, 0.0), (0, empty)),
        np.pad(spectrum.vectors, ((0, 0), (0, empty))),
    )
    numbers = (
        bound,
        longest,
        values,
        vectors,
        PULL * geometry.damping,
        _basis(ways, problem.config.most_directions),
    )
    return Walk(*(jnp.asarray(number, jnp.float32) for number in numbers))


def _basis(ways: Directions, rows: int) -> np.ndarray:
    """Gram-Schmidt of the directions in their order, [rows, d]; zeros for one in the span of those
    before it, and for rows without one."""
    q, r = np.linalg.qr(ways.vectors.T)
    basis = np.zeros((rows, len(q)))
    basis[: q.shape[1]] = np.where(np.abs(np.diag(r))[:, None] > 1e-6, q.T, 0.0)
    return basis


def _rays(ways: Directions, rows: np.ndarray) -> Rays:
    """+d and -d of each of these rows."""
    vectors = np.stack([ways.vectors[rows], -ways.vectors[rows]], 1).reshape(2 * len(rows), -1)
    return Rays(jnp.asarray(vectors, jnp.float32), jnp.asarray(np.repeat(rows, 2), jnp.int32))


def _batches(ways: Directions, config: Config) -> Iterator[tuple[list[int], Rays]]:
    """Rows of `ways` and rays, +d and -d of each row, at once as many as solutions are wanted,
    which all devices share, and at most `Config.chunk` (or 2); the last batch repeats its last pair
    to have as many, so that all walks are one program."""
    shared = math.lcm(2, jax.local_device_count())
    size = max(1, min(config.chunk, math.ceil(config.num_solutions / shared) * shared) // 2)
    for first in range(0, len(ways.vectors), size):
        rows = np.arange(first, min(first + size, len(ways.vectors)))
        yield (
            np.repeat(rows, 2).tolist(),
            _rays(ways, np.pad(rows, (0, size - len(rows)), mode="edge")),
        )
