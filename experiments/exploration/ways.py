"""Table 1: how much the measurement changes along each way, at equal perceptual distance."""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from exploration.conditions import Around, Condition
from exploration.options import Settings
from jaxsr import explore
from jaxsr.explore import Directions, Ends, Problem


def ways_rows(settings: Settings, condition: Condition, found: Around) -> Iterator[dict]:
    """A row for each way and distance: medians over the walks that are as far before the longest
    step ends."""
    problem = condition.problems["vk"]
    first = np.asarray(problem.measure(found.params, found.start, found.start.latent))
    shared = {
        "residual_at_start": float(np.mean((first - found.y) ** 2)),
        "relevant": found.geometry.relevant,
    }
    for way, walked in condition.problems.items():
        ends = _ends(settings, walked, found)
        for i, share in enumerate(settings.distances):
            there = jax.tree.map(lambda field, i=i: field[:, i], ends)
            yield {
                "name": f"{way} at {share:g}",
                "way": way,
                "distance": share,
                **_medians(walked, there, first, found.geometry.scale.radius),
                **shared,
            }


def _ends(settings: Settings, problem: Problem, found: Around) -> Ends:
    """Where the walks of a way, both ways along each direction, have come to each distance."""
    ways = explore.directions(problem, found.geometry)
    ways = Directions(*(field[: settings.directions] for field in ways))
    return ends_of(problem, found, ways, settings.distances)


def ends_of(problem: Problem, found: Around, ways: Directions, distances: Sequence[float]) -> Ends:
    """`explore.at_distance` around a photo's first solution."""
    y = jnp.asarray(found.y)
    return explore.at_distance(
        problem, found.params, found.start, y, found.geometry, ways, distances
    )


def _medians(problem: Problem, ends: Ends, first: np.ndarray, radius: float) -> dict:
    """Share of the walks that have come to a distance, and medians over those."""
    reached = np.isfinite(ends.step)
    medians = dict.fromkeys(("change", "residual", "step"))
    if reached.any():
        measured = [np.asarray(problem.operator(image)) for image in ends.image[reached]]
        medians = {
            "change": float(np.median([np.mean((y - first) ** 2) for y in measured])),
            "residual": float(np.median(ends.residual[reached])),
            "step": float(np.median(ends.step[reached]) / radius),
        }
    return {"reached": float(reached.mean()), **medians}
