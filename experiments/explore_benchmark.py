"""What e-GLASS finds, at what cost: its ways at equal perceptual change, ten solutions against
restarts of PULSE, and cost by latent size.

    # 20 photos: an hour or two on 2 CPU cores
    python experiments/explore_benchmark.py --data=photos.tar --out=explore_benchmark
    python experiments/explore_benchmark.py --tables=ways --conditions=inpainting --data=photos
    python experiments/explore_benchmark.py --smoke  # a random toy prior, one photo

1. Ways. Around each photo's first solution (--method), --directions directions of each way are
   walked both ways until the picture is --distances of the typical distance of two random images
   away, feasible or not; there the residual and the measurement's change are taken (the paper's
   Figures 2 and 3).
2. Restarts. Seconds to ten feasible, distinct solutions (the paper's Table 1): first solution, both
   metrics and walks of e-GLASS, each compiled before; PULSE restarted one by one, and as many at
   once as `jaxsr.restore` takes. A restart that is infeasible or too near another does not count;
   nor does e-GLASS's first solution.
3. Cost. Seconds and memory of both metrics' eigenvectors by latent size, each in a process of its
   own (exploration/cost.py).

OUT gets rows.jsonl, a row as it is measured; the same command again measures only what is missing.
table.md has the tables.

On pbc64, how many times less than along raw v^K the measurement changes, at 0.1, 0.25 and 0.5 of
the perceptual distance of two random pictures (20 photos, `python experiments/explore_benchmark.py
--tables=ways --steps=100 --directions=2 --data=PHOTOS`, medians):

| `--way` | 8x | 4x | centre missing |
|---|---|---|---|
| `algorithm1` | 1.6, 1.5, 1.1 | 1.4, 1.3, 1.3 | 2.3, 1.9, 1.8 |
| `closed_form` | 1.8, 1.5, 1.3 | 1.4, 1.3, 1.4 | 2.3, 2.0, 2.1 |
| `generalized` | 2.7, 2.2, 1.7 | 2.0, 1.7, 1.4 | 5.2, 3.6, 2.5 |
| `curved` | 5.5, 6.3, 8.2 | 4.4, 8.0, 12.6 | 13.2, 12.4, 12.6 |

Ten solutions at 8x take PULSE, restarted with other seeds, 10.6 s one by one and 6.2 s two at once;
e-GLASS from LAREN's solution takes 1.5 s in all, of which both metrics are 1.0 and the walks 0.5
(`--tables=restarts --method=laren --space=w --conditions=x8`, medians of 20 photos, 2 CPU cores,
lint beside it). IAGAN's first solution alone takes 4.9 s. The paper's ratios are 9.5 and 6.1. Both
metrics take 1 s for 128 latent numbers, 4 s for 512 and, matrix-free, 3 s for 4,096 and 253 s for
the 9,216 of a 1024 px network (`--tables=cost`).
"""

import dataclasses
import functools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from exploration import cost, tables
from tqdm import tqdm

from jaxsr import data, degradations, explore, flags, images, loading, metrics, operators, weights
from jaxsr.explore import Config, Problem, Start
from jaxsr.loading import toy_prior
from jaxsr.methods import METHODS
from jaxsr.methods.setups import Setup, make_solve
from jaxsr.operators import OPERATORS
from jaxsr.priors import Prior
from jaxsr.records import files, report
from jaxsr.records.ledger import Ledger
from jaxsr.search import Solve, restore, restore_tuned, rows_at_once
from jaxsr.settings import iterates_of
from jaxsr.types import Params

TABLES = ("ways", "restarts", "cost")
WAYS = ("vk", "closed_form", "algorithm1", "generalized", "curved")
RESTARTS, AT_ONCE = 3, 8  # times --num_solutions restarts at most; photos in a batch of `restore`
SMOKE = {
    "steps": 3,
    "bisections": 2,
    "chunk": 4,
    "most_directions": 2,
    "perceptual": "discriminator",
}
KEY = ("table", "condition", "photo", "name")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        data: Photos: a folder, a .tar, or tfds:NAME@SPLIT.
        num_photos: How many photos of --data, evenly spaced.
        prior: A bundled prior's name, or a folder. Default: the best bundled one; with --smoke a
            random toy.
        conditions: x8 (8-fold enlargement), any other factor, inpainting, motion_blur,
            gaussian_blur, grey.
        tables: ways, restarts, cost.
        method: What finds the first solution.
        steps: Of each phase of the method. Default: the preset's.
        space: Latent space that is explored: z, w, w_plus, w_plus_noise, styles.
        distances: Perceptual distances at which the ways are compared, as shares of that of two
            random images.
        directions: How many directions of each way.
        num_solutions: To be found, in table 2.
        eps: Largest feasible residual, a mean squared difference.
        out: Folder of the tables.
        seed: Of every search; another gives other first solutions.
        smoke: One photo, few steps.
    """

    data: str | None = None
    num_photos: int = 20
    prior: str | None = None
    conditions: tuple[str, ...] = ("x8", "x4", "inpainting")
    tables: tuple[str, ...] = TABLES
    method: str = "iagan"
    steps: int | None = None
    space: str = "z"
    distances: tuple[float, ...] = (0.1, 0.25, 0.5)
    directions: int = 4
    num_solutions: int = 10
    eps: float = 1e-2
    out: str = "explore_benchmark"
    seed: int = 0
    smoke: bool = False


class Condition(NamedTuple):
    """What one operator's photos share: the problem of each way, what finds the first solution, and
    PULSE where it is restarted."""

    name: str
    operator: operators.Operator
    problems: dict[str, Problem]
    invert: tuple[Solve, Params]
    pulse: tuple[Solve, Params] | None


class Around(NamedTuple):
    """A photo's measurement, its first solution with the weights tuned for it, and both metrics
    there; seconds of either."""

    y: np.ndarray
    params: Params
    start: Start
    geometry: explore.Geometry
    inversion_s: float
    geometry_s: float


def operator_of(name: str, resolution: int) -> operators.Operator:
    """ "x8" or a name in `jaxsr.operators.OPERATORS`. Raises ValueError for anything else."""
    factor = re.fullmatch(r"x(\d+)", name)
    if factor:
        return operators.make("downsample", resolution, factor=int(factor[1]))
    known = [name for name, kind in OPERATORS.items() if not kind.takes_factor]
    return operators.make(flags.choose(name, known, "condition"), resolution)


def condition_of(settings: Settings, name: str, prior: Prior, params: Params) -> Condition:
    """Raises ValueError for what the prior cannot do."""
    operator = operator_of(name, prior.info.resolution)
    smoke: dict[str, Any] = SMOKE if settings.smoke else {}
    shared = {
        "space": settings.space,
        "num_solutions": settings.num_solutions,
        "eps": settings.eps,
        **smoke,
    }
    ways = WAYS[:3:2] if settings.smoke else WAYS
    problems = {way: explore.problem(prior, operator, Config(way=way, **shared)) for way in ways}
    params = params | metrics.load_embedding(problems["vk"].network)
    invert = Setup(settings.method, smoke=settings.smoke, settings=steps_of(settings))
    return Condition(
        name,
        operator,
        problems,
        make_solve(prior, params, operator, invert),
        make_solve(prior, params, operator, Setup("pulse", smoke=settings.smoke))
        if "restarts" in settings.tables
        else None,
    )


def steps_of(settings: Settings) -> dict[str, int]:
    kind = METHODS[flags.choose(settings.method, METHODS, "method")].Config
    return {} if settings.steps is None else dict.fromkeys(iterates_of(kind), settings.steps)


def references(
    settings: Settings, prior: Prior, params: Params
) -> Iterator[tuple[str, np.ndarray]]:
    """(name, centre square at the prior's resolution) of each photo; with --smoke and no photos, of
    a sample of the prior."""
    if settings.data is None:
        yield (
            "sample",
            np.asarray(
                jnp.clip(prior.decode(params, prior.sample(jax.random.key(0), params)), 0, 1)
            ),
        )
        return
    photos, side = data.open_photos(settings.data), prior.info.resolution
    chosen = [
        int(i)
        for i in np.linspace(0, len(photos) - 1, min(settings.num_photos, len(photos))).round()
    ]
    for name, image in data.stream(photos, chosen):
        if isinstance(image, Exception):
            print(f"{name}: left out: {image}")
        elif min(image.shape[:2]) < side:
            print(
                f"{name}: left out: expected sides of at least {side} px, got "
                f"{image.shape[1]} x {image.shape[0]}"
            )
        else:
            yield name, images.resize_area(images.square(image, mode="crop")[0], side)


def around(settings: Settings, condition: Condition, reference: np.ndarray) -> Around:
    """Inverts a photo and takes the metrics. Raises ValueError where the first solution is none."""
    y = np.asarray(degradations.recorded(condition.operator.apply(jnp.asarray(reference))))
    solve, params = condition.invert
    problem, begun = condition.problems["vk"], time.perf_counter()
    result, tuned = restore_tuned(solve, params, y, seed=settings.seed, progress=False)
    inverted = time.perf_counter()
    start = explore.start(problem.base, settings.space, tuned, result.latent)
    explore.checked_bound(problem, tuned, start, jnp.asarray(y), force=settings.smoke)
    geometry = explore.geometry(problem, tuned, start, seed=settings.seed)
    return Around(y, tuned, start, geometry, inverted - begun, time.perf_counter() - inverted)


def ways_rows(settings: Settings, condition: Condition, found: Around) -> Iterator[dict]:
    """A row for each way and distance: medians over the walks that are as far before the longest
    step ends."""
    problem, y = condition.problems["vk"], jnp.asarray(found.y)
    first = np.asarray(problem.measure(found.params, found.start, found.start.latent))
    at_start = float(np.mean((first - found.y) ** 2))
    for way, told in condition.problems.items():
        ways = explore.Directions(
            *(field[: settings.directions] for field in explore.directions(told, found.geometry))
        )
        all_ends = explore.at_distance(
            told, found.params, found.start, y, found.geometry, ways, settings.distances
        )
        for i, share in enumerate(settings.distances):
            ends = jax.tree.map(lambda field, i=i: field[:, i], all_ends)
            reached = np.isfinite(ends.step)
            changes = [
                np.mean((np.asarray(told.operator(image)) - first) ** 2)
                for image in ends.image[reached]
            ]
            yield {
                "name": f"{way} at {share:g}",
                "way": way,
                "distance": share,
                "reached": float(reached.mean()),
                "change": float(np.median(changes)) if changes else None,
                "residual": float(np.median(ends.residual[reached])) if changes else None,
                "residual_at_start": at_start,
                "step": float(np.median(ends.step[reached]) / found.geometry.scale.radius)
                if changes
                else None,
                "relevant": found.geometry.relevant,
            }


def counted(
    problem: Problem,
    params: Params,
    least: float,
    bound: float,
    made: Sequence[tuple[np.ndarray, float]],
) -> list[int]:
    """Which of the (image, residual) in turn are feasible and no nearer than `least` to those
    before."""
    kept: list[int] = []
    for i, (image, residual) in enumerate(made):
        apart = [float(explore.distance(problem, params, image, made[j][0])) for j in kept]
        if residual <= bound and min(apart, default=np.inf) >= least:
            kept.append(i)
    return kept


def restarts(
    settings: Settings, condition: Condition, found: Around, rows: int
) -> tuple[float, int, list[tuple[np.ndarray, float]]]:
    """Seconds and runs of PULSE with other seeds, `rows` at once, until there are enough solutions
    or RESTARTS times as many runs, and those solutions as (image, residual)."""
    solve, params = cast(tuple[Solve, Params], condition.pulse)
    problem, least = (
        condition.problems["vk"],
        condition.problems["vk"].config.least_distance * found.geometry.scale.distance,
    )
    made: list[tuple[np.ndarray, float]] = []
    seconds, kept = 0.0, []
    while len(kept) < settings.num_solutions and len(made) < RESTARTS * settings.num_solutions:
        seeds = [settings.seed + len(made) + i for i in range(rows)]
        begun = time.perf_counter()
        result = restore(
            solve,
            params,
            np.repeat(found.y[None], rows, 0),
            seed=seeds,
            batch_size=rows,
            progress=False,
        )
        seconds += time.perf_counter() - begun
        made += list(zip(result.image, result.residual.tolist(), strict=True))
        kept = counted(problem, found.params, least, settings.eps, made)
    return seconds, len(made), [made[i] for i in kept]


def restart_rows(settings: Settings, condition: Condition, found: Around) -> Iterator[dict]:
    """A row for e-GLASS by Algorithm 1 and one for PULSE either way."""
    problem, y = condition.problems["algorithm1"], jnp.asarray(found.y)
    begun = time.perf_counter()
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
    solutions = [
        (candidate.image, candidate.residual)
        for candidate in made
        if candidate.verdict == "solution"
    ]
    shared = {"name": "e-GLASS", "seconds": sum(parts.values()), **parts, "runs": len(made)}
    yield shared | quality(settings, problem, found, solutions)
    for name, rows in {
        "PULSE one by one": 1,
        f"PULSE {rows_at_once(AT_ONCE)} at once": rows_at_once(AT_ONCE),
    }.items():
        seconds, runs, solutions = restarts(settings, condition, found, rows)
        yield {
            "name": name,
            "seconds": seconds,
            "runs": runs,
            **quality(settings, problem, found, solutions),
        }


def quality(
    settings: Settings,
    problem: Problem,
    found: Around,
    solutions: Sequence[tuple[np.ndarray, float]],
) -> dict:
    """How many solutions there are of how many wanted, their median residual, and how far apart two
    of them are, as a share of the typical distance."""
    pairs = [(a, b) for i, (a, _) in enumerate(solutions) for b, _ in solutions[i + 1 :]]
    apart = [
        float(explore.distance(problem, found.params, a, b)) / found.geometry.scale.distance
        for a, b in pairs
    ]
    return {
        "solutions": len(solutions),
        "wanted": settings.num_solutions,
        "residual": float(np.median([residual for _, residual in solutions]))
        if solutions
        else None,
        "apart": float(np.median(apart)) if apart else None,
    }


PER_PHOTO: dict[str, Callable[[Settings, Condition, Around], Iterator[dict]]] = {
    "ways": ways_rows,
    "restarts": restart_rows,
}


def measure(settings: Settings, ledger: Ledger, prior: Prior, params: Params) -> None:
    """Adds the rows of tables 1 and 2 that are missing. Seconds are those of a second run: the
    first, on the same photo, compiles."""
    tables = [name for name in PER_PHOTO if name in settings.tables]
    photos = list(references(settings, prior, params)) if tables else []
    done = {key[:3] for key in ledger.rows()}
    with tqdm(
        total=len(settings.conditions) * len(photos), unit="photo", dynamic_ncols=True
    ) as bar:
        for name in settings.conditions:
            condition, warm = condition_of(settings, name, prior, params), "restarts" not in tables
            for photo, reference in photos:
                bar.set_description(f"{name} {photo}")
                find = functools.partial(around, settings, condition, reference)
                found = functools.cache(find)  # once for both tables
                for table in (table for table in tables if (table, name, photo) not in done):
                    if not warm:
                        rows_of(settings, condition, table, find)
                    rows = rows_of(settings, condition, table, found)
                    warm = warm or rows[0]["status"] == "ok"
                    ledger.add(
                        {"table": table, "condition": name, "photo": photo, **row} for row in rows
                    )
                bar.update()


def rows_of(
    settings: Settings, condition: Condition, table: str, found: Callable[[], Around]
) -> list[dict]:
    """One photo's rows of a table, or one that says why there are none."""
    try:
        return [{"status": "ok", **row} for row in PER_PHOTO[table](settings, condition, found())]
    except ValueError as error:
        return [{"name": "", "status": "error", "error": str(error)}]


def fixed(settings: Settings, prior: Prior, params: Params) -> dict:
    """What all rows of a folder have in common."""
    names = (
        "data",
        "method",
        "steps",
        "space",
        "distances",
        "directions",
        "num_solutions",
        "eps",
        "seed",
        "smoke",
    )
    device = f"{jax.device_count()} x {jax.devices()[0].device_kind}"  # of which every second is
    about = {"prior": prior.info.name, "prior_sha256": weights.digest(params), "device": device}
    return {name: getattr(settings, name) for name in names} | about


def check(settings: Settings) -> Settings:
    """The same with its prior found, or made. Raises ValueError for what does not exist, before any
    long work."""
    lists = {
        name: tuple(flags.names(name, getattr(settings, name))) for name in ("tables", "conditions")
    }
    settings = dataclasses.replace(settings, **lists)
    for name in settings.tables:
        flags.choose(name, TABLES, "table")
    least = {"num_photos": 1, "steps": 1, "directions": 1, "num_solutions": 1, "seed": 0}
    flags.require(settings, least, ("data", "prior", "out"))
    if settings.data is None and not settings.smoke and set(settings.tables) != {"cost"}:
        raise ValueError(
            "--data is missing: expected a folder of photos, a .tar of photos, or tfds:NAME@SPLIT"
        )
    report.check_writable(settings.out)
    if settings.smoke and settings.prior is None:
        changed = {"conditions": ("x2",), "num_solutions": 2, "distances": (0.1,), "directions": 1}
        return dataclasses.replace(
            settings, prior=str(toy_prior(Path(settings.out) / "toy")), **changed
        )
    return dataclasses.replace(settings, prior=settings.prior or loading.default_source())


def main(settings: Settings) -> int:
    settings = check(settings)
    flags.cache_compilations()
    prior, params = loading.load_prior(str(settings.prior))
    for name in settings.conditions:
        operator_of(name, prior.info.resolution)
    facts = fixed(settings, prior, params)
    ledger = Ledger(settings.out, facts, key=KEY, about={"jax": jax.__version__})
    if "cost" in settings.tables:
        cost.measure(ledger, smoke=settings.smoke)
    measure(settings, ledger, prior, params)
    text = tables.markdown(
        list(ledger.rows().values()),
        f"{facts['device']}, prior {prior.info.name}, {settings.method}, {settings.space}",
    )
    files.write_text(Path(settings.out) / "table.md", text)
    print(text)
    return 0


if __name__ == "__main__":
    read_settings = flags.define(Settings())
    flags.one_device_a_core()
    flags.run(lambda: main(read_settings()))
