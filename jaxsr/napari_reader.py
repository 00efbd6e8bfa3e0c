"""What napari opens of a folder that `super_resolve.py` wrote: the photos, the results on the same
place, and where there are any, the lower and upper pictures and the widths between them.

`pip install ".[napari]"`, then `napari restored`, or drop the folder on its window. The manifest is
napari.yaml; nothing here imports napari.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from jaxsr import images
from jaxsr.records import report

TABLE, INTERVALS = "results.csv", "intervals.csv"
BESIDE = ("lower", "upper", "width")  # endings of the pictures of an interval

# An array, how napari shows it, and what it is shown as.
LayerData = tuple[np.ndarray, dict, str]
Row = dict[str, str]


def get_reader(
    path: str | os.PathLike | Sequence[str],
) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """The reader of a folder of results, or of its table; None for anything else, which napari then
    asks other readers about."""
    if not isinstance(path, str | os.PathLike):
        return None
    path = Path(path)
    is_ours = path.name == TABLE or (path.is_dir() and (path / TABLE).is_file())
    return read if is_ours and _done(_folder(path)) else None


def read(path: str | Sequence[str]) -> list[LayerData]:
    """The layers of a folder of results. Pictures of one size are one layer [n, h, w, 3] in [0, 1],
    with a slider over the photos; their rows of the table are its metadata.

    Raises:
        ImageError: a result that is gone or no picture.
    """
    folder = _folder(Path(str(path)))
    groups: dict[tuple, list[Row]] = defaultdict(list)
    for row in _done(folder):
        shape = images.load(folder / row["output"]).shape
        groups[(*shape, row["factor"])].append(row)
    return [layer for rows in groups.values() for layer in _layers(folder, rows)]


def _folder(path: Path) -> Path:
    return path.parent if path.name == TABLE else path


def _done(folder: Path) -> list[Row]:
    """Rows of photos that have a result."""
    rows = report.results(folder).values()
    return [row for row in rows if row.get("status") == "ok" and row.get("factor", "").isdigit()]


def _layers(folder: Path, rows: list[Row]) -> list[LayerData]:
    """Of results of one size and factor."""
    restored = np.stack([images.read(folder / row["output"]) for row in rows])
    found = [*_photos(rows, len(restored[0])), _layer("restored", restored, rows)]
    names = {row["file"]: row["name"] for row in report.read_csv(folder / INTERVALS)}
    for ending in BESIDE if names else ():
        files = [folder / f"{names.get(row['file'])}_{ending}.png" for row in rows]
        if all(file.is_file() for file in files):
            found.append(_layer(ending, np.stack([images.read(file) for file in files]), rows))
    return found


def _photos(rows: list[Row], side: int) -> list[LayerData]:
    """The photos that the results were made of, enlarged in place: each pixel covers what it was
    restored to. None where one is gone, or was a sharp photo."""
    factor = int(rows[0]["factor"])
    try:
        pictures = [
            images.load(row["file"]).fit(size=side // factor, mode="crop")[0] for row in rows
        ]
    except (ValueError, OSError):
        return []
    if any(row.get("psnr") or row.get("face") for row in rows):
        return []
    # Centres of pixels are at whole numbers: the first of the photo lies amid its own result.
    place = {
        "scale": (1, factor, factor),
        "translate": (0, (factor - 1) / 2, (factor - 1) / 2),
    }
    photos = np.stack([picture.image() for picture in pictures])
    return [_layer("photo", photos, rows, **place)]


def _layer(name: str, pictures: np.ndarray, rows: list[Row], **place: tuple) -> LayerData:
    shown = {"name": name, "rgb": True, "metadata": {"rows": rows}, **place}
    return np.clip(pictures, 0, 1), shown, "image"
