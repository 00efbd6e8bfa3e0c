"""Points of faces that were found elsewhere, or by hand: a file, or numbers.

    file,x1,y1,x2,y2,x3,y3,x4,y4,x5,y5
    anna.jpg,102.5,80,151,82,128,110,108,140,149,141

is a CSV table with a row a face, 5 or 68 points (x, y) in their order (see `alignment.Face`), in
pixels of the upright photo, the centre of the first pixel being (0, 0). The same as JSON, with one
face of a photo, or a list of several:

    {"anna.jpg": [[102.5, 80], [151, 82], [128, 110], [108, 140], [149, 141]]}
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

import numpy as np

from jaxsr.faces.alignment import Face
from jaxsr.records import csv_text

Table = Mapping[str, Sequence[Face]]
NUMBERS = re.compile(r"[\d\s.,;eE+-]*\d[\d\s.,;eE+-]*")


def by_hand(text: str) -> Face | None:
    """The face of 10 or 136 numbers x, y, x, y, ..., with commas between; None for a text that is
    no such list, as the name of a file.

    Raises:
        ValueError: a list of another length, or of no face.
    """
    if not NUMBERS.fullmatch(text) or "," not in text:
        return None
    return _face([part for part in re.split(r"[\s,;]+", text) if part], "points given by hand")


def read(path: str) -> Table:
    """The faces of each photo in a CSV or JSON file, by the name that the file gives it.

    Raises:
        ValueError: one line: a file that cannot be read or is no such table, a row of no face.
    """
    try:
        content = Path(path).read_bytes()
        text = csv_text.text_of(content)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise ValueError(f"{path}: expected a table of points, got an error: {why}") from error
    return _of_json(text, path) if path.lower().endswith(".json") else _of_csv(text, path)


def faces_of(table: Table, file: str) -> list[Face]:
    """The faces of a photo: those of the longest name in the table that its path ends with.

    Raises:
        ValueError: there is none.
    """
    parts = PurePath(file).parts
    fitting = [
        name
        for name in table
        if PurePath(name).parts and parts[-len(PurePath(name).parts) :] == PurePath(name).parts
    ]
    if not fitting:
        raise ValueError("expected its points in the table of --landmarks, found no such photo")
    return list(table[max(fitting, key=lambda name: len(PurePath(name).parts))])


def _of_csv(text: str, path: str) -> Table:
    faces: dict[str, list[Face]] = {}
    for number, row in enumerate(csv_text.rows_of(text, path), 2):
        if "file" not in row:
            raise ValueError(f"{path}: expected a column 'file', got {', '.join(row) or 'none'}")
        name = row.pop("file")
        values = [value.strip() for value in row.values()]
        while values and not values[-1]:
            values.pop()
        faces.setdefault(name, []).append(_face(values, f"{path}, line {number}"))
    return faces


def _of_json(text: str, path: str) -> Table:
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise TypeError(f"a {type(found).__name__}")
        shapes = {name: np.asarray(points, np.float64) for name, points in found.items()}
    except (TypeError, ValueError) as error:
        told = " ".join(str(error).split())
        raise ValueError(f"{path}: expected {{photo: [[x, y], ...]}}, got {told}") from error
    return {
        name: [
            _face(points.reshape(-1).tolist(), f"{path}, {name}")
            for points in (array[None] if array.ndim == 2 else array)
        ]
        for name, array in shapes.items()
    }


def _face(values: Sequence[str | float], where: str) -> Face:
    """The face of numbers x, y, x, y, ...; `where` begins the error."""
    try:
        numbers = np.array([float(value) for value in values])
        if len(numbers) not in (10, 136):
            raise ValueError(f"expected 5 or 68 points (x, y), got {len(numbers)} numbers")
        return Face(numbers.reshape(-1, 2))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
