"""The pictures of an evaluation as files: where each lies, and how it is written."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from evaluation.cells import Cell
from jaxsr import images


class Paths(NamedTuple):
    """Where the pictures of a photo lie, relative to the folder of the evaluation; the reference by
    the side that it is judged at."""

    results: list[Path]
    reference: Path
    measurement: Path


def paths_of(cell: Cell, stem: str, solutions: int) -> Paths:
    endings = [""] if solutions == 1 else [f"_s{s}" for s in range(solutions)]
    root = Path("images")
    measurement = root / f"measurement_{cell.conditions}" / f"{stem}.png"
    return Paths(
        [root / cell.name / f"{stem}{ending}.png" for ending in endings],
        root / f"reference{f'_at{cell.judge_at}' if cell.judge_at else ''}" / f"{stem}.png",
        measurement,
    )


def rounded(image: np.ndarray) -> np.ndarray:
    """The image as a file of 8 bits holds it."""
    return images.to_uint8(image) / np.float32(255)


def write(path: Path, image: np.ndarray) -> np.ndarray:
    """Writes an image; returns it as it was written. Raises ValueError unless it is finite."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, image)
    return rounded(image)


def write_once(path: Path, image: np.ndarray) -> None:
    """Writes what all cells have in common, unless it is there. Another process that writes the
    same at the same time is no error."""
    if not path.exists():
        try:
            write(path, image)
        except OSError:
            if not path.exists():
                raise
