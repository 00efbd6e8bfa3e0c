"""Training photos: a folder, a tar or a TFDS data set, brought once to uint8 [n, r, r, 3] in a cache file and read from there by mmap."""

import hashlib
import os
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock

from jaxsr import images

Loader = Callable[[], np.ndarray]


def prepare(source: str, resolution: int, cache: str | Path, *, warn: Callable[[str], None] = print) -> np.ndarray:
    """All photos of `source` as a read-only memory map uint8 [n, resolution, resolution, 3].

    Each is turned upright, cut to its centre square and area-averaged. The cache file is written once, atomically, in folder `cache`;
    its name is a digest of the source's listing. Photos that cannot be read are left out and said through `warn`.

    Args:
        source: a folder (searched deeply), a .tar file, or "tfds:NAME" or "tfds:NAME@SPLIT", NAME being a prepared data set
            or its folder (read without TensorFlow).
        resolution: the side to bring them to.
        cache: folder for the cache file.

    Raises:
        ValueError: there is no such source, or it holds no readable photo.
    """
    entries = list(_open(source))
    listing = f"{source} {resolution} " + " ".join(name for name, _ in entries)
    path = Path(cache) / f"photos-{resolution}-{hashlib.sha256(listing.encode()).hexdigest()[:16]}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):  # another process that wants the same photos waits for them
        if not path.exists():
            _write(entries, resolution, path, source, warn)
    return np.load(path, mmap_mode="r")


def _write(entries: list[tuple[str, Loader]], resolution: int, path: Path, source: str, warn: Callable[[str], None]) -> None:
    """Photo after photo into a temporary file, which then takes the name; memory holds some hundred at a time."""
    temporary, count, unread = path.with_name(f".{path.name}.tmp"), 0, []
    try:
        with open(temporary, "wb") as file:
            _write_header(file, (0, resolution, resolution, 3))
            for (key, _), photo in zip(entries, _decoded(entries, resolution), strict=True):
                if isinstance(photo, Exception):
                    name = key.partition("|")[0]
                    unread.append(str(photo) if name in str(photo) else f"{name}: {photo}")
                else:
                    file.write(photo.tobytes())
                    count += 1
            file.seek(0)
            _write_header(file, (count, resolution, resolution, 3))
        if unread:
            warn(f"{source}: {len(unread)} of {len(entries)} photos could not be read and are left out, the first: {unread[0]}")
        if not count:
            raise ValueError(f"{source}: expected photos, got {len(entries)} files of which none could be read")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """The header of a .npy of uint8. numpy leaves room in it for the first axis to grow, so that it can be written again in place."""
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _decoded(entries: list[tuple[str, Loader]], resolution: int) -> Iterator[np.ndarray | Exception]:
    """Photos in order, decoded in threads (Pillow releases the lock), a bounded number at a time."""

    def one(loader: Loader) -> np.ndarray | Exception:
        try:
            return _square(loader(), resolution)
        except (OSError, ValueError) as error:
            return error

    loaders = iter([loader for _, loader in entries])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while chunk := list(islice(loaders, 512)):
            yield from pool.map(one, chunk)


def _square(image: np.ndarray, resolution: int) -> np.ndarray:
    height, width = image.shape[:2]
    if min(height, width) < resolution:
        raise ValueError(f"expected sides of at least {resolution} px, got {width} x {height}")
    return images.to_uint8(images.resize_area(images.square(image, mode="crop")[0], resolution))


def _open(source: str) -> Iterator[tuple[str, Loader]]:
    if source.startswith("tfds:"):
        return _from_tfds(source.removeprefix("tfds:"))
    path = Path(source)
    if path.is_dir():
        return _from_folder(path)
    if path.is_file() and tarfile.is_tarfile(path):
        return _from_tar(path)
    got = "a file that is not one" if path.exists() else "nothing there"
    raise ValueError(f'{source}: expected a folder of photos, a .tar of photos, or "tfds:NAME", got {got}')


def _from_folder(folder: Path) -> Iterator[tuple[str, Loader]]:
    for path in sorted(p for p in folder.rglob("*") if p.suffix[1:].lower() in images.SUFFIXES):
        stat = path.stat()
        yield f"{path.relative_to(folder)}|{stat.st_size}|{stat.st_mtime_ns}", lambda path=path: images.read(path)


def _from_tar(path: Path) -> Iterator[tuple[str, Loader]]:
    with tarfile.open(path) as archive:
        members = [m for m in archive if m.isfile() and Path(m.name).suffix[1:].lower() in images.SUFFIXES]

    def read(member: tarfile.TarInfo) -> np.ndarray:
        with open(path, "rb") as file:
            file.seek(member.offset_data)
            return images.decode(file.read(member.size), member.name)

    for m in members:
        yield f"{m.name}|{m.size}|{m.mtime}", lambda m=m: read(m)


def _from_tfds(name: str) -> Iterator[tuple[str, Loader]]:
    import tensorflow_datasets as tfds

    name, _, split = name.partition("@")
    try:
        builder: Any = tfds.builder_from_directory(name) if Path(name).is_dir() else tfds.builder(name)
        rows = builder.as_data_source(split=split or "train")
    except Exception as error:  # tfds raises many types, most with pages of text
        raise ValueError(
            f"tfds:{name}: expected a prepared data set with split {split or 'train'!r}, got {str(error).splitlines()[0]}"
        ) from error
    for i in range(len(rows)):
        yield f"{name}@{split}:{i}", lambda i=i: images.from_array(rows[i]["image"])


class Order:
    """The endless order in which photos are seen: a fresh permutation every epoch, a pure function of (seed, position), so that training
    resumes exactly."""

    def __init__(self, count: int, *, seed: int, batch: int):
        self.count, self.seed, self.batch = count, seed, batch
        self._epoch, self._order = -1, np.arange(0)

    def indices(self, step: int) -> np.ndarray:
        """Indices [batch] of the photos of step `step`."""
        return np.array([self._at(position) for position in range(step * self.batch, (step + 1) * self.batch)])

    def _at(self, position: int) -> int:
        epoch, offset = divmod(position, self.count)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, np.random.default_rng((self.seed, epoch)).permutation(self.count)
        return int(self._order[offset])
