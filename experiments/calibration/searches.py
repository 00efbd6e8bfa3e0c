"""The searches of a calibration: K solutions of each photo, a file a photo, which outlives a
kill."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from restoration import fitting, plan, tolerances
from restoration.fitting import REFERENCE_FACTOR, Fitter
from restoration.intervals_fingerprint import Fingerprint, fingerprint
from restoration.options import operator_choice
from restoration.photos import tolerance_of
from restoration.plan import Method
from tqdm import tqdm

from calibration import photos
from calibration.options import Settings, as_restored
from calibration.photos import Degraded, Sample
from jaxsr import flags, images, loading
from jaxsr.methods import project, trusted
from jaxsr.priors import Prior
from jaxsr.records import files
from jaxsr.search import EPS, restore
from jaxsr.types import Params

FOLDER = "solutions"


class Bench(NamedTuple):
    """What is calibrated: the flags, the prior with its parameters, how photos meet it, the factor,
    the method, and what the calibration is for."""

    settings: Settings
    prior: Prior
    params: Params
    fitter: Fitter
    factor: int
    method: Method
    fingerprint: Fingerprint


class Searched(NamedTuple):
    """The solutions of a photo as their files would hold them.

    Attributes:
        name: of the photo.
        calibrates: whether the photo calibrates; else it tests.
        truth: [R, R, 3] in [0, 1].
        y: its measurement.
        noise: standard deviation found in y, of [0, 1].
        solutions: [K, R, R, 3] in [0, 1].
        residual: [K], mean square.
        feasible: [K].
    """

    name: str
    calibrates: bool
    truth: np.ndarray
    y: np.ndarray
    noise: float
    solutions: np.ndarray
    residual: np.ndarray
    feasible: np.ndarray


def open_bench(settings: Settings, prior_source: str) -> Bench:
    """Raises ValueError where the prior lacks what the method needs; nothing is compiled."""
    asked = as_restored(settings)
    flags.cache_compilations()
    prior, params = loading.load_prior(prior_source, dtype=flags.compute_in(settings.precision))
    fitter = fitting.make_fitter(
        prior.info.resolution, operator_choice(asked), "crop", references=True, reading=settings
    )
    factor = (settings.factor or REFERENCE_FACTOR) if fitter.kind.takes_factor else 1
    operator = fitter.operator(factor)
    method = plan.make_method(prior, params, operator, asked)
    mark = fingerprint(asked, prior, params, operator, method)
    return Bench(settings, prior, params, fitter, factor, method, mark)


def search_all(bench: Bench, folder: Path, samples: Sequence[Sample]) -> list[str]:
    """Searches the photos whose solutions the folder lacks; returns why some cannot be used."""
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    missing = [sample for sample in samples if not _path(folder, sample).exists()]
    at_once = max(1, bench.settings.batch_size // bench.settings.num_solutions)
    lost: list[str] = []
    with tqdm(
        total=len(samples),
        initial=len(samples) - len(missing),
        unit="photo",
        disable=not bench.settings.progress,
        dynamic_ncols=True,
    ) as bar:
        for first in range(0, len(missing), at_once):
            block = missing[first : first + at_once]
            lost += _search(bench, folder, block)
            bar.update(len(block))
    return lost


def _search(bench: Bench, folder: Path, block: Sequence[Sample]) -> list[str]:
    read: list[tuple[Sample, Degraded]] = []
    lost = []
    for sample in block:
        try:
            read.append((sample, photos.degraded(sample, bench.fitter, bench.factor)))
        except (ValueError, OSError) as error:
            lost.append(str(error))
    if read:
        found = solutions(bench, [photo for _, photo in read])
        for (sample, photo), (pictures, residual, feasible) in zip(read, found, strict=True):
            with files.replacing(_path(folder, sample)) as temporary, temporary.open("wb") as file:
                np.savez_compressed(
                    file,
                    **photo._asdict(),
                    name=sample.name,
                    solutions=pictures,
                    residual=residual,
                    feasible=feasible,
                )
    return lost


def _eps(bench: Bench, photo: Degraded) -> float:
    operator, kind = bench.method.solve.operator, bench.fitter.kind
    tolerance = tolerance_of(photo.y, operator, known=kind.idempotent)
    return tolerances.eps_of(tolerance, as_restored(bench.settings), bench.method.solve)


def solutions(
    bench: Bench, found: Sequence[Degraded]
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of each photo its K solutions as 8-bit pictures, their residuals and feasibilities: the very
    results of super_resolve.py --num_solutions=K."""
    settings, count = bench.settings, bench.settings.num_solutions
    ys = np.repeat(np.stack([photo.y for photo in found]), count, axis=0)
    seeds = [settings.seed + i for _ in found for i in range(count)]
    noises = np.repeat([noise_of(photo.noise, settings) for photo in found], count)
    limits = np.repeat([_eps(bench, photo) for photo in found], count)
    results = restore(
        bench.method.solve,
        bench.method.params,
        ys,
        seed=seeds,
        told={EPS: tolerances.searched_to(limits, as_restored(settings), bench.method.solve)},
        batch_size=settings.batch_size,
        progress=False,
    )
    results = project(bench.method.solve, results, ys, noises, limits)
    whole = np.asarray(
        np.isfinite(results.image).all((1, 2, 3))
    )  # a search that went to infinity has none
    finite = np.where(whole[:, None, None, None], results.image, 0.0)
    pictures = np.stack([images.to_uint8(picture) for picture in finite])
    parts = (pictures, results.residual, results.feasible & whole)
    return list(
        zip(*(part.reshape(len(found), count, *part.shape[1:]) for part in parts), strict=True)
    )


def noise_of(found: float, settings: Settings) -> float:
    """The noise that a result is moved with."""
    return trusted(settings.consistency, found if settings.noise is None else settings.noise)


def load_all(folder: Path, samples: Sequence[Sample]) -> list[Searched]:
    """The photos whose solutions the folder has, in order."""
    return [load(folder, sample) for sample in samples if _path(folder, sample).exists()]


def check_apart(found: Sequence[Searched]) -> None:
    """Raises ValueError for a photo that both calibrates and tests, whatever its names."""
    digests = {photo.truth.tobytes(): photo.name for photo in found if photo.calibrates}
    for photo in found:
        other = digests.get(photo.truth.tobytes())
        if other is not None and not photo.calibrates:
            raise ValueError(
                f"{photo.name} and {other} are one photo: it must not test what it calibrated"
            )


def load(folder: Path, sample: Sample) -> Searched:
    with np.load(_path(folder, sample)) as file:
        return Searched(
            sample.name,
            sample.calibrates,
            file["truth"],
            file["y"],
            float(file["noise"]),
            file["solutions"].astype(np.float32) / 255,
            file["residual"],
            file["feasible"],
        )


def _path(folder: Path, sample: Sample) -> Path:
    return folder / FOLDER / f"{sample.key}.npz"
