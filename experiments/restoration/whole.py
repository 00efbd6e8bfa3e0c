"""Photos of any size through a published network that has no use for a prior: it enlarges them as
they are, in windows that overlap; nothing is searched or moved. One that makes images of one size,
with a generator of its own, takes their centre square."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from jaxsr import degradations, flags, images, learned, operators, plots, resample, weights
from jaxsr.images.large import read_part
from jaxsr.learned import KINDS
from jaxsr.methods import METHODS
from jaxsr.records import report
from jaxsr.records.files import only_here
from restoration import photos, scores, tiles
from restoration.jobs import Source
from restoration.options import Settings, check, named_otherwise, out_folder
from restoration.pictures import GRID, GRID_ROWS
from restoration.published import Network, load

COLUMNS = ("file", "output", "method", "factor", "seconds", *scores.SCORES)
COLUMNS += ("top_octave", "top_octave_reference", "fit", "remark", "status", "error", "digest")
# Flags that only a prior's results have a use for, at what they are left out.
UNREAD = {"operator": Settings.operator, "consistency": "auto", "noise": None, "mask": None}
UNREAD |= {"free": (), "align": Settings.align, "eps": Settings.eps}
UNREAD |= {"interval": None, "calibration": None}
UNREAD |= {"num_solutions": 1, "trajectory": False, "fit": "crop"}
# Pixels of the largest result that is scored: its spectrum takes more memory than the network.
MOST_SCORED = 1 << 24
SHOWN = 256  # px of a result in the grid, from its middle


def serves(settings: Settings) -> bool:
    """Whether what is asked for needs no prior: none is given, and the model is a published one
    that enlarges photos of any size, or has a generator of its own."""
    row = METHODS.get(settings.method)
    if settings.prior is not None or not settings.model or not row or row.kind != "learned":
        return False
    record = weights.read_config(settings.model)
    if "factor" not in record or "prior" in record:
        return False
    whole = KINDS[learned.kind_of(settings.method)].whole
    return whole is not None or learned.is_free(learned.read_net(settings.model))


@contextlib.contextmanager
def explained(settings: Settings) -> Iterator[None]:
    """Adds to a ValueError why a model of a method that enlarges whole photos needs a prior."""
    try:
        yield
    except ValueError as error:
        why = _bound(settings)
        if not why:
            raise
        raise ValueError(f"{error}; {why}") from error


def _bound(settings: Settings) -> str:
    """What a model was trained for, where only a published one would go without; else ""."""
    row = METHODS.get(settings.method)
    if settings.prior is not None or not settings.model or not row or row.kind != "learned":
        return ""
    if not (Path(settings.model) / "config.json").is_file():
        return ""
    record = weights.read_config(settings.model)
    if "prior" not in record or KINDS[learned.kind_of(settings.method)].whole is None:
        return ""
    return (
        f"{settings.model} was trained here, for photos of prior {record['prior']!r} and "
        f"{record.get('operator')}: give that --prior and such photos (a published network, from "
        "ports/convert.py, enlarges any photo without a prior)"
    )


def execute(settings: Settings, sources: Sequence[Source]) -> int:
    """Restores what the folder lacks; writes the table and the grid. Returns how many have no
    result."""
    check(settings)
    for name, default in UNREAD.items():
        if getattr(settings, name) != default:
            raise ValueError(
                f"--{name}={getattr(settings, name)} is for results of a prior: leave it out, or "
                "give --prior"
            )
    flags.compute_in(settings.precision)
    flags.cache_compilations()
    network = load(settings)
    with only_here(out_folder(settings)):
        run = _start(settings, sources, network)
        print(f"{network.told}, without a prior")
        for source in tqdm(sources, unit="photo", leave=False, disable=not settings.progress):
            _restore(run, source, network, settings)
        run.put_in_order()
        drawn = draw_grid(run, sources, network, settings)
    rows = [run.rows[source.outputs[0]] for source in sources]
    lost = [row for row in rows if row["status"] == "error"]
    print(f"{len(rows) - len(lost)} results in {run.folder}")
    if lost:
        print(f"{len(lost)} not restored; the first: {lost[0]['error']}")
    print(drawn)
    return len(lost)


def _start(settings: Settings, sources: Sequence[Source], network: Network) -> report.Run:
    folder = out_folder(settings)
    for source in sources:
        if (folder / source.outputs[0]).resolve() == Path(source.file.name).resolve():
            raise ValueError(
                f"the run would replace the photo {source.file.name}: choose another --out"
            )
    fixed = {"method": network.method, "model_sha256": network.digest, "factor": network.factor}
    fixed |= {name: getattr(settings, name) for name in ("kernel", "precision", "white", "depth")}
    fixed |= named_otherwise(settings)
    order = [source.outputs[0] for source in sources]
    record = {"settings": fixed, "values": {}, "photos": {}}
    pictures, overwrite = [GRID], settings.overwrite
    return report.open_run(folder, record, COLUMNS, order, pictures=pictures, overwrite=overwrite)


def _restore(run: report.Run, source: Source, network: Network, settings: Settings) -> None:
    """Adds the row of a photo, and its picture, unless they are there."""
    row: dict[str, Any] = {
        "file": source.file.name,
        "output": source.outputs[0],
        "method": network.method,
    }
    if not network.side or source.file.is_reference:
        row["factor"] = network.factor
    try:
        y, reference, fit, row["remark"] = read(source, network, settings)
    except (ValueError, OSError) as error:
        run.add([row | {"status": "error", "error": str(error)}])
        return
    digest, begun = photos.digest(y, reference), time.perf_counter()
    if run.is_done(source.outputs[0], digest):
        return
    pixels = restored(network, y, cast(images.Depth, settings.depth))
    row |= {"seconds": time.perf_counter() - begun, "fit": fit, "digest": digest, "status": "ok"}
    file = run.folder / source.outputs[0]
    try:
        images.write_pixels(file, pixels, _marks(run, source, network))
    except images.ImageError as error:  # a side that the format does not have
        run.add([row | {"status": "error", "error": f"{source.file.name}: {error}"}])
        return
    if pixels.shape[0] * pixels.shape[1] <= MOST_SCORED:
        row |= scores.score(scores.as_written(file, _seen(pixels)), reference)
    run.add([row])


def _marks(run: report.Run, source: Source, network: Network) -> images.Marks:
    marks = images.of_run(run.folder, method=network.method)
    return dataclasses.replace(marks, taken=images.taken(source.file.name))


def restored(network: Network, y: np.ndarray, depth: images.Depth = 8) -> np.ndarray:
    """The result as it is written, uint8 or uint16 [H, W, 3], of a photo [h, w, 3] in [0, 1]."""
    if network.side:
        return images.quantised(np.asarray(network.restored(y)), depth)
    height, width = (side * network.factor for side in y.shape[:2])
    pixels = np.empty((height, width, 3), np.uint8 if depth == 8 else np.uint16)
    enlarged = tiles.parts(y, network.restored, network.factor, multiple=network.multiple)
    for place, part in enlarged:
        pixels[place] = images.quantised(part, depth)
    return pixels


def _seen(pixels: np.ndarray) -> np.ndarray:
    """What is scored: the pixels in 8 bits, as of all results."""
    return images.to_uint8(pixels / np.float32(65535)) if pixels.dtype == np.uint16 else pixels


def read(
    source: Source, network: Network, settings: Settings
) -> tuple[np.ndarray, np.ndarray | None, str, str]:
    """What the network sees of a photo [h, w, 3]; the sharp one, where it was made small from that;
    what was cropped or scaled; and what was told when it was read. Raises ValueError for a photo
    that it cannot take."""
    if source.file.problem:
        raise ValueError(source.file.problem)
    if network.side:
        return _read_square(source, network, network.side, settings)
    picture = images.load(source.file.name, settings)
    if not source.file.is_reference:
        return picture.image(), None, "", picture.remark
    picture, fit = picture.fit(multiple=network.factor, mode="crop")
    image = picture.image()
    return made_small(image, network.factor, settings.kernel), image, fit, picture.remark


def _read_square(
    source: Source, network: Network, side: int, settings: Settings
) -> tuple[np.ndarray, np.ndarray | None, str, str]:
    """The centre square of a photo at the network's side; of a reference, made small before."""
    if source.file.is_reference:
        sharp = photos.centre_square(source.file.name, side, reading=settings)
        y = made_small(sharp.image, network.factor, settings.kernel)
        return _enlarged(y, side), sharp.image, sharp.fit, "; ".join(sharp.remarks)
    picture, cropped = images.load(source.file.name, settings).square(mode="crop")
    was = picture.shape[0]
    scaled = images.scaled_line(was, side)
    seen = _enlarged(picture.image(), side) if was < side else picture.resize_area(side)
    return seen, None, "; ".join(filter(None, (cropped, scaled))), picture.remark


def _enlarged(image: np.ndarray, side: int) -> np.ndarray:
    return np.clip(np.asarray(resample.upsample(image, (side, side))), 0, 1)


def made_small(image: np.ndarray, factor: int, kernel: str) -> np.ndarray:
    name: Any = kernel
    shrink = operators.downsample(factor, image_shape=image.shape, kernel=name)
    return np.asarray(degradations.recorded(shrink(jnp.asarray(image))))


def draw_grid(
    run: report.Run, sources: Sequence[Source], network: Network, settings: Settings
) -> str:
    """Writes OUT/grid.png from the images in the folder, a row a photo: of large ones the middle,
    pixel by pixel; returns what it shows."""
    done = [source for source in sources if run.is_there(source.outputs[0])]
    rows, captions, left_out = [], [], []
    for source in done[:GRID_ROWS]:
        try:
            rows.append(_shown(run, source, network, settings))
            captions.append(Path(source.outputs[0]).stem)
        except (ValueError, OSError) as error:
            left_out.append(str(error))
    if not rows:
        return f"no grid: {left_out[0] if left_out else 'there is no result'}"
    columns = ["input", *(["bicubic"] if len(rows[0]) > 3 else []), "result", "reference"]
    if all(row[-1] is None for row in rows):
        rows, columns = [row[:-1] for row in rows], columns[:-1]
    picture = plots.grid(rows, columns=columns, captions=captions, cell=SHOWN)
    images.write(run.folder / GRID, picture, marks=images.of_run(run.folder))
    more = f" (the first {GRID_ROWS} of {len(done)} photos)" if len(done) > GRID_ROWS else ""
    lost = f"; {len(left_out)} left out, the first: {left_out[0]}" if left_out else ""
    return f"{run.folder / GRID}{more}{lost}"


def _shown(
    run: report.Run, source: Source, network: Network, settings: Settings
) -> list[np.ndarray | None]:
    """A row of the grid: the input, bicubic where that is larger, the result, the reference or
    None."""
    (y, reference, *_), file = read(source, network, settings), run.folder / source.outputs[0]
    if network.side:
        return [y, read_part(file, 0, 0, network.side), reference]
    factor = network.factor
    side = min(*y.shape[:2], -(-SHOWN // factor))
    top, left = ((whole - side) // 2 for whole in y.shape[:2])
    seen = y[top : top + side, left : left + side]
    made = read_part(file, top * factor, left * factor, side * factor)
    larger = tuple(slice(at * factor, (at + side) * factor) for at in (top, left))
    bicubic = [np.clip(np.asarray(resample.upsample(seen, factor)), 0, 1)] if factor > 1 else []
    return [seen, *bicubic, made, None if reference is None else reference[larger]]
