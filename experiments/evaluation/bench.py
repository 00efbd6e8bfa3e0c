"""What all cells of an evaluation share: prior, photos with their labels, scorer, options."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import jax
import numpy as np

from evaluation.cells import Cell
from evaluation.options import Settings
from evaluation.scores import Scorer
from evaluation.suites import Suite
from jaxsr import data, images, operators, resample
from jaxsr.methods import Consistency
from jaxsr.priors import Prior
from jaxsr.records import report
from jaxsr.types import Params

SMOKE_PHOTOS = 4


class Data(NamedTuple):
    """What is restored.

    Attributes:
        photos: all that there are.
        indices: of those that are restored.
        labels: photo's name -> its labelled type, if there are labels.
    """

    photos: data.Photos
    indices: Sequence[int]
    labels: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        """Of the photos that are restored."""
        return [self.photos.names[i] for i in self.indices]


@dataclasses.dataclass(frozen=True)
class Options:
    """How all methods are run, as in the flags of these names; `solutions` may be the suite's."""

    preset: str = "paper"
    network: str | None = None
    consistency: Consistency = "auto"
    kernel: str = "bicubic"
    models: str | None = None
    seed: int = 0
    solutions: int = 1
    batch_size: int = 8
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
    settings: Settings, suite: Suite, prior: Prior, params: Params, folder: Path
) -> Bench:
    """Everything that the cells share; photos are listed, not yet read."""
    scorer = Scorer(prior.info.resolution, settings.features)
    options = Options(
        preset=settings.preset,
        network=settings.network,
        consistency=settings.consistency or ("none" if settings.suite else "auto"),
        kernel=settings.kernel,
        models=settings.models,
        seed=settings.seed,
        solutions=suite.solutions,
        batch_size=settings.batch_size,
        smoke=settings.smoke,
    )
    source = settings.data
    if settings.smoke and source is None:
        source = _drawn(prior, params, folder)
    return Bench(
        prior=prior,
        params=params,
        data=_open_data(settings, source, scorer),
        scorer=scorer,
        options=options,
        folder=folder,
    )


def _open_data(settings: Settings, source: str | None, scorer: Scorer) -> Data:
    """Photos of the source, evenly spaced, of which at least one can be read. Raises ValueError
    where there is none, and for labels of other photos."""
    if not source:
        raise ValueError(
            "--data is missing: expected a folder of photos, a .tar of photos, or tfds:NAME@SPLIT"
        )
    photos = data.open_photos(source)
    if not len(photos):
        raise ValueError(f"{source}: expected photos, got none")
    count = min(settings.num_photos, len(photos), SMOKE_PHOTOS if settings.smoke else len(photos))
    indices = [int(i) for i in np.linspace(0, len(photos) - 1, count).round()]
    _check_readable(photos, indices)
    found = Data(photos, indices, labels_of(settings, scorer))
    if found.labels and not any(name in found.labels for name in found.names):
        raise ValueError(
            f"{settings.labels}: expected names such as {found.names[0]!r}, got "
            f"{next(iter(found.labels))!r}"
        )
    return found


def labels_of(settings: Settings, scorer: Scorer) -> dict[str, str]:
    """The labelled type of each photo. Raises ValueError for a table that has none."""
    if settings.labels is None:
        return {}
    if not Path(settings.labels).is_file():
        raise ValueError(f"{settings.labels}: expected a table of labels, got no such file")
    name, values = scorer.net.config.heads[0]
    found = {row.get("file", ""): row.get(name, "") for row in report.read_csv(settings.labels)}
    if not any(value in values for value in found.values()):
        raise ValueError(
            f'{settings.labels}: expected columns "file" and "{name}" with values such as '
            f"{values[0]!r}, got none"
        )
    return {file: value for file, value in found.items() if value in values}


def _check_readable(photos: data.Photos, indices: Sequence[int]) -> None:
    """Raises ValueError, with the first one's reason, if no photo can be read; else reads no
    further than the first that can."""
    first = None
    for name, image in data.stream(photos, indices):
        if not isinstance(image, Exception):
            return
        first = first or f"{name}: {image}"
    raise ValueError(
        f"{photos.source}: expected photos, got {len(indices)} of which none can be read, the "
        f"first: {first}"
    )


def _drawn(prior: Prior, params: Params, out: Path) -> str:
    """Samples of the prior as photos, for a run without any."""
    folder = out / "smoke_photos"
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(SMOKE_PHOTOS):
        images.write(
            folder / f"sample_{i}.png",
            np.asarray(prior.decode(params, prior.sample(jax.random.key(i), params))),
        )
    return str(folder)


def operator_of(bench: Bench, cell: Cell) -> operators.Operator:
    return make_operator(
        cell.operator, bench.prior.info.resolution, cell.factor, bench.options.kernel
    )


@functools.lru_cache(maxsize=8)
def make_operator(name: str, side: int, factor: int, kernel: str) -> operators.Operator:
    """Made once for all photos of a cell: another one would compile its pseudo-inverse again."""
    return operators.make(name, side, factor=factor, kernel=cast(resample.Kernel, kernel))
