"""Which photos a calibration is made with, and which it is judged by; read and degraded as
super_resolve.py does with references."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from restoration.fitting import Fitter
from restoration.intervals_made import TypeReader

from calibration.options import Settings, counts
from jaxsr import data, degradations, images, loading, operators
from jaxsr.records import files

MARK = b"rainedAlgorithmicMedia"  # of IPTC's digital source types, those of generated pictures
SPLIT_SEED = 30  # of the split into two sets; --seed is of the searches


class Sample(NamedTuple):
    """A photo to search: where it is, and whether it calibrates or tests."""

    photos: data.Photos
    index: int
    calibrates: bool

    @property
    def name(self) -> str:
        return self.photos.names[self.index]

    @property
    def key(self) -> str:
        """Of its file of solutions: of one photo whatever else there is."""
        return hashlib.sha256(files.encoded(self.photos.stamps[self.index])).hexdigest()[:16]


class Degraded(NamedTuple):
    """A photo [R, R, 3], what the operator leaves of it, and the noise found in that."""

    truth: np.ndarray
    y: np.ndarray
    noise: float


def choose(settings: Settings, prior_source: str) -> list[Sample]:
    """The photos, one that calibrates after one that tests, so that a part of the work serves both.

    Photos of one source are put in a random order that does not depend on --seed; those from the
    front calibrate, those from the back test, so that smaller numbers choose among the same.

    Raises:
        ValueError: there are too few, or they were drawn by a prior.
    """
    wanted, tested = counts(settings)
    sources = [str(settings.data), *([settings.test] if settings.test else [])]
    opened = []
    for source in sources:
        refuse_drawn(source, prior_source)
        opened.append(data.open_photos(source, settings))
    first, last = opened[0], opened[-1]
    for photos, count, flag in _needs(settings, first, last):
        if len(photos) < count:
            raise ValueError(
                f"{photos.source}: expected at least {count} photos for {flag}, got {len(photos)}"
            )
    calibrate = [Sample(first, i, True) for i in shuffled(len(first))[:wanted]]
    test = [Sample(last, i, False) for i in shuffled(len(last))[::-1][:tested]]
    return _alternating(calibrate, test)


def _needs(
    settings: Settings, first: data.Photos, last: data.Photos
) -> list[tuple[data.Photos, int, str]]:
    wanted, tested = counts(settings)
    if settings.test is None:
        return [(first, wanted + tested, "--num_photos and --num_test together")]
    return [(first, wanted, "--num_photos"), (last, tested, "--num_test")]


def shuffled(count: int) -> list[int]:
    """The numbers 0 .. count - 1 in a random order, the same every time."""
    return np.random.default_rng(SPLIT_SEED).permutation(count).tolist()


def _alternating(first: Sequence[Sample], second: Sequence[Sample]) -> list[Sample]:
    ranks = [(i / max(len(part), 1), part[i]) for part in (first, second) for i in range(len(part))]
    return [sample for _, sample in sorted(ranks, key=lambda pair: pair[0])]


def refuse_drawn(source: str, prior_source: str) -> None:
    """Raises ValueError for pictures that a prior drew, as far as their place or their mark tells:
    real photos lie off the prior, so that intervals would be too narrow for them."""
    path = Path(source)
    folders = (loading.prior_folder(prior_source).resolve(), files.ASSETS.resolve())
    if any(path.resolve().is_relative_to(folder) for folder in folders):
        raise ValueError(f"{source}: expected real photos, got a prior's own pictures")
    walked = [path] if path.is_file() else sorted(path.rglob("*")) if path.is_dir() else []
    marked = next((file for file in walked if file.is_file() and MARK in file.read_bytes()), None)
    if marked is not None:
        raise ValueError(
            f"{marked}: expected real photos, got a picture that is marked as generated"
        )


def degraded(sample: Sample, fitter: Fitter, factor: int) -> Degraded:
    """The centre square at the prior's resolution, its measurement in 8 bits, and the noise of
    that. Raises ValueError for a photo that cannot be read or is smaller."""
    picture = sample.photos.picture(sample.index)
    height, width = picture.shape[:2]
    if min(height, width) < fitter.resolution:
        raise ValueError(
            f"{sample.name}: {width}x{height} px is smaller than the prior's "
            f"{fitter.resolution}x{fitter.resolution} px: it must not be enlarged"
        )
    truth = picture.square(mode="crop")[0].resize_area(fitter.resolution)
    y = np.asarray(degradations.recorded(fitter.operator(factor).apply(jnp.asarray(truth))))
    return Degraded(truth, y, images.noise_of(y) if operators.is_image(y.shape) else 0.0)


def labels_of(file: str, reader: TypeReader) -> dict[str, str]:
    """The labelled type of each photo, as far as the network knows it. Raises ValueError for a
    table without any that it knows."""
    if not Path(file).is_file():
        raise ValueError(f"{file}: expected a table of labels, got no such file")
    rows = data.read_labels(file)
    found = {row.get("file", ""): row.get(reader.label, "").strip() for row in rows}
    known = {name: value for name, value in found.items() if value in reader.types}
    if not known:
        got = ", ".join(rows[0]) if rows else "no row"
        raise ValueError(
            f'{file}: expected columns "file" and "{reader.label}" with values such as '
            f"{reader.types[0]!r}, got {got}"
        )
    return known
