"""Walks from a solution along a ray, as far as the measurement allows: straight, or bent to keep
it."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxsr.explore import pullback
from jaxsr.explore._problem import Config, Problem, Start
from jaxsr.metrics.embedding import squared_distance
from jaxsr.types import Measurement, Params


class Ends(NamedTuple):
    """Where walks along n rays end.

    Attributes:
        path: [n, steps + 1, d], points of the walk from z0 to the end.
        step: [n], length of the walk, 0 where no step is feasible.
        residual: [n], mean squared A(G(z)) - y, measured at the end.
        image: [n, H, W, 3], there.
    """

    path: jax.Array
    step: jax.Array
    residual: jax.Array
    image: jax.Array


class Walk(NamedTuple):
    """What all walks share: the largest residual and step, H_Y at the start as its eigenpairs [k],
    [d, k] and damping, and an orthonormal basis [n, d] of the directions in their order, of which
    the first r span the first r."""

    bound: jax.Array
    longest: jax.Array
    values: jax.Array
    vectors: jax.Array
    damping: jax.Array
    basis: jax.Array


class Rays(NamedTuple):
    """Unit vectors [n, d], and how many directions of the walk's basis come before each [n]."""

    vectors: jax.Array
    order: jax.Array


@functools.partial(jax.jit, static_argnums=0)
def ends(
    problem: Problem, params: Params, start: Start, y: Measurement, walk: Walk, rays: Rays
) -> Ends:
    """Walks along each of n rays until the residual exceeds walk.bound or the step walk.longest.

    Compiled once for a problem and a number of rays; the devices share them, `Config.chunk` at once
    on each. A straight walk ends at the largest step that is feasible with all `Config.steps`
    points before it, to longest / steps / 2^bisections.
    """

    def one(ray: Rays) -> Ends:
        path, step, image = _WALKS[problem.config.way](problem, params, start, y, walk, *ray)
        return Ends(path, step, jnp.mean((problem.operator(image) - y) ** 2), image)

    return pullback.over_devices(one, rays, batch_size=problem.config.chunk)


@functools.partial(jax.jit, static_argnums=0)
def at_distance(
    problem: Problem,
    params: Params,
    start: Start,
    y: Measurement,
    walk: Walk,
    rays: Rays,
    distances: jax.Array,
) -> Ends:
    """Where walks along each of n rays are first each of `distances` [m] away from the start's
    image in the perceptual metric, whatever the residual is there: what makes directions
    comparable; fields [n, m, ...]. `step` is NaN where walk.longest ends before, and `path` ends
    there.

    The first of a path's `Config.steps` points that is as far is found, then the place between it
    and the one before by bisection.
    """
    unravel = ravel_pytree(start.latent)[1]
    away = _distance_of(problem, params, start)

    def one(ray: Rays) -> Ends:
        whole = _whole(problem, params, start, y, walk, ray)
        points = jax.lax.map(away, whole)

        def end(distance: jax.Array) -> Ends:
            path, step = _cut(problem.config, away, whole, points, distance)
            image = problem.draw(params, start, unravel(path[-1]))
            return Ends(path, step, jnp.mean((problem.operator(image) - y) ** 2), image)

        return jax.lax.map(end, distances)

    return pullback.over_devices(one, rays, batch_size=problem.config.chunk)


def _whole(
    problem: Problem, params: Params, start: Start, y: Measurement, walk: Walk, ray: Rays
) -> jax.Array:
    """The path of a walk that goes on to walk.longest, feasible or not."""
    if problem.config.way == "curved":
        return _curved(problem, params, start, y, walk._replace(bound=jnp.array(jnp.inf)), *ray)[0]
    return _line(problem.config, ravel_pytree(start.latent)[0], walk.longest, ray.vectors)


def _line(config: Config, z0: jax.Array, length: jax.Array, ray: jax.Array) -> jax.Array:
    return z0 + length * jnp.linspace(0.0, 1.0, config.steps + 1)[:, None] * ray


def _cut(
    config: Config, away: Callable, path: jax.Array, points: jax.Array, distance: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The path, whose points are that far away, up to where it is `distance` away, its last point
    repeated to the same length, and its length; NaN if it never is."""
    far = points >= distance
    i = jnp.maximum(jnp.argmax(far), 1)
    before, after = path[i - 1], path[i]

    def halve(_, state: tuple) -> tuple:
        low, high = state
        middle = (low + high) / 2
        inside = away(before + middle * (after - before)) < distance
        return jnp.where(inside, middle, low), jnp.where(inside, high, middle)

    low, high = jax.lax.fori_loop(0, config.bisections, halve, (jnp.zeros(()), jnp.ones(())))
    end = before + (low + high) / 2 * (after - before)
    cut = jnp.where(far.any(), jnp.where(jnp.arange(len(path))[:, None] < i, path, end), path)
    length = jnp.sum(jnp.linalg.norm(jnp.diff(cut, axis=0), axis=-1))
    return cut, jnp.where(far.any(), length, jnp.nan)


Measure = Callable[[jax.Array], jax.Array]


def _measure_of(problem: Problem, params: Params, start: Start) -> Measure:
    """A G of a raveled latent."""
    unravel = ravel_pytree(start.latent)[1]
    return lambda point: problem.measure(params, start, unravel(point))


def _distance_of(
    problem: Problem, params: Params, start: Start
) -> Callable[[jax.Array], jax.Array]:
    """The perceptual distance of a raveled latent's image from the start's, which is embedded
    once."""
    unravel = ravel_pytree(start.latent)[1]
    first = problem.embed(params, start, start.latent)
    return lambda point: squared_distance(problem.embed(params, start, unravel(point)), first)


class _Search(NamedTuple):
    """Where the search for a straight walk's largest step is.

    Attributes:
        points: of the grid that are feasible with all before them; -1 before the start is drawn.
        marches: whether all of the grid so far is feasible.
        halved: how often the interval was halved.
        low, high: steps between which feasibility ends.
        image: [H, W, 3], at `low`.
    """

    points: jax.Array
    marches: jax.Array
    halved: jax.Array
    low: jax.Array
    high: jax.Array
    image: jax.Array


def _straight(
    problem: Problem,
    params: Params,
    start: Start,
    y: Measurement,
    walk: Walk,
    ray: jax.Array,
    order: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The first interval of the grid in which feasibility ends, halved until the step is found: the
    path, the step and the image there.

    Grid and halvings are one loop, whose image is kept, because each call of the generator in a
    program is compiled anew.
    """
    del order
    config, (z0, unravel) = problem.config, ravel_pytree(start.latent)
    part = walk.longest / config.steps

    def advance(state: _Search) -> _Search:
        step = jnp.where(state.marches, part * (state.points + 1), (state.low + state.high) / 2)
        image = problem.draw(params, start, unravel(z0 + step * ray))
        # The start is where it is, feasible or not.
        inside = (jnp.mean((problem.operator(image) - y) ** 2) <= walk.bound) | (state.points < 0)
        points = state.points + (state.marches & inside)
        return _Search(
            points,
            state.marches & inside & (points < config.steps),
            state.halved + ~state.marches,
            jnp.where(inside, step, state.low),
            jnp.where(inside, state.high, step),
            jnp.where(inside, image, state.image),
        )

    def goes_on(state: _Search) -> jax.Array:
        return state.marches | ((state.halved < config.bisections) & (state.points < config.steps))

    nothing = jnp.zeros(problem.operator.image_shape)
    begun = _Search(
        jnp.array(-1), jnp.array(True), jnp.array(0), jnp.zeros(()), walk.longest, nothing
    )
    end = jax.lax.while_loop(goes_on, advance, begun)
    return _line(config, z0, end.low, ray), end.low, end.image


def _curved(
    problem: Problem,
    params: Params,
    start: Start,
    y: Measurement,
    walk: Walk,
    ray: jax.Array,
    order: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The path, its length and the image at its end.

    Steps of equal length that go where the perceptual distance from the start grows most for the
    change of the measurement, then a Gauss-Newton step back to the measurement; the first goes
    along the ray.

    The tangent solves (J^T J + damping I) t = gradient of the distance, J of the measurement there:
    the generalised direction of that point. What lies in the span of the rays before this one is
    left out, else all walks would turn into the same. The walk ends before the first point that is
    not feasible.
    """
    flat = ravel_pytree(start.latent)[0]
    measure, length = _measure_of(problem, params, start), walk.longest / problem.config.steps
    distance = _distance_of(problem, params, start)

    def own(v: jax.Array) -> jax.Array:
        return v - ((walk.basis @ v) * (jnp.arange(len(walk.basis)) < order)) @ walk.basis

    def step(state: tuple, _) -> tuple[tuple, jax.Array]:
        point, tangent, walked, alive = state
        at, gradient = pullback.linearise(measure, point), own(jax.grad(distance)(point))
        turned = own(_solve(problem.config, walk, at, gradient / _length(gradient))) * walk.damping
        tangent = jnp.where(walked > 0, turned / _length(turned), tangent)
        ahead = _corrected(problem.config, walk, measure, y, point + length * tangent)
        # Of 1 where the measurement sees nothing of the gradient.
        leads = (walked == 0) | (jnp.linalg.norm(turned) > 1e-4)
        alive = alive & leads & (jnp.mean((measure(ahead) - y) ** 2) <= walk.bound)
        point, walked = (
            jnp.where(alive, ahead, point),
            jnp.where(alive, walked + jnp.linalg.norm(ahead - point), walked),
        )
        return (point, tangent, walked, alive), point

    begun = (flat, ray, jnp.zeros(()), jnp.array(True))
    (_, _, walked, _), path = jax.lax.scan(step, begun, length=problem.config.steps)
    image = problem.draw(params, start, ravel_pytree(start.latent)[1](path[-1]))
    return jnp.concatenate([flat[None], path]), walked, image


def _length(v: jax.Array) -> jax.Array:
    return jnp.maximum(jnp.linalg.norm(v), 1e-12)


def _corrected(
    config: Config, walk: Walk, measure: Measure, y: Measurement, point: jax.Array
) -> jax.Array:
    at = pullback.linearise(measure, point)
    return point - _solve(config, walk, at, at.vjp(at.value - y.ravel()))


def _solve(config: Config, walk: Walk, at: pullback.Linearised, b: jax.Array) -> jax.Array:
    """(J^T J + damping I)^-1 b by conjugate gradients, preconditioned by the same with H_Y at the
    start, which is near J^T J."""

    def precondition(v: jax.Array) -> jax.Array:
        return (
            v - walk.vectors @ (walk.values / (walk.values + walk.damping) * (walk.vectors.T @ v))
        ) / walk.damping

    def apply(v: jax.Array) -> jax.Array:
        return at.vjp(at.jvp(v)) + walk.damping * v

    return jax.scipy.sparse.linalg.cg(
        apply, b, tol=1e-4, maxiter=config.corrections, M=precondition
    )[0]


_WALKS: dict[str, Callable[..., tuple[jax.Array, jax.Array, jax.Array]]] = {
    "vk": _straight,
    "algorithm1": _straight,
    "closed_form": _straight,
    "generalized": _straight,
    "curved": _curved,
}
