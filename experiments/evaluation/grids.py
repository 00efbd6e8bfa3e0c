"""The pictures of an evaluation as one PNG for each operator, factor and degradation: input, every
method, the real photo."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from evaluation import tables
from evaluation.cells import REFERENCE
from evaluation.tables import Line
from jaxsr import images, plots

# Rows of a grid; side of a picture in it, unless the photos are larger.
PHOTOS, LEAST_CELL = 12, 128


def draw(folder: Path, found: Sequence[Line], rows: Sequence[Mapping]) -> None:
    """Writes folder/grid_CONDITIONS.png for each group of lines, of evenly spaced photos and their
    first solutions."""
    for group in tables.groups(found):
        done = [
            line.cell for line in group if line.values and line.cell.variant.method != REFERENCE
        ]
        mine = {
            (row["photo"], row["cell"]): row
            for row in rows
            if row["solution"] == 0 and row["status"] == "ok"
        }
        photos = list(
            dict.fromkeys(photo for photo, cell in mine if cell in {c.name for c in done})
        )
        if photos:
            columns = {cell.variant.label: cell.name for cell in done}
            shown = [
                photos[int(i)]
                for i in np.linspace(0, len(photos) - 1, min(PHOTOS, len(photos))).round()
            ]
            images.write(
                folder / f"grid_{done[0].conditions}.png", _grid(folder, mine, columns, shown)
            )


def _grid(
    folder: Path,
    rows: Mapping[tuple[str, str], Mapping],
    columns: Mapping[str, str],
    photos: Sequence[str],
) -> np.ndarray:
    pictures = []
    for photo in photos:
        found = [rows.get((photo, cell)) for cell in columns.values()]
        whole = next(row for row in found if row)
        paths = [
            whole["measurement"],
            *(row and row["output"] for row in found),
            whole["reference"],
        ]
        pictures.append([path and images.read(folder / path) for path in paths])
    titles = ["input", *columns, "real photo"]
    return plots.grid(
        pictures,
        columns=titles,
        captions=list(photos),
        cell=max(LEAST_CELL, pictures[0][-1].shape[0]),
    )
