"""Table 4 and its pictures: what PULSE, raw v^K and Algorithm 1's d make of a photo, one row each,
as in the paper's Figures 2 and 3."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import jax.numpy as jnp
import numpy as np

from exploration.conditions import Around, Condition
from exploration.gallery import cell_of
from exploration.options import Settings
from exploration.ways import ends_of
from jaxsr import images, plots
from jaxsr.explore import Directions, directions, drawn
from jaxsr.operators import as_image
from jaxsr.search import Solve, restore, rows_at_once
from jaxsr.types import Params

WALKED = 2  # directions, both ways, as the paper's v^8 and v^12


class Line(NamedTuple):
    """A row of the picture: what made its images [n, H, W, 3], and their residuals [n]."""

    name: str
    made_by: str
    images: Sequence[np.ndarray]
    residuals: Sequence[float]


def figure_rows(settings: Settings, condition: Condition, found: Around) -> Iterator[dict]:
    """Writes the picture; a row for each of its lines, with the least and the largest residual."""
    both = [walked(settings, condition, found, way) for way in ("vk", "algorithm1")]
    lines = [restarted(settings, condition, found, len(both[0].images)), *both]
    images.write(picture_file(settings, condition, found), _picture(condition, found, lines))
    for line in lines:
        yield {
            "name": line.name,
            "lowest": float(min(line.residuals)),
            "highest": float(max(line.residuals)),
        }


def picture_file(settings: Settings, condition: Condition, found: Around) -> Path:
    """Where a photo's picture lies."""
    name = found.photo.replace("/", "_").rpartition(".")[0] or found.photo
    return Path(settings.out) / f"figure_{condition.name}_{name}.png"


def walked(settings: Settings, condition: Condition, found: Around, way: str) -> Line:
    """Both ways along the first directions until the picture has changed as much as the middle one
    of --distances."""
    shares, problem = sorted(settings.distances), condition.problems[way]
    share = shares[len(shares) // 2]
    ways = directions(problem, found.geometry)
    ways = Directions(*(field[: min(WALKED, settings.directions)] for field in ways))
    ends = ends_of(problem, found, ways, (share,))
    told = " and ".join(f"v^{index}" for index in ways.index)
    name = {"vk": "raw v^K", "algorithm1": "d"}[way]
    made_by = f"{'raw' if way == 'vk' else 'd of'} {told} at {share:g}"
    return Line(name, made_by, list(ends.image[:, 0]), ends.residual[:, 0].tolist())


def restarted(settings: Settings, condition: Condition, found: Around, count: int) -> Line:
    """PULSE with as many seeds, as it ends, feasible or not."""
    solve, params = cast(tuple[Solve, Params], condition.pulse)
    ys, seeds = np.repeat(found.y[None], count, 0), [settings.seed + i for i in range(count)]
    rows = rows_at_once(count)
    result = restore(solve, params, ys, seed=seeds, batch_size=rows, progress=False)
    return Line("PULSE", "PULSE", list(result.image), result.residual.tolist())


def _picture(condition: Condition, found: Around, lines: Sequence[Line]) -> np.ndarray:
    """On the left the measurement, the start and the photo, a row each; the captions say what made
    the rest, at what perceptual distance, and the range of its residuals."""
    problem = condition.problems["vk"]
    seen = as_image(condition.operator, jnp.asarray(found.y))
    left = [seen, drawn(problem, found.params, found.start), found.reference]
    shown = [
        [np.clip(np.asarray(image), 0.0, 1.0) for image in (first, *line.images)]
        for first, line in zip(left, lines, strict=True)
    ]
    captions = [
        f"{name} | {line.made_by}: {min(line.residuals):.2g} to {max(line.residuals):.2g}"
        for name, line in zip(("measurement", "start", "photo"), lines, strict=True)
    ]
    columns = [""] * len(shown[0])
    return plots.grid(shown, columns=columns, captions=captions, cell=cell_of(found.reference))
