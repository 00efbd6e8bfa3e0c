"""Both metrics of the latent space at a solution: their eigenvectors, how the two couple, and the
scale of the space."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxsr.explore import _pictures
from jaxsr.explore._problem import SPACES, Config, Problem, Start, check_counts
from jaxsr.explore.pullback import (
    Spectrum,
    eigen,
    metrics,
    over_devices,
    product,
    top_eigen,
    uncommitted,
)
from jaxsr.types import Params, PRNGKey

GROWTH = 4  # times Config.rank, eigenpairs of H_Y where its trace needs as many
LATENTS, PAIRS = 256, 8  # random latents and pairs of images that the scale is measured on


class Scale(NamedTuple):
    """How far random points of the space are apart.

    Attributes:
        radius: root mean square distance of random latents from their mean.
        distance: mean perceptual distance of two random images of the prior.
    """

    radius: float
    distance: float


class Geometry(NamedTuple):
    """Both metrics at a solution.

    Attributes:
        measurement: H_Y = U Lambda U^T.
        perceptual: H_X = V Omega V^T.
        coupling: C = U^T V.
        seen: V^T H_Y V, the measurement's metric in the basis V.
        relevant: `Config.k`, or how many eigenvectors of H_Y hold `Config.energy` of its trace.
        scale: of the space.
        damping: m eps / (reach radius)^2: below this curvature of H_Y the longest step stays
            feasible.
    """

    measurement: Spectrum
    perceptual: Spectrum
    coupling: np.ndarray
    seen: np.ndarray
    relevant: int
    scale: Scale
    damping: float


def geometry(problem: Problem, params: Params, start: Start, *, seed: int = 0) -> Geometry:
    """Both metrics at z0 as Gauss-Newton products (`pullback`): all eigenpairs up to
    `Config.dense_limit` dimensions, else the top `Config.rank` by a block Krylov method.

    Args:
        problem: what is explored.
        params: of the prior, with "perceptual_embedding" where the network needs it.
        start: z0.
        seed: of the random numbers of the Krylov method and of the scale.

    Raises:
        ValueError: a Hessian that is not finite, or that is zero; a `Config.k` or `from_k` that the
            latent does not have.
    """
    params, start = uncommitted((params, start))
    size = ravel_pytree(start.latent)[0].size
    check_counts(problem.config, size)
    key_scale, key_spectra = jax.random.split(jax.random.key(seed))
    spectra = _dense if size <= problem.config.dense_limit else _krylov
    measurement, perceptual = spectra(problem, params, start, key_spectra)
    coupling = measurement.vectors.T @ perceptual.vectors
    scale, config = _scale(problem, params, start, key_scale), problem.config
    measured = np.prod(problem.operator.measurement_shape)
    damping = measured * config.eps / (config.reach * scale.radius) ** 2
    return Geometry(
        measurement,
        perceptual,
        coupling,
        _seen(problem, params, start, measurement, perceptual),
        config.k or _relevant(measurement, config.energy),
        scale,
        float(damping),
    )


MEASUREMENT, PERCEPTUAL = "the measurement's metric H_Y", "the perceptual metric H_X"


def _named(what: str, find: Callable[[], Spectrum]) -> Spectrum:
    try:
        return find()
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error


def _dense(
    problem: Problem, params: Params, start: Start, key: PRNGKey
) -> tuple[Spectrum, Spectrum]:
    del key
    measured, perceived = _metrics(problem, params, start)
    return _named(MEASUREMENT, lambda: eigen(measured)), _named(
        PERCEPTUAL, lambda: eigen(perceived)
    )


def most_pairs(config: Config, size: int) -> int:
    """The most eigenpairs of H_Y that are taken in a latent space of this size."""
    return (
        size if size <= config.dense_limit else min(max(GROWTH * config.rank, config.k or 0), size)
    )


def _krylov(
    problem: Problem, params: Params, start: Start, key: PRNGKey
) -> tuple[Spectrum, Spectrum]:
    size, config = ravel_pytree(start.latent)[0].size, problem.config
    key_y, key_x = jax.random.split(key)

    def top(phi: Callable, rank: int, key: PRNGKey) -> Spectrum:
        return top_eigen(functools.partial(_products, problem, phi, params, start), size, rank, key)

    def enough(rank: int) -> Spectrum:
        found = top(Problem.measure, rank, key_y)
        known = config.k or found.values.sum() >= config.energy * found.trace
        return (
            found
            if known or rank == most_pairs(config, size)
            else enough(min(2 * rank, most_pairs(config, size)))
        )

    first, perceived = (
        min(max(config.rank, least or 0), size) for least in (config.k, config.from_k)
    )
    measured = _named(MEASUREMENT, lambda: enough(first))
    return measured, _named(PERCEPTUAL, lambda: top(Problem.embed, perceived, key_x))


def _seen(
    problem: Problem, params: Params, start: Start, measurement: Spectrum, perceptual: Spectrum
) -> np.ndarray:
    if len(measurement.values) == len(measurement.vectors):  # all of H_Y is known
        half = np.sqrt(np.maximum(measurement.values, 0.0))[:, None] * (
            measurement.vectors.T @ perceptual.vectors
        )
        return half.T @ half
    rows = jnp.asarray(perceptual.vectors.T, jnp.float32)
    seen = (
        perceptual.vectors.T
        @ np.asarray(_products(problem, Problem.measure, params, start, rows), np.float64).T
    )
    return (seen + seen.T) / 2


def _relevant(spectrum: Spectrum, energy: float) -> int:
    held = np.cumsum(spectrum.values) / spectrum.trace
    return min(int(np.searchsorted(held, energy * (1 - 1e-12))) + 1, len(held))


@functools.partial(jax.jit, static_argnums=0)
def _metrics(problem: Problem, params: Params, start: Start) -> tuple[jax.Array, ...]:
    return metrics(
        lambda latent: problem.both(params, start, latent), start.latent, chunk=problem.config.chunk
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def _products(
    problem: Problem, phi: Callable, params: Params, start: Start, rows: jax.Array
) -> jax.Array:
    gram = product(lambda latent: phi(problem, params, start, latent), start.latent)
    return over_devices(gram, rows, batch_size=problem.config.chunk)


def _scale(problem: Problem, params: Params, start: Start, key: PRNGKey) -> Scale:
    """Radius and distance (see `Scale`), of latents as the prior draws them, with the noise maps of
    the start."""
    radius, pairs = _random_latents(problem, params, key)
    start = start._replace(offset=jnp.zeros_like(start.offset))
    apart = [
        _pictures.distance(
            problem, params, *(_pictures.draw(problem, params, start, point) for point in pair)
        )
        for pair in np.asarray(pairs)
    ]
    return Scale(float(radius), float(np.mean(apart)))


@functools.partial(jax.jit, static_argnums=0)
def _random_latents(problem: Problem, params: Params, key: PRNGKey) -> tuple[jax.Array, jax.Array]:
    """The radius of LATENTS raveled latents, and PAIRS others [PAIRS, 2, d]."""
    sample = SPACES[problem.config.space](problem.base).sample
    key_latents, key_pairs = jax.random.split(key)
    keys = [jax.random.split(key_latents, LATENTS), jax.random.split(key_pairs, 2 * PAIRS)]
    # At once, so that what makes a w of a z is compiled once.
    drawn = jax.vmap(lambda key: ravel_pytree(sample(key, params))[0])(jnp.concatenate(keys))
    latents = drawn[:LATENTS]
    radius = jnp.sqrt(jnp.mean(jnp.sum((latents - latents.mean(0)) ** 2, -1)))
    return radius, drawn[LATENTS:].reshape(PAIRS, 2, -1)
