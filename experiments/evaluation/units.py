"""Photos of one cell: restored, written, scored as they were written, a row a result."""

import re
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from evaluation import pictures
from evaluation.bench import Bench, Options, degrading_of, moved_by, operator_of
from evaluation.cells import Cell, kind_of
from evaluation.methods import Method
from jaxsr import data, degradations, images, operators, resample
from jaxsr.degradations import Degradation
from jaxsr.methods import Consistency, project, trusted
from jaxsr.records import files
from jaxsr.search import restore_batches
from jaxsr.types import Result

# How what a row says of a photo that was brought to another size begins.
SHRUNK, ENLARGED = "made smaller", "enlarged"
FEASIBLE = 2e-3  # PULSE's bound on the mean squared residual, for what has none of its own


def units(bench: Bench) -> list[Sequence[int]]:
    """The photos in the pieces that one process does at a time: a batch each."""
    indices, size = bench.data.indices, bench.options.batch_size
    return [indices[i : i + size] for i in range(0, len(indices), size)]


def do_unit(
    bench: Bench, cells: Sequence[Cell], method: Method | None, indices: Sequence[int]
) -> list[dict]:
    """Restores photos, writes their images and returns their rows; a photo that fails has rows that
    say why. The cells are of one search."""
    rows, read = [], []
    side = _read_side(bench, cells[0])
    stamps = {bench.data.photos.names[i]: bench.data.stamp(i) for i in indices}
    seen = data.stream(bench.data.photos, indices, work=lambda picture: _seen(picture, side))
    for index, (name, photo) in zip(indices, seen, strict=True):
        try:
            if isinstance(photo, Exception):
                raise photo
            read.append(_measure(bench, cells[0], index, name, photo))
        except (ValueError, OSError) as error:
            rows += [
                _row(cell, name, s) | {"status": "error", "error": str(error)}
                for cell in cells
                for s in range(bench.options.solutions)
            ]
    for cell, photo, made in _restored(bench, cells, method, read):
        rows += _rows(bench, cell, photo, made)
    return [row | {"stamp": stamps[row["photo"]]} for row in rows]


class Seen(NamedTuple):
    """A photo as it was read: its centre square, no larger than needed, [s, s, 3] in [0, 1]; the
    shape of all of it; what was told of it."""

    square: np.ndarray
    shape: tuple[int, ...]
    remark: str


def _read_side(bench: Bench, cell: Cell) -> int:
    """px, of the square that a cell needs of a photo."""
    side = cell.photo_side(bench.prior.info.resolution)
    return side // cell.factor if bench.options.reference_free else side


def _seen(picture: images.Picture, side: int) -> Seen:
    """The centre square, brought to a side by area average where it is larger."""
    square, _ = picture.square(mode="crop")
    pixels = square.image() if square.shape[0] <= side else square.resize_area(side)
    return Seen(np.clip(pixels, 0.0, 1.0), picture.shape, picture.remark)


class Photo(NamedTuple):
    """A photo as it is restored: its name, that of its pictures, its centre square as it is
    degraded, None if it is low-resolution already, the measurement of that, the noise to reckon
    with, landmarks [5, 2] in px of the square at the side that is judged, if there are some, and
    how a photo that is low-resolution already was brought to its size, "" if it was not, and what
    was told when it was read."""

    name: str
    stem: str
    original: np.ndarray | None
    y: np.ndarray
    noise: float
    landmarks: np.ndarray | None
    fit: str
    remark: str


def _measure(bench: Bench, cell: Cell, index: int, name: str, seen: Seen) -> Photo:
    """The photo as its cell has it, and its measurement."""
    place = re.sub(r"[^A-Za-z0-9-]+", "_", str(Path(name).with_suffix("")))[-100:]
    stem = f"{place}_{bench.data.stamp(index)}"  # what replaces a photo has pictures of its own
    side, fit = _read_side(bench, cell), ""
    if bench.options.reference_free:
        original, (y, fit) = None, _fitted(seen, side)
    else:
        original = _original(name, seen, side)
        y = _measured(bench, cell, name, original)
    given = bench.options.noise
    noise = _noise(cell.degradation, y) if given is None else given
    points = bench.data.landmarks.get(name)
    if points is not None:
        points = _moved(points, seen.shape, cell.side(bench.prior.info.resolution))
    return Photo(name, stem, original, y, noise, points, fit, seen.remark)


def _original(name: str, seen: Seen, side: int) -> np.ndarray:
    """The photo's centre square at a side. Raises ValueError for a smaller photo."""
    if len(seen.square) < side:
        height, width = seen.shape[:2]
        raise ValueError(f"{name}: expected sides of at least {side} px, got {width} x {height}")
    return seen.square


def _shrunk(image: np.ndarray, side: int) -> np.ndarray:
    """A square image at a side that is no larger, by area average, in [0, 1]."""
    image = np.clip(image, 0.0, 1.0)
    return image if len(image) == side else np.clip(images.resize_area(image, side), 0.0, 1.0)


def _fitted(seen: Seen, side: int) -> tuple[np.ndarray, str]:
    """The centre square of a low-resolution photo at the side that the cell restores, where it is
    larger as it was read, bicubically enlarged where it is smaller; and what of that was done."""
    was = min(seen.shape[:2])
    scaled = f"{was} x {was} px became {side} x {side} px"
    if was >= side:
        return seen.square, f"{SHRUNK}: {scaled}" if was > side else ""
    large = resample.upsample(seen.square, (side, side))
    return np.clip(np.asarray(large), 0.0, 1.0), f"{ENLARGED}: {scaled}"


def _moved(points: np.ndarray, shape: tuple[int, ...], side: int) -> np.ndarray:
    """Points in px of a photo [h, w, 3] in px of its centre square at a side; the first pixel's
    centre is at 0 in both."""
    height, width = shape[:2]
    whole = min(height, width)
    before = np.array([(width - whole) // 2, (height - whole) // 2])
    return (points - before + 0.5) * (side / whole) - 0.5


def _measured(bench: Bench, cell: Cell, name: str, original: np.ndarray) -> np.ndarray:
    """The noise depends on the photo's name and the seed alone."""
    key = jax.random.fold_in(jax.random.key(bench.options.seed), zlib.crc32(files.encoded(name)))
    return _measurement(degrading_of(bench, cell), cell.degradation, key, original)


def _noise(degradation: str, y: np.ndarray) -> float:
    """As a user finds it who has the measurement as a file, and does not know what happened."""
    if not operators.is_image(y.shape):
        return 0.0
    compression = degradations.ROBUSTNESS[degradation].compression
    return images.noise_of(y, images.recompression_noise(y, compression) if compression else 0.0)


def _measurement(
    operator: operators.Operator, degradation: str, key: jax.Array, reference: np.ndarray
) -> np.ndarray:
    chosen: Degradation = degradations.ROBUSTNESS[degradation]
    before, after = jax.random.split(key)
    # `evaluation.plan` lets no other degradation through.
    if not operators.is_image(operator.measurement_shape):
        return np.asarray(operator.apply(jnp.asarray(reference)))
    y = operator.apply(jnp.asarray(chosen.on_image(before, reference)))
    return np.asarray(chosen.on_measurement(after, y), np.float32)


class Made(NamedTuple):
    """The results for one photo: images [solutions, H, W, 3], seconds a solution, and columns of
    rows, [solutions] each."""

    images: np.ndarray
    seconds: float
    columns: dict[str, np.ndarray]


def _restored(
    bench: Bench, cells: Sequence[Cell], method: Method | None, photos: Sequence[Photo]
) -> Iterator[tuple[Cell, Photo, Made]]:
    """What every photo has become in each cell of one search."""
    if not photos:
        return
    solutions, start = bench.options.solutions, time.perf_counter()
    if method is None:
        originals = [photo.original for photo in photos if photo.original is not None]
        columns = _explained(degrading_of(bench, cells[0]), photos, solutions)
        found = [(np.repeat(originals, solutions, 0), columns)]
    else:
        results = _searched(bench.options, method, photos)
        found = [
            _moved_to(moved_by(bench, cell), method, photos, results, solutions) for cell in cells
        ]
    seconds = (time.perf_counter() - start) / (len(photos) * solutions)
    for cell, (made, columns) in zip(cells, found, strict=True):
        for i, photo in enumerate(photos):
            mine = slice(i * solutions, (i + 1) * solutions)
            parts = {name: values[mine] for name, values in columns.items()}
            yield cell, photo, Made(made[mine], seconds, parts)


def _moved_to(
    way: Consistency,
    method: Method,
    photos: Sequence[Photo],
    batches: Sequence[tuple[np.ndarray, Result]],
    solutions: int,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Images and columns of `_searched`, moved to explain their measurements."""
    ys = np.repeat([photo.y for photo in photos], solutions, 0)
    noises = np.repeat([trusted(way, photo.noise) for photo in photos], solutions)
    results = [project(method.solve, found, ys[rows], noises[rows]) for rows, found in batches]
    made, columns = _joined(results)
    return made, columns | {"noise": np.repeat([photo.noise for photo in photos], solutions)}


def _searched(
    options: Options, method: Method, photos: Sequence[Photo]
) -> list[tuple[np.ndarray, Result]]:
    """A method's results in batches with their rows: all solutions of the first photo, then those
    of the next."""
    seeds = [options.seed + s for s in range(options.solutions)]
    ys = np.repeat([photo.y for photo in photos], options.solutions, 0)
    batches = restore_batches(
        method.solve,
        method.params,
        ys,
        seed=seeds * len(photos),
        batch_size=options.batch_size,
        progress=False,
    )
    return list(batches)


def _explained(
    operator: operators.Operator, photos: Sequence[Photo], solutions: int
) -> dict[str, np.ndarray]:
    """How well the real photos explain their measurements."""
    each = [
        np.mean((np.asarray(operator(photo.original)) - photo.y) ** 2)
        for photo in photos
        if photo.original is not None
    ]
    residuals = np.repeat(each, solutions)
    return {"residual": residuals, "feasible": residuals <= FEASIBLE}


def _joined(results: Sequence[Result]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Images and columns of a method's results in several batches."""
    columns = [{"residual": r.residual, "feasible": r.feasible} for r in results]
    told = ("residual_before", "whiteness")
    for found, result in zip(columns, results, strict=True):
        found |= {name: value for name, value in result.latent.items() if name in told}
    joined = {name: np.concatenate([found[name] for found in columns]) for name in columns[0]}
    return np.concatenate([result.image for result in results]), joined


def _rows(bench: Bench, cell: Cell, photo: Photo, made: Made) -> list[dict]:
    """Writes the images of one photo, at the side that they are judged at, and scores them as they
    were written, in 8 bits."""
    paths = pictures.paths_of(cell, photo.stem, bench.options.solutions)
    side = cell.side(bench.prior.info.resolution)
    reference = None if photo.original is None else _shrunk(photo.original, side)
    rows, written = [], []
    for s, image in enumerate(made.images):
        columns = {name: values[s].item() for name, values in made.columns.items()}
        row = _row(cell, photo.name, s) | {"seconds": made.seconds, "remark": photo.remark}
        row |= columns
        try:
            pixels = pictures.write(bench.folder / paths.results[s], _shrunk(image, side))
            row |= _scores(bench, photo, pixels, reference)
            row |= {"status": "ok", "output": str(paths.results[s])}
            written.append(pixels)
        except ValueError as error:
            row |= {"status": "error", "error": f"{photo.name}: {error}"}
        rows.append(row)
    shared: dict[str, str | float] = {"measurement": str(paths.measurement), "fit": photo.fit}
    if reference is not None:
        shared["reference"] = str(paths.reference)
        pictures.write_once(bench.folder / paths.reference, reference)
    if len(written) > 1 and kind_of(cell.variant.method) != "interpolation":
        shared["diversity"] = bench.scorer.diversity(written)
    measured = operators.as_image(operator_of(bench, cell), jnp.asarray(photo.y))
    pictures.write_once(bench.folder / paths.measurement, np.asarray(measured))
    return [row | shared for row in rows]


def _scores(
    bench: Bench, photo: Photo, pixels: np.ndarray, reference: np.ndarray | None
) -> dict[str, float]:
    """Of a result as it was written; with a label, whether its type is that."""
    scorer = bench.scorer
    if reference is None:
        scores = scorer.single(pixels)
    else:
        scores = scorer.pair(pixels, pictures.rounded(reference), photo.landmarks)
    label = bench.data.labels.get(photo.name)
    if label:
        scores["type_right"] = float(scorer.type_of(pixels) == label)
    return scores


def _row(cell: Cell, name: str, solution: int) -> dict:
    row = {
        "cell": cell.name,
        "method": cell.title,
        "operator": cell.operator,
        "factor": cell.factor,
    }
    return row | {"degradation": cell.degradation, "photo": name, "solution": solution}
