"""Photos under one operator: what is explored, first solutions, and both metrics there."""

import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from restoration.fitting import read_mask

from exploration.options import Settings, steps_of
from jaxsr import data, degradations, explore, flags, images, metrics, operators
from jaxsr.explore import Config, Problem, Start
from jaxsr.methods.setups import Setup, make_solve
from jaxsr.operators import OPERATORS
from jaxsr.priors import Prior
from jaxsr.search import Solve, restore_tuned
from jaxsr.types import Params

WAYS = ("vk", "closed_form", "algorithm1", "generalized", "curved")
SMOKE_WAYS = ("vk", "algorithm1")
SMOKE: dict[str, Any] = {
    "steps": 3,
    "bisections": 2,
    "chunk": 4,
    "most_directions": 2,
    "perceptual": "discriminator",
}
# Of `jaxsr.operators.OPERATORS`; one that takes a factor is "x" and the factor.
NAMED = tuple(name for name, kind in OPERATORS.items() if not kind.takes_factor)


class Condition(NamedTuple):
    """What one operator's photos share: the problem of each way, what finds the first solution, and
    PULSE where it is restarted."""

    name: str
    operator: operators.Operator
    problems: dict[str, Problem]
    invert: tuple[Solve, Params]
    pulse: tuple[Solve, Params] | None


def operator_of(name: str, resolution: int, mask: str | None = None) -> operators.Operator:
    """ "x8" or one of NAMED, which may read a mask's file. Raises ValueError for anything else, and
    for a mask that is not square, is too small, or hides nothing or everything."""
    factor = re.fullmatch(r"x(\d+)", name)
    if factor:
        return operators.make("downsample", resolution, factor=int(factor[1]))
    reads = OPERATORS[flags.choose(name, NAMED, "condition")].takes_mask
    return operators.make(name, resolution, seen=_seen(mask, resolution) if reads else None)


def _seen(mask: str | None, resolution: int) -> np.ndarray | None:
    if mask is None:
        return None
    seen, (height, width) = read_mask(mask, resolution)
    if height != width:
        raise ValueError(
            f"--mask={mask}: expected a square picture, as photos are cut to their centre square, "
            f"got {width}x{height} px"
        )
    return seen


def condition_of(settings: Settings, name: str, prior: Prior, params: Params) -> Condition:
    """Raises ValueError for what the prior cannot do."""
    operator = operator_of(name, prior.info.resolution, settings.mask)
    shared: dict[str, Any] = {
        "space": settings.space,
        "num_solutions": settings.num_solutions,
        "eps": settings.eps,
        **(SMOKE if settings.smoke else {}),
    }
    problems = {
        way: explore.problem(prior, operator, Config(way=way, **shared))
        for way in (SMOKE_WAYS if settings.smoke else WAYS)
    }
    params = params | metrics.load_embedding(problems["vk"].network)
    first = Setup(settings.method, smoke=settings.smoke, settings=steps_of(settings))
    pulse, restarts = Setup("pulse", smoke=settings.smoke), {"restarts", "figures"}
    is_restarted = bool(restarts & set(settings.tables))
    return Condition(
        name,
        operator,
        problems,
        invert=make_solve(prior, params, operator, first),
        pulse=make_solve(prior, params, operator, pulse) if is_restarted else None,
    )


def references(
    settings: Settings, prior: Prior, params: Params
) -> Iterator[tuple[str, np.ndarray]]:
    """(name, centre square at the prior's resolution) of each photo; with --smoke and no photos, of
    a sample of the prior."""
    if settings.data is None:
        drawn = prior.decode(params, prior.sample(jax.random.key(0), params))
        yield "sample", np.asarray(jnp.clip(drawn, 0, 1))
        return
    photos, side = data.open_photos(settings.data), prior.info.resolution
    count = min(settings.num_photos, len(photos))
    chosen = [int(i) for i in np.linspace(0, len(photos) - 1, count).round()]
    for name, image in data.stream(photos, chosen, work=lambda picture: _square(picture, side)):
        if isinstance(image, Exception):
            print(f"{name}: left out: {image}")
        else:
            yield name, image


def _square(picture: images.Picture, side: int) -> np.ndarray:
    """The centre square at a side. Raises ImageError for a smaller photo."""
    height, width = picture.shape[:2]
    if min(height, width) < side:
        raise images.ImageError(f"expected sides of at least {side} px, got {width} x {height}")
    return picture.square(mode="crop")[0].resize_area(side)


class Around(NamedTuple):
    """A photo's name, itself and its measurement, its first solution with the weights tuned for it,
    and both metrics there; seconds of either."""

    photo: str
    reference: np.ndarray
    y: np.ndarray
    params: Params
    start: Start
    geometry: explore.Geometry
    inversion_s: float
    geometry_s: float


def around(settings: Settings, condition: Condition, photo: str, reference: np.ndarray) -> Around:
    """Inverts a photo and takes the metrics. Raises ValueError where the first solution is none."""
    y = np.asarray(degradations.recorded(condition.operator.apply(jnp.asarray(reference))))
    solve, params = condition.invert
    problem, begun = condition.problems["vk"], time.perf_counter()
    result, tuned = restore_tuned(solve, params, y, seed=settings.seed, progress=False)
    inverted = time.perf_counter()
    start = explore.start(problem.base, settings.space, tuned, result.latent)
    explore.checked_bound(problem, tuned, start, jnp.asarray(y), force=settings.smoke)
    geometry = explore.geometry(problem, tuned, start, seed=settings.seed)
    seconds = inverted - begun, time.perf_counter() - inverted
    return Around(photo, reference, y, tuned, start, geometry, *seconds)
