"""The faces of a photo that are to be restored: found, chosen, checked, and cut out."""

import functools
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxsr import faces, images
from jaxsr.faces import landmarks
from jaxsr.methods import METHODS
from jaxsr.operators.similarity import KERNELS
from restoration import photos
from restoration.jobs import Source
from restoration.options import Settings

Finder = Callable[[str, np.ndarray], list[faces.Face]]
# Flags that aligned faces have no use for, at what they are left out.
UNREAD = {"reference": (), "operator": Settings.operator, "mask": None, "factor": None}
UNREAD |= {"fit": Settings.fit, "trajectory": False, "model": None, "free": ()}
UNREAD |= {"eps": Settings.eps, "interval": None, "calibration": None}


class Portrait(NamedTuple):
    """A face to restore.

    Attributes:
        index: its number in the photo.
        face: its points.
        cut: the part of the photo around it.
        noise: of that part, standard deviation of [0, 1].
        remarks: what is to be told.
        covered: the share of its square that the photo covers.
        digest: of the pixels and where the face lies in them.
        problem: why it cannot be restored; "" if it can, else there is no cut.
    """

    index: int
    face: faces.Face
    cut: faces.Cut | None
    noise: float = 0.0
    remarks: tuple[str, ...] = ()
    covered: float = 1.0
    digest: str = ""
    problem: str = ""


class Snapshot(NamedTuple):
    """A photo with its faces.

    Attributes:
        image: float32 [h, w, 3].
        depth: bits of its colours, 8 or 16.
        found: all faces.
        portraits: those to restore.
        remark: what was told when the file was read.
    """

    image: np.ndarray
    depth: images.Depth
    found: Sequence[faces.Face]
    portraits: Sequence[Portrait]
    remark: str


def check(settings: Settings) -> None:
    """Raises ValueError for flags that make no sense with faces."""
    for name, default in UNREAD.items():
        if getattr(settings, name) != default:
            raise ValueError(
                f"--{name} is not for faces that are found in a photo: leave it out, or --align"
            )
    kind = METHODS[settings.method].kind if settings.method in METHODS else "search"
    if kind != "search":
        raise ValueError(
            f"--align={settings.align} needs a search, which sees where a face lies, got "
            f"--method={settings.method}"
        )
    if settings.kernel not in KERNELS:
        raise ValueError(
            f"--kernel: with --align expected one of {', '.join(KERNELS)}, got {settings.kernel}"
        )


def make_finder(settings: Settings, sources: Sequence[Source]) -> Finder:
    """What finds the faces of a photo: (file, image) -> faces.

    Raises:
        ValueError: a table of points that cannot be read, points by hand for several photos, or a
            detector that is not installed.
    """
    given = settings.landmarks
    if given is None:
        faces.check_installed()
        return lambda file, image: faces.detect(image)
    face = landmarks.by_hand(given)
    if face is None:
        table = landmarks.read(given)
        return lambda file, image: _inside(landmarks.faces_of(table, file), image)
    if len(sources) > 1:
        raise ValueError(
            f"--landmarks: points by hand are for one photo, got {len(sources)}: give a table"
        )
    return lambda file, image: _inside([face], image)


def _inside(found: list[faces.Face], image: np.ndarray) -> list[faces.Face]:
    for face in found:
        faces.check_inside(face, image.shape[1], image.shape[0])
    return found


def landmarks_digest(given: str | None) -> str | None:
    """Of the points that were given: under the same name a table may hold others later."""
    if given is None:
        return None
    # Of points that are many, pathlib says that such a name is too long.
    content = Path(given).read_bytes() if os.path.isfile(given) else given.encode()
    return hashlib.sha256(content).hexdigest()[:16]


def load(source: Source, find: Finder, resolution: int, settings: Settings) -> Snapshot:
    """Reads a photo and finds its faces. Raises ValueError for an unusable photo, and where there
    is no face."""
    if source.file.problem:
        raise ValueError(source.file.problem)
    file = source.file.name
    picture = images.load(file, settings)
    image = picture.image()
    found = find(file, image)
    indices = faces.chosen(found, settings.face, image.shape[1], image.shape[0])
    cut = functools.partial(_portrait, image, file, resolution=resolution)
    portraits = [cut(found[i], index=i) for i in indices]
    is_deep = picture.stored.dtype.itemsize > 1 or settings.depth == 16
    return Snapshot(image, 16 if is_deep else 8, found, portraits, picture.remark)


def _portrait(
    image: np.ndarray, file: str, face: faces.Face, *, index: int, resolution: int
) -> Portrait:
    height, width = image.shape[:2]
    remarks = tuple(faces.remarks(face, width, height))
    try:
        faces.check_usable(face, width, height, resolution)
    except ValueError as error:
        return Portrait(index, face, None, remarks=remarks, problem=str(error))
    part = faces.cut(image, face.square, resolution)
    left, top, right, bottom = part.box
    noise = images.noise_of(image[top:bottom, left:right], images.compression_noise(file))
    digest = photos.digest(part.pixels, part.matrix)
    share = faces.covered(face.square, width, height)
    return Portrait(index, face, part, noise, remarks, share, digest)
