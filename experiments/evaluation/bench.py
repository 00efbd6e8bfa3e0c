"""What all cells of an evaluation share: prior, photos, scorer, options."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import jax
import numpy as np

from evaluation.cells import Cell
from evaluation.options import Settings, consistency_of
from evaluation.photos import SMOKE_PHOTOS, Data, open_data
from evaluation.scores import Scorer
from evaluation.suites import Suite
from jaxsr import images, operators, resample
from jaxsr.methods import Consistency
from jaxsr.priors import Prior
from jaxsr.types import Params


@dataclasses.dataclass(frozen=True)
class Options:
    """How all methods are run, as in the flags of these names; `solutions` may be the suite's."""

    preset: str = "paper"
    network: str | None = None
    consistency: tuple[Consistency, ...] = ("auto",)
    noise: float | None = None
    eps: float | None = None
    kernel: str = "bicubic"
    white: str | None = None
    models: str | None = None
    seed: int = 0
    solutions: int = 1
    batch_size: int = 8
    reference_free: bool = False
    smoke: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """What all cells share.

    Attributes:
        prior, params: what restores.
        data: what is restored.
        scorer: what judges.
        options: how.
        folder: where the images go, in images/CELL/.
    """

    prior: Prior
    params: Params
    data: Data
    scorer: Scorer
    options: Options
    folder: Path


def open_bench(
    settings: Settings,
    suite: Suite,
    cells: Sequence[Cell],
    prior: Prior,
    params: Params,
    folder: Path,
) -> Bench:
    """Everything that the cells share; photos are listed, not yet read."""
    sides = [cell.side(prior.info.resolution) for cell in cells]
    scorer = Scorer(sides, settings.features, alone=suite.reference_free)
    options = Options(
        preset=settings.preset,
        network=settings.network,
        consistency=consistency_of(settings),
        noise=settings.noise,
        eps=settings.eps,
        kernel=settings.kernel,
        white=settings.white,
        models=settings.models,
        seed=settings.seed,
        solutions=suite.solutions,
        batch_size=settings.batch_size,
        reference_free=suite.reference_free,
        smoke=settings.smoke,
    )
    source = settings.data
    if settings.smoke and source is None:
        source = _drawn(prior, params, folder)
    return Bench(
        prior=prior,
        params=params,
        data=open_data(settings, source, scorer, least=_least(suite, cells, prior)),
        scorer=scorer,
        options=options,
        folder=folder,
    )


def _least(suite: Suite, cells: Sequence[Cell], prior: Prior) -> int:
    """px, below which a photo serves no cell; those that are low-resolution already are enlarged
    where they are smaller."""
    if suite.reference_free:
        return 1
    return min(cell.photo_side(prior.info.resolution) for cell in cells)


def _drawn(prior: Prior, params: Params, out: Path) -> str:
    """Samples of the prior as photos, for a run without any."""
    folder = out / "smoke_photos"
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(SMOKE_PHOTOS):
        file = folder / f"sample_{i}.png"
        if not file.is_file():  # or a run that goes on would have other photos
            drawn = prior.decode(params, prior.sample(jax.random.key(i), params))
            images.write(file, np.asarray(drawn))
    return str(folder)


def moved_by(bench: Bench, cell: Cell) -> Consistency:
    """How far the cell's results are moved to explain their measurements."""
    return cell.consistency or bench.options.consistency[0]


def operator_of(bench: Bench, cell: Cell) -> operators.Operator:
    """What the cell's method inverts, at the prior's resolution."""
    side = bench.prior.info.resolution
    return make_operator(cell.operator, side, cell.enlargement(side), bench.options.kernel)


def degrading_of(bench: Bench, cell: Cell) -> operators.Operator:
    """What the cell's measurements are made by, of photos of `Cell.photo_side`."""
    side = cell.photo_side(bench.prior.info.resolution)
    return make_operator(cell.operator, side, cell.factor, bench.options.kernel)


@functools.lru_cache(maxsize=8)
def make_operator(name: str, side: int, factor: int, kernel: str) -> operators.Operator:
    """Made once for all photos of a cell: another one would compile its pseudo-inverse again."""
    return operators.make(name, side, factor=factor, kernel=cast(resample.Kernel, kernel))
