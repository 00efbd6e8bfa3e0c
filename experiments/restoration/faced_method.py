"""The search for faces: the operator draws the prior's picture where each face lies in its photo,
and one program serves all faces of a canvas."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr import operators
from jaxsr.faces import Cut
from jaxsr.methods import project, trusted
from jaxsr.operators import Theta
from jaxsr.priors import Prior
from jaxsr.resample import Kernel
from jaxsr.search import Conditioned, restore_batches
from jaxsr.types import Params, Result
from restoration.aligned import Portrait
from restoration.options import Settings
from restoration.plan import Method, make_method

TEMPLATE = 16  # px of the canvas by which a method is chosen and checked


class Found(NamedTuple):
    """A face's result [r, r, 3], and what its row says of it."""

    image: np.ndarray
    told: dict[str, Any]


class Searcher(NamedTuple):
    """What restores faces.

    Attributes:
        prior: what draws them.
        method: as it was chosen for the template.
        search: (faces of one canvas, each with the number of the solution) -> results.
    """

    prior: Prior
    method: Method
    search: Callable[[Sequence[tuple[Portrait, int]]], list[Found]]

    @property
    def resolution(self) -> int:
        return self.prior.info.resolution


def make_searcher(prior: Prior, params: Params, settings: Settings) -> Searcher:
    """Raises ValueError where the prior lacks what the method needs, or the method is no search."""
    method = _method(prior, params, TEMPLATE, settings)
    method_for = functools.cache(lambda side: _method(prior, params, side, settings))

    def search(wanted: Sequence[tuple[Portrait, int]]) -> list[Found]:
        cuts = [portrait.cut for portrait, _ in wanted if portrait.cut]
        own = method_for(len(cuts[0].pixels))
        solve = cast(Conditioned, own.solve)
        results = _searched(solve, own.params, cuts, wanted, settings)
        shares = _shares(solve)(results.latent["operator"])
        return [_found(solve, results, float(shares[i]), i) for i in range(len(cuts))]

    return Searcher(prior, method, search)


def _method(prior: Prior, params: Params, side: int, settings: Settings) -> Method:
    """The method for all faces of a canvas."""
    resolution, kernel = prior.info.resolution, cast(Kernel, settings.kernel)
    shapes = (resolution, resolution, 3), (side, side, 3)
    family = operators.similarities(*shapes, kernel=kernel)
    return make_method(prior, params, family.make(family.start), settings, family)


def _searched(
    solve: Conditioned,
    params: Params,
    cuts: Sequence[Cut],
    wanted: Sequence[tuple[Portrait, int]],
    settings: Settings,
) -> Result:
    """Results with a leading axis n, moved to explain what the photo shows of each face."""
    ys = np.stack([cut.pixels for cut in cuts])
    thetas = {
        "matrix": np.stack([cut.matrix for cut in cuts]).astype(np.float32),
        "seen": np.stack([cut.seen for cut in cuts]),
    }
    batches = restore_batches(
        solve,
        params,
        ys,
        told={"operator": thetas},
        seed=[settings.seed + solution for _, solution in wanted],
        batch_size=settings.batch_size,
        progress=settings.progress,
    )
    parts = []
    for indices, results in batches:
        noises = [noise_of(wanted[i][0], settings) for i in indices]
        trust = [trusted(settings.consistency, noise) for noise in noises]
        parts.append(project(solve, results, ys[indices], trust))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def noise_of(portrait: Portrait, settings: Settings) -> float:
    """The noise of a face's part of the photo, or the one that is told."""
    return portrait.noise if settings.noise is None else settings.noise


@functools.lru_cache(maxsize=8)
def _shares(solve: Conditioned) -> Callable:
    """(thetas) -> [n], the share of a canvas that each photo measures."""

    def share(theta: Theta) -> jax.Array:
        onto_range = solve.family.make(theta).onto_range
        assert onto_range is not None
        return jnp.mean(onto_range(jnp.ones(solve.operator.measurement_shape)))

    return jax.jit(jax.vmap(share))


def _found(solve: Conditioned, results: Result, share: float, i: int) -> Found:
    """Of a batch's results one. Its residual is a mean over the pixels that are measured: the
    search's own counts the others of the canvas in, as zeros."""
    residual = float(results.residual[i]) / share
    told: dict[str, Any] = {"residual": residual}
    told["feasible"] = bool(results.feasible[i]) and residual <= solve.eps
    if "residual_before" in results.latent:
        told["residual_before"] = float(results.latent["residual_before"][i]) / share
    return Found(np.asarray(results.image[i]), told)
