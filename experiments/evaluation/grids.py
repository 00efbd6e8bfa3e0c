"""The pictures of an evaluation as one PNG for each operator, factor and degradation: input, every
method, the real photo; and several solutions of a photo beside each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from evaluation import tables
from evaluation.cells import REFERENCE
from evaluation.tables import Line
from jaxsr import images, plots

# Rows of a grid; side of a picture in it, unless the photos are larger.
PHOTOS, LEAST_CELL = 12, 128
SOLVED = 3  # photos that are shown with all their solutions


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
            columns = {cell.title: cell.name for cell in done}
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
            *([whole["reference"]] if "reference" in whole else []),
        ]
        pictures.append([path and images.read(folder / path) for path in paths])
    titles = ["input", *columns, *(["real photo"] if len(pictures[0]) > len(columns) + 1 else [])]
    return plots.grid(pictures, columns=titles, captions=list(photos), cell=_cell(pictures))


def _cell(pictures: Sequence[Sequence[np.ndarray | None]]) -> int:
    """px, of the cells: the side of the largest picture, unless all are small."""
    shown = [picture for row in pictures for picture in row if picture is not None]
    return max(LEAST_CELL, *(picture.shape[0] for picture in shown))


def draw_solutions(folder: Path, found: Sequence[Line], rows: Sequence[Mapping]) -> list[str]:
    """Writes folder/solutions_CONDITIONS.png for each group of lines with several solutions of a
    photo: a row a photo and method, with the input first and the real photo last (RLS, Figure 7).
    Returns the names."""
    names = []
    for group in tables.groups(found):
        titles = {line.cell.name: line.cell.title for line in group}
        solved: dict[tuple[str, str], list[Mapping]] = {}
        for row in rows:
            if row["cell"] in titles and row["status"] == "ok":
                solved.setdefault((row["photo"], row["cell"]), []).append(row)
        solved = {key: mine for key, mine in solved.items() if len(mine) > 1}
        photos = list(dict.fromkeys(photo for photo, _ in solved))[:SOLVED]
        shown = {
            f"{titles[cell]}, {photo}": solved[photo, cell]
            for photo in photos
            for cell in titles
            if (photo, cell) in solved
        }
        if shown:
            names.append(f"solutions_{group[0].cell.conditions}.png")
            images.write(folder / names[-1], _solutions(folder, shown))
    return names


def _solutions(folder: Path, shown: Mapping[str, Sequence[Mapping]]) -> np.ndarray:
    most = max(len(rows) for rows in shown.values())
    pictures = []
    for rows in shown.values():
        paths = [rows[0]["measurement"], *(row["output"] for row in rows)]
        paths += [None] * (most - len(rows))
        paths += [rows[0]["reference"]] if "reference" in rows[0] else []
        pictures.append([path and images.read(folder / path) for path in paths])
    titles = ["input", *(f"solution {i + 1}" for i in range(most))]
    titles += ["real photo"] if len(pictures[0]) > most + 1 else []
    return plots.grid(pictures, columns=titles, captions=list(shown), cell=_cell(pictures))
