"""Table 2: seconds to a number of solutions, of e-GLASS and of PULSE restarted."""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple, cast

import jax.numpy as jnp
import numpy as np

from exploration.conditions import Around, Condition
from exploration.options import Settings
from jaxsr import explore
from jaxsr.explore import Problem
from jaxsr.search import Solve, restore, rows_at_once
from jaxsr.types import Params

# Times --num_solutions restarts at most; photos in a batch of `restore`.
RESTARTS, AT_ONCE = 3, 8


class Solution(NamedTuple):
    """A picture and its residual."""

    image: np.ndarray
    residual: float


def restart_rows(settings: Settings, condition: Condition, found: Around) -> Iterator[dict]:
    """A row for e-GLASS by Algorithm 1 and one for PULSE either way."""
    problem = condition.problems["algorithm1"]
    yield _explored(settings, problem, found)
    together = rows_at_once(AT_ONCE)
    for name, rows in {"PULSE one by one": 1, f"PULSE {together} at once": together}.items():
        seconds, runs, solutions = restarts(settings, condition, found, rows)
        shared = {"name": name, "seconds": seconds, "runs": runs}
        yield shared | quality(settings, problem, found, solutions)


def _explored(settings: Settings, problem: Problem, found: Around) -> dict:
    begun, y = time.perf_counter(), jnp.asarray(found.y)
    ways = explore.directions(problem, found.geometry)
    made = list(
        explore.candidates(
            problem, found.params, found.start, y, found.geometry, ways, bound=settings.eps
        )
    )
    parts = {
        "inversion_s": found.inversion_s,
        "geometry_s": found.geometry_s,
        "walks_s": time.perf_counter() - begun,
    }
    solutions = [Solution(c.image, c.residual) for c in made if c.verdict == "solution"]
    shared = {"name": "e-GLASS", "seconds": sum(parts.values()), **parts, "runs": len(made)}
    return shared | quality(settings, problem, found, solutions)


def restarts(
    settings: Settings, condition: Condition, found: Around, rows: int
) -> tuple[float, int, list[Solution]]:
    """Seconds and runs of PULSE with other seeds, `rows` at once, until there are enough solutions
    or RESTARTS times as many runs, and those solutions."""
    solve, params = cast(tuple[Solve, Params], condition.pulse)
    problem = condition.problems["vk"]
    least = problem.config.least_distance * found.geometry.scale.distance
    made: list[Solution] = []
    seconds, distinct = 0.0, []
    while len(distinct) < settings.num_solutions and len(made) < RESTARTS * settings.num_solutions:
        seeds = [settings.seed + len(made) + i for i in range(rows)]
        ys = np.repeat(found.y[None], rows, 0)
        begun = time.perf_counter()
        result = restore(solve, params, ys, seed=seeds, batch_size=rows, progress=False)
        seconds += time.perf_counter() - begun
        made += map(Solution, result.image, result.residual.tolist())
        distinct = counted(problem, found.params, least, settings.eps, made)
    return seconds, len(made), [made[i] for i in distinct]


def counted(
    problem: Problem,
    params: Params,
    least: float,
    bound: float,
    made: Sequence[tuple[np.ndarray, float]],
) -> list[int]:
    """Which (image, residual) in turn are feasible and at least `least` from those before."""
    distinct: list[int] = []
    for i, (image, residual) in enumerate(made):
        apart = [float(explore.distance(problem, params, image, made[j][0])) for j in distinct]
        if residual <= bound and min(apart, default=np.inf) >= least:
            distinct.append(i)
    return distinct


def quality(
    settings: Settings, problem: Problem, found: Around, solutions: Sequence[Solution]
) -> dict:
    """How many solutions there are of how many wanted, their median residual, and how far apart two
    of them are, as a share of the typical distance."""
    pairs = [(a, b) for i, a in enumerate(solutions) for b in solutions[i + 1 :]]
    typical = found.geometry.scale.distance
    apart = [
        float(explore.distance(problem, found.params, a.image, b.image)) / typical for a, b in pairs
    ]
    residuals = [solution.residual for solution in solutions]
    return {
        "solutions": len(solutions),
        "wanted": settings.num_solutions,
        "residual": float(np.median(residuals)) if residuals else None,
        "apart": float(np.median(apart)) if apart else None,
    }
