"""One cell of an evaluation, a method at a factor under a degradation, over many photos: restored,
written, scored, a row a photo."""

import dataclasses
import functools
import re
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from evaluation.scores import Scorer
from evaluation.suites import Variant
from jaxsr import data, degradations, images, learned, operators, resample
from jaxsr.degradations import Degradation
from jaxsr.methods import METHODS
from jaxsr.methods.setups import Setup, make_solve, values_of
from jaxsr.operators import OPERATORS
from jaxsr.priors import Prior
from jaxsr.search import Solve, restore_batches
from jaxsr.types import Params, Result

FEASIBLE = 2e-3  # PULSE's bound on the mean squared residual, for what has none of its own
KEY = ("cell", "photo", "solution")
# The real photo in place of a method: how it is judged is what a perfect restoration would be.
REFERENCE = "reference"


class Cell(NamedTuple):
    """A row of the table for one operator (at one factor, where it has one) under one
    degradation."""

    variant: Variant
    operator: str
    factor: int
    degradation: str

    @property
    def conditions(self) -> str:
        """What all methods of one table have in common, as file names have it."""
        operator = f"x{self.factor}" if OPERATORS[self.operator].takes_factor else self.operator
        return f"{operator}_{self.degradation}"

    @property
    def name(self) -> str:
        """The folder of its images: unique within a suite."""
        label = re.sub(r"[^a-z0-9.]+", "_", self.variant.label.lower().replace("+", "_plus")).strip(
            "_"
        )
        return f"{label}_{self.conditions}"


class Photo(NamedTuple):
    """A photo as it is restored: its name, that of its pictures, its centre square at the prior's
    resolution, the measurement of that."""

    name: str
    stem: str
    reference: np.ndarray
    y: np.ndarray


@dataclasses.dataclass(frozen=True)
class Bench:
    """What all cells share.

    Attributes:
        prior, params: what restores.
        photos, indices: what is restored.
        scorer: what judges.
        labels: photo's name -> its labelled type, if there are labels.
        folder: where the images go, in images/CELL/.
        preset, network, exact, kernel, models, seed, solutions, batch_size: as in the flags.
        smoke: few steps.
    """

    prior: Prior
    params: Params
    photos: data.Photos
    indices: Sequence[int]
    scorer: Scorer
    labels: Mapping[str, str]
    folder: Path
    preset: str
    network: str | None
    exact: bool
    kernel: str
    models: str | None
    seed: int
    solutions: int
    batch_size: int
    smoke: bool


def kind_of(method: str) -> str:
    """The kind of a method in METHODS, or "reference"."""
    return METHODS[method].kind if method in METHODS else REFERENCE


def settings_of(bench: Bench, cell: Cell) -> dict[str, Any]:
    """Every setting of the cell's method; none for the real photo."""
    if cell.variant.method not in METHODS:
        return {}
    return values_of(_setup(bench, cell.variant), bench.prior, operator_of(bench, cell))


def _setup(bench: Bench, variant: Variant) -> Setup:
    model = model_of(variant, bench.models)
    settings = {**variant.settings, "model": model} if model else variant.settings
    return Setup(
        variant.method,
        bench.preset,
        bench.network,
        bench.solutions,
        bench.exact,
        bench.smoke,
        settings,
    )


def operator_of(bench: Bench, cell: Cell) -> operators.Operator:
    return _operator(cell.operator, bench.prior.info.resolution, cell.factor, bench.kernel)


@functools.lru_cache(maxsize=8)
def _operator(name: str, side: int, factor: int, kernel: str) -> operators.Operator:
    """Made once for all photos of a cell: another one would compile its pseudo-inverse again."""
    return operators.make(name, side, factor=factor, kernel=cast(resample.Kernel, kernel))


def model_of(variant: Variant, models: str | None) -> str:
    """The folder of a learned restorer's model, in `models` if given: the one that its row names,
    or that the method does; "" for the bundled one, and for what has no model."""
    if kind_of(variant.method) != "learned" or (models is None and "model" not in variant.settings):
        return ""
    return str(Path(models or "models") / variant.settings.get("model", variant.method) / "model")


def lacking(
    prior: Prior, params: Params, cells: Sequence[Cell], kernel: str, models: str | None
) -> dict[str, str]:
    """Name of a cell -> why it cannot be run: a learned restorer that nobody trained for the prior
    and the operator, or a damaged one."""
    found = {}
    for cell in cells:
        if kind_of(cell.variant.method) == "learned":
            operator = _operator(cell.operator, prior.info.resolution, cell.factor, kernel)
            try:
                learned.load(
                    cell.variant.method, prior, params, operator, model_of(cell.variant, models)
                )
            except ValueError as error:
                found[cell.name] = str(error)
    return found


class Method(NamedTuple):
    """A cell's method, and its parameters: the prior's and the networks that it needs."""

    solve: Solve
    params: Params


def method_of(bench: Bench, cell: Cell) -> Method | None:
    """The cell's method, None for the real photo. Raises ValueError when what it needs is missing,
    before anything is compiled."""
    if cell.variant.method == REFERENCE:
        return None
    return Method(
        *make_solve(
            bench.prior, bench.params, operator_of(bench, cell), _setup(bench, cell.variant)
        )
    )


def warm_up(bench: Bench, method: Method | None) -> None:
    """Compiles a method, by restoring a grey photo, so that no photo's seconds include it."""
    if method is not None:
        y = np.full((1, *method.solve.operator.measurement_shape), 0.5, np.float32)
        list(
            restore_batches(
                method.solve, method.params, y, batch_size=bench.batch_size, progress=False
            )
        )


def units(bench: Bench) -> list[Sequence[int]]:
    """The photos in the pieces that one process does at a time: a batch each."""
    return [
        bench.indices[i : i + bench.batch_size]
        for i in range(0, len(bench.indices), bench.batch_size)
    ]


def do_unit(bench: Bench, cell: Cell, method: Method | None, indices: Sequence[int]) -> list[dict]:
    """Restores photos, writes their images and returns their rows; a photo that fails has a row
    that says why."""
    rows, read = [], []
    for index, (name, image) in zip(indices, data.stream(bench.photos, indices), strict=True):
        try:
            if isinstance(image, Exception):
                raise image
            read.append(_measure(bench, cell, index, name, image))
        except (ValueError, OSError) as error:
            rows += [
                _row(cell, name, s) | {"status": "error", "error": str(error)}
                for s in range(bench.solutions)
            ]
    for photo, made in zip(read, _restored(bench, cell, method, read), strict=True):
        rows += _rows(bench, cell, photo, made)
    return rows


def _measure(bench: Bench, cell: Cell, index: int, name: str, image: np.ndarray) -> Photo:
    """The photo brought to the prior's resolution, and its measurement; the noise depends on the
    photo's name and the seed alone."""
    side = bench.prior.info.resolution
    if min(image.shape[:2]) < side:
        height, width = image.shape[:2]
        raise ValueError(f"{name}: expected sides of at least {side} px, got {width} x {height}")
    reference = np.clip(images.resize_area(images.square(image, mode="crop")[0], side), 0.0, 1.0)
    key = jax.random.fold_in(jax.random.key(bench.seed), zlib.crc32(name.encode()))
    stem = re.sub(r"[^A-Za-z0-9-]+", "_", f"{index:05d}_{Path(name).with_suffix('')}")[:120]
    return Photo(
        name,
        stem,
        reference,
        _measurement(operator_of(bench, cell), cell.degradation, key, reference),
    )


def _measurement(
    operator: operators.Operator, degradation: str, key: jax.Array, reference: np.ndarray
) -> np.ndarray:
    chosen: Degradation = degradations.ROBUSTNESS[degradation]
    before, after = jax.random.split(key)
    # `evaluate.plan` lets no other degradation through.
    if not operators.is_image(operator.measurement_shape):
        return np.asarray(operator.apply(jnp.asarray(reference)))
    return np.asarray(
        chosen.on_measurement(
            after, operator.apply(jnp.asarray(chosen.on_image(before, reference)))
        ),
        np.float32,
    )


class Made(NamedTuple):
    """The results for one photo: images [solutions, H, W, 3], seconds a solution, and columns of
    rows, [solutions] each."""

    images: np.ndarray
    seconds: float
    columns: dict[str, np.ndarray]


def _restored(
    bench: Bench, cell: Cell, method: Method | None, photos: Sequence[Photo]
) -> Iterator[Made]:
    if not photos:
        return
    start = time.perf_counter()
    if method is None:
        made, columns = (
            np.repeat([p.reference for p in photos], bench.solutions, 0),
            _judged(operator_of(bench, cell), bench, photos),
        )
    else:
        ys = np.stack([p.y for p in photos for _ in range(bench.solutions)])
        seeds = [bench.seed + s for _ in photos for s in range(bench.solutions)]
        results = restore_batches(
            method.solve, method.params, ys, seed=seeds, batch_size=bench.batch_size, progress=False
        )
        made, columns = _joined([result for _, result in results])
    seconds = (time.perf_counter() - start) / len(made)
    for i in range(len(photos)):
        mine = slice(i * bench.solutions, (i + 1) * bench.solutions)
        yield Made(made[mine], seconds, {name: values[mine] for name, values in columns.items()})


def _judged(
    operator: operators.Operator, bench: Bench, photos: Sequence[Photo]
) -> dict[str, np.ndarray]:
    """How well the real photos explain their measurements."""
    residuals = np.repeat(
        [np.mean((np.asarray(operator(p.reference)) - p.y) ** 2) for p in photos], bench.solutions
    )
    return {"residual": residuals, "feasible": residuals <= FEASIBLE}


def _joined(results: Sequence[Result]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Images and columns of a method's results in several batches."""
    columns = [{"residual": r.residual, "feasible": r.feasible} for r in results]
    for found, result in zip(columns, results, strict=True):
        found |= {name: value for name, value in result.latent.items() if name == "residual_before"}
    joined = {name: np.concatenate([found[name] for found in columns]) for name in columns[0]}
    return np.concatenate([result.image for result in results]), joined


def _rows(bench: Bench, cell: Cell, photo: Photo, made: Made) -> list[dict]:
    """Writes the images of one photo and scores them as they were written, in 8 bits."""
    paths = picture_paths(bench, cell, photo.stem)
    rows, written = [], []
    for s, image in enumerate(made.images):
        found = {
            "seconds": made.seconds,
            **{name: values[s].item() for name, values in made.columns.items()},
        }
        row = _row(cell, photo.name, s) | found
        try:
            pixels = _write(bench.folder / paths.results[s], image)
            scores = bench.scorer.pair(pixels, _rounded(photo.reference))
            rows.append(
                row
                | scores
                | _type_right(bench, photo.name, pixels)
                | {"status": "ok", "output": str(paths.results[s])}
            )
            written.append(pixels)
        except ValueError as error:
            rows.append(row | {"status": "error", "error": f"{photo.name}: {error}"})
    _write_once(bench.folder / paths.reference, photo.reference)
    _write_once(
        bench.folder / paths.measurement,
        np.asarray(operators.as_image(operator_of(bench, cell), jnp.asarray(photo.y))),
    )
    if len(written) > 1 and kind_of(cell.variant.method) != "interpolation":
        spread = bench.scorer.diversity(written)
        rows = [row | {"diversity": spread} for row in rows]
    return [
        {**row, "reference": str(paths.reference), "measurement": str(paths.measurement)}
        for row in rows
    ]


def _type_right(bench: Bench, name: str, pixels: np.ndarray) -> dict[str, float]:
    label = bench.labels.get(name)
    return {"type_right": float(bench.scorer.type_of(pixels) == label)} if label else {}


def _row(cell: Cell, name: str, solution: int) -> dict:
    row = {
        "cell": cell.name,
        "method": cell.variant.label,
        "operator": cell.operator,
        "factor": cell.factor,
    }
    return row | {"degradation": cell.degradation, "photo": name, "solution": solution}


class Paths(NamedTuple):
    """Where the pictures of a photo lie, relative to the folder of the evaluation."""

    results: list[Path]
    reference: Path
    measurement: Path


def picture_paths(bench: Bench, cell: Cell, stem: str) -> Paths:
    ends = (
        [f"{stem}.png"]
        if bench.solutions == 1
        else [f"{stem}_s{s}.png" for s in range(bench.solutions)]
    )
    root = Path("images")
    measurement = root / f"measurement_{cell.conditions}" / f"{stem}.png"
    return Paths(
        [root / cell.name / end for end in ends], root / "reference" / f"{stem}.png", measurement
    )


def _rounded(image: np.ndarray) -> np.ndarray:
    """The image as a file of 8 bits holds it."""
    return images.to_uint8(image) / np.float32(255)


def _write(path: Path, image: np.ndarray) -> np.ndarray:
    """Writes an image and returns it as it was written. Raises ValueError for one that is not
    finite."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, image)
    return _rounded(image)


def _write_once(path: Path, image: np.ndarray) -> None:
    """Writes what all cells have in common, unless it is there. Another process that writes the
    same at the same time is no error."""
    if not path.exists():
        try:
            _write(path, image)
        except OSError:
            if not path.exists():
                raise
