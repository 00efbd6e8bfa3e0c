"""What an evaluation restores: which photos of a source, their labels and landmarks."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evaluation.options import NUM_PHOTOS, Settings
from evaluation.partitions import PARTITIONS, located
from evaluation.scores import Scorer
from jaxsr import data
from jaxsr.records import files, report

SMOKE_PHOTOS = 4
# As CelebA names them; the eye and the corner of the mouth on the left of the picture first.
POINTS = ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")


class Data(NamedTuple):
    """What is restored.

    Attributes:
        photos: all that there are.
        indices: of those that are restored.
        labels: photo's name -> its labelled type, if there are labels.
        landmarks: photo's name -> [5, 2] in px of the file, if there are landmarks.
        picked: which photos these are, in words.
    """

    photos: data.Photos
    indices: Sequence[int]
    labels: Mapping[str, str]
    landmarks: Mapping[str, np.ndarray]
    picked: str

    @property
    def names(self) -> list[str]:
        """Of the photos that are restored."""
        return [self.photos.names[i] for i in self.indices]

    def stamp(self, index: int) -> str:
        """Of a photo, as far as its name, size, time, label and landmarks tell it from another."""
        name = self.photos.names[index]
        points = self.landmarks[name].tolist() if name in self.landmarks else None
        told = f"{self.photos.stamps[index]}|{self.labels.get(name)}|{points}"
        return hashlib.sha256(files.encoded(told)).hexdigest()[:12]


def open_data(settings: Settings, source: str | None, scorer: Scorer, *, least: int = 1) -> Data:
    """Photos of the source of which at least one can be read and has sides of at least `least` px.
    Raises ValueError where there is none, and for labels or landmarks of other photos."""
    if not source:
        raise ValueError(
            "--data is missing: expected a folder of photos, a .tar or .zip of photos, "
            f"tfds:NAME@SPLIT, or one of {', '.join(PARTITIONS)}"
        )
    part = None if Path(source).exists() else PARTITIONS.get(source)
    photos = data.open_photos(located(source) if part else source, settings)
    pick = settings.pick or (part.pick if part else "spaced")
    count = settings.num_photos or (part.count or len(photos) if part else NUM_PHOTOS)
    count = min(count, len(photos), SMOKE_PHOTOS if settings.smoke else len(photos))
    indices = picked(len(photos), count, pick)
    _check_readable(photos, indices, least)
    told = "" if count == len(photos) else f", {'the first' if pick == 'first' else pick}"
    found = Data(photos, indices, labels_of(settings, scorer), landmarks_of(settings), told)
    _check_names(settings, found)
    return found


def picked(total: int, count: int, pick: str) -> list[int]:
    """`count` of `total` photos: the first, or evenly spaced with both ends."""
    if pick == "first":
        return list(range(count))
    return [int(i) for i in np.linspace(0, total - 1, count).round()]


def _check_names(settings: Settings, found: Data) -> None:
    """Raises ValueError for labels of other photos, and for a photo without landmarks."""
    if found.labels and not any(name in found.labels for name in found.names):
        raise ValueError(
            f"{settings.labels}: expected names such as {found.names[0]!r}, got "
            f"{next(iter(found.labels))!r}"
        )
    lost = [name for name in found.names if name not in found.landmarks]
    if settings.landmarks and lost:
        others = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise ValueError(
            f"{settings.landmarks}: expected landmarks of every photo, got none of "
            f"{lost[0]!r}{others}"
        )


def labels_of(settings: Settings, scorer: Scorer) -> dict[str, str]:
    """The labelled type of each photo; a line tells of values that the network does not know.
    Raises ValueError for a table without any that it knows."""
    if settings.labels is None:
        return {}
    name, values = scorer.net.config.heads[0]
    rows = data.read_labels(settings.labels)
    # Cells written by hand have a space behind the comma.
    found = {row.get("file", ""): row.get(name, "").strip() for row in rows}
    others = sorted({value for value in found.values() if value and value not in values})
    labels = {file: value for file, value in found.items() if value in values}
    if not labels:
        raise ValueError(
            f'{settings.labels}: expected columns "file" and "{name}" with values such as '
            f"{values[0]!r}, got {_got(rows, others)}"
        )
    if others:
        print(
            f"{settings.labels}: expected {', '.join(values)}; rows with other values count as "
            f"unlabelled ({len(found) - len(labels)} of {len(found)}, such as {others[0]!r})"
        )
    return labels


def _got(rows: Sequence[Mapping[str, str]], others: Sequence[str]) -> str:
    """What a table without a known label has instead."""
    if not rows:
        return "no row"
    return repr(others[0]) if others else f"the columns {', '.join(map(repr, rows[0]))}"


def landmarks_of(settings: Settings) -> dict[str, np.ndarray]:
    """Five points of each photo's face, [5, 2], (x, y) in px of its file. Raises ValueError for a
    table that has none, and for a row that is not of numbers."""
    file = settings.landmarks
    if file is None:
        return {}
    if not Path(file).is_file():
        got = "a folder" if Path(file).is_dir() else "no such file"
        raise ValueError(f"{file}: expected a table of landmarks, got {got}")
    rows = report.read_csv(file)
    columns = [f"{point}_{axis}" for point in POINTS for axis in "xy"]
    if not rows or not {"file", *columns} <= set(rows[0]):
        got = ", ".join(rows[0]) if rows else "no row"
        raise ValueError(f"{file}: expected columns file, {', '.join(columns)}, got {got}")
    return {row["file"]: _points(file, row, columns) for row in rows}


def _points(file: str, row: Mapping[str, str], columns: Sequence[str]) -> np.ndarray:
    try:
        values = [float(row[name]) for name in columns]
    except ValueError:
        values = [math.nan]
    if not np.isfinite(values).all():
        raise ValueError(f"{file}: expected ten numbers for {row['file']!r}, got {dict(row)}")
    return np.array(values).reshape(len(POINTS), 2)


def _check_readable(photos: data.Photos, indices: Sequence[int], least: int) -> None:
    """Raises ValueError, with the first one's reason, if no photo can be used; else reads no
    further than the first that can."""
    first = ""
    for name, shape in data.stream(photos, indices, work=lambda picture: picture.shape):
        problem = str(shape).removeprefix(f"{name}: ") if isinstance(shape, Exception) else ""
        if not isinstance(shape, Exception) and min(shape[:2]) < least:
            size = f"{shape[1]} x {shape[0]}"
            problem = f"expected sides of at least {least} px, got {size}"
        if not problem:
            return
        first = first or f"{name}: {problem}"
    raise ValueError(
        f"{photos.source}: expected photos, got {len(indices)} of which none can be used, the "
        f"first: {first}"
    )
