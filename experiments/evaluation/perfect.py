"""Results that equal their photo, whose PSNR is infinite: alike in the lines of all methods.

A mean cannot hold an infinite number, and one over the photos where a method fell short, set beside
another method's over all of them, would make the better one look worse.
"""

import math
from collections.abc import Mapping, Sequence

from evaluation.cells import REFERENCE, Cell
from evaluation.scores import COLUMNS
from jaxsr.metrics import METRICS

Rows = Sequence[Mapping]
Perfect = Mapping[str, set[str]]  # column -> photos
SHOWN = 3


def _is_real(cell: Cell) -> bool:
    return cell.variant.method == REFERENCE


def perfect_photos(conditions: str, cells: Sequence[Cell], of_cells: Mapping[str, Rows]) -> Perfect:
    """Column -> the photos that some method has an infinite value for under these conditions; real
    photos in place of results do not count."""
    found: dict[str, set[str]] = {}
    methods = [cell for cell in cells if cell.conditions == conditions and not _is_real(cell)]
    for row in (row for cell in methods for row in of_cells.get(cell.name, [])):
        for name in METRICS:
            if isinstance(row.get(name), float) and math.isinf(row[name]):
                found.setdefault(name, set()).add(row["photo"])
    return found


def without_perfect(cell: Cell, rows: Rows, perfect: Perfect) -> Rows:
    """A cell's rows without the numbers of such photos; those of real photos as they are."""
    if _is_real(cell) or not perfect:
        return rows
    return [
        {**row, **{name: None for name, photos in perfect.items() if row["photo"] in photos}}
        for row in rows
    ]


def told(perfect: Perfect) -> list[str]:
    """A remark for each column."""
    lines = []
    for name, photos in perfect.items():
        which = ", ".join([*sorted(photos)[:SHOWN], *(["..."] if len(photos) > SHOWN else [])])
        lines.append(
            f"{COLUMNS[name].title} is infinite where a result equals its photo: left out of every "
            f"method's mean ({len(photos)}: {which})"
        )
    return lines
