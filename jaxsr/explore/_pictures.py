"""Single pictures of an exploration, and how far apart two are.

The generator and the perceptual network are nearly all of what their programs take to compile. So
both are compiled once here, for one picture, and whoever looks at single pictures calls these.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxsr.explore._problem import Problem, Start
from jaxsr.explore.pullback import uncommitted
from jaxsr.metrics.embedding import squared_distance
from jaxsr.types import Drawn, Image, Measurement, Params, Scalar


@functools.partial(jax.jit, static_argnums=0)
def draw(problem: Problem, params: Params, start: Start, point: jax.Array) -> Drawn:
    """The image [H, W, 3] of a raveled latent [d]; params and start are `uncommitted`."""
    return problem.draw(params, start, ravel_pytree(start.latent)[1](point))


@functools.partial(jax.jit, static_argnums=0)
def embed(problem: Problem, params: Params, image: Image) -> list[jax.Array]:
    """The perceptual embedding of an image [H, W, 3]."""
    return problem.embedding.embed(params, image)


@functools.partial(jax.jit, static_argnums=0)
def _misfit(problem: Problem, image: Drawn, y: Measurement) -> Scalar:
    return jnp.mean((problem.operator(image) - y) ** 2)


def drawn(problem: Problem, params: Params, start: Start) -> np.ndarray:
    """The start's image [H, W, 3], not clipped."""
    return frames(problem, params, start, ravel_pytree(start.latent)[0][None])[0]


def frames(
    problem: Problem, params: Params, start: Start, path: jax.Array | np.ndarray
) -> np.ndarray:
    """The images [p, H, W, 3] of the points [p, d] of a walk."""
    params, start = uncommitted((params, start))
    points = np.asarray(path, np.float32)
    return np.stack([np.asarray(draw(problem, params, start, point)) for point in points])


def residual(problem: Problem, params: Params, start: Start, y: Measurement) -> Scalar:
    """Mean squared A(G(z0)) - y of the start, drawn with these params: what decides whether it is a
    solution."""
    return _misfit(problem, drawn(problem, params, start), jnp.asarray(jax.device_get(y)))


def distance(problem: Problem, params: Params, x: Image, ref: Image) -> Scalar:
    """The perceptual distance of two images [H, W, 3], as `Candidate.distance` has it."""
    return squared_distance(embed(problem, params, x), embed(problem, params, ref))
