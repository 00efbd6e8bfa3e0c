"""Photos of a folder, an archive or a TFDS data set: read one by one (`open_photos`), as a stream
decoded ahead in threads (`stream`), or brought once to uint8 [n, r, r, 3] in a cache file and read
from there by mmap (`prepare`)."""

import dataclasses
import hashlib
import json
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from filelock import FileLock

from jaxsr import images
from jaxsr.images import ImageError, Picture, Reading
from jaxsr.records import files, report
from jaxsr.tfds_source import open_tfds

LISTING = ".json"  # beside a cache file: the stamps of its photos

T = TypeVar("T")
CACHED = 2  # of what photos become: of cache files of another number nothing is taken


@dataclasses.dataclass(frozen=True)
class Photos:
    """Photos that are read when they are asked for: `len(photos)`, `photos[i]`, `photos.names`.
    Threads may read at the same time.

    Attributes:
        source: as it was given to `open_photos`.
        names: what reports call each photo: its path in the folder or archive, or NAME@SPLIT:i.
        stamps: the names with the size and time of each file, where there are files.
        load: index -> picture; `photos.picture(i)` calls it and sees to the errors.
    """

    source: str
    names: Sequence[str]
    stamps: Sequence[str]
    load: Callable[[int], Picture]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> np.ndarray:
        """Photo `index` from 0, float32 [h, w, 3] in [0, 1], upright; see `images.read`. Raises as
        `picture`."""
        return self.picture(index).image()

    def picture(self, index: int) -> Picture:
        """Photo `index` from 0 as its file stores it, with what is to be told; see `images.load`.

        Raises:
            IndexError: there is no such photo.
            ImageError: it cannot be read; one line that names it.
        """
        self.require(index)
        try:
            return self.load(index)
        except ImageError:
            raise
        # RuntimeError is what a damaged record raises.
        except (OSError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise ImageError(
                f"{self.names[index]}: expected a readable photo, got an error: {reason}"
            ) from error

    def require(self, index: int) -> None:
        """Raises IndexError when there is no photo `index`."""
        if not 0 <= index < len(self):
            raise IndexError(
                f"{self.source}: expected a photo from 0 to {len(self) - 1}, got {index}"
            )


def open_photos(
    source: str,
    reading: Reading = images.AS_FILES_ARE,
    *,
    warn: Callable[[str], None] = print,
) -> Photos:
    """The photos of `source`; none is read yet.

    Args:
        source: a folder (searched deeply, see `images.walk`), an uncompressed .tar or a .zip, such
            as StyleGAN's dataset_tool.py makes, or "tfds:NAME" or "tfds:NAME@SPLIT" (split "train"
            if none is given), NAME being a data set prepared in the file format array_record, such
            as lfw, or its folder. TensorFlow, which other formats need, is never imported.
        reading: how photos are read.
        warn: is told in one line what of a folder or archive was left out, and why.

    Raises:
        ValueError: there is no such source, it holds no photo, or its data set has no split of that
            name or not one feature of images.
    """
    photos, left_out = _open(source, reading)
    line = images.left_out_line(source, left_out) if left_out else ""
    if not photos.names:
        others = f" ({line.removeprefix(f'{source}: ')})" if line else ""
        raise ValueError(f"{source}: expected photos, got none{others}")
    if line:
        warn(line)
    return photos


def _open(source: str, reading: Reading) -> tuple[Photos, Counter[str]]:
    if source.startswith("tfds:"):
        return _from_tfds(source, reading), Counter()
    path = Path(source)
    if path.is_dir():
        return _from_folder(source, path, reading)
    archive = images.open_archive(path) if path.is_file() else None
    if archive is not None:
        return _from_archive(source, archive, reading)
    got = "a file that is not one" if path.exists() else "nothing there"
    raise ValueError(
        f'{source}: expected a folder of photos, a .tar or .zip of photos, or "tfds:NAME", got '
        f"{got}"
    )


def read_labels(path: str | Path) -> list[dict[str, str]]:
    """Rows of labels, with the photo's name as "file": of a CSV, of dataset_tool.py's dataset.json,
    or of the zip that holds one (see `images.labels_of`).

    Raises:
        ValueError: another file, none, or one that tells a photo twice, and differently.
    """
    if not Path(path).is_file():
        got = "a folder" if Path(path).is_dir() else "no such file"
        raise ValueError(f"{path}: expected a table of labels, got {got}")
    labelled = images.labels_of(Path(path))
    rows = report.read_csv(path) if labelled is None else labelled
    _require_one_each(path, rows)
    return rows


def _require_one_each(path: str | Path, rows: Sequence[dict[str, str]]) -> None:
    """Raises ValueError for a photo with two rows that differ."""
    known: dict[str, dict[str, str]] = {}
    for row in rows:
        name = row.get("file", "")
        first = known.setdefault(name, row)
        if name and first != row:
            column = next(each for each in row if first.get(each) != row[each])
            raise ValueError(
                f"{path}: expected one row a photo, got two for {name!r}, with {column} "
                f"{first.get(column)!r} and {row[column]!r}"
            )


def stream(
    photos: Photos,
    indices: Sequence[int] | np.ndarray,
    *,
    work: Callable[[Picture], T] = Picture.image,
    process: tuple[int, int] = (0, 1),
    threads: int | None = None,
) -> Iterator[tuple[str, T | ImageError]]:
    """(name, image [h, w, 3]) of the photos `indices` in their order, decoded ahead in threads; at
    most two a thread are held.

    A photo that cannot be read gives its error in place of the image, and the others go on.

    Args:
        photos: see `open_photos`.
        indices: which of them; `range(len(photos))` for all.
        work: what becomes of each picture, in its thread. What is smaller than the image bounds
            the memory.
        process: (index, count), as jax.process_index() and jax.process_count(): this process gets
            indices[index::count], so that the processes together get each photo once.
        threads: how many decode; as many as there are cores if None. The result does not depend on
            it.

    Raises:
        IndexError: an index that `photos` lacks, at once and not in the middle.
        ValueError: a process outside 0..count-1, or fewer than one thread.
    """
    index, count = process
    threads = os.cpu_count() or 1 if threads is None else threads
    if not 0 <= index < count or threads < 1:
        raise ValueError(
            "expected a process (index, count) with 0 <= index < count and threads >= 1, got "
            f"{process} and {threads}"
        )
    mine = [int(i) for i in indices[index::count]]
    for i in mine:
        photos.require(i)
    names = (photos.names[i] for i in mine)
    return zip(names, _ahead(lambda i: work(photos.picture(i)), mine, threads), strict=True)


def _ahead(
    work: Callable[[int], T], indices: Sequence[int], threads: int
) -> Iterator[T | ImageError]:
    """work(i) for each index in order, done ahead in threads (Pillow releases the lock)."""

    def one(index: int) -> T | ImageError:
        try:
            with images.one_large_photo():
                return work(index)
        except ImageError as error:
            return error

    pool, waiting = ThreadPoolExecutor(threads), deque[Future]()
    try:
        for index in indices:
            waiting.append(pool.submit(one, index))
            if len(waiting) == 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:  # whoever asked may stop in the middle
        pool.shutdown(cancel_futures=True)


def prepare(
    source: str,
    resolution: int,
    cache: str | Path,
    reading: Reading = images.AS_FILES_ARE,
    *,
    warn: Callable[[str], None] = print,
) -> np.ndarray:
    """All photos of `source` as a read-only memory map uint8 [n, resolution, resolution, 3].

    Each is turned upright, cut to its centre square and area-averaged. The cache file is written
    once, atomically, in folder `cache`; its name is a digest of the source's listing. Photos that
    cannot be read are left out and said through `warn`; so are those that came to the source since
    the cache was made, so that a run goes on with the photos that it began with.

    Of several processes that share the folder one writes and the others wait; a process with a disk
    of its own writes its own copy. Each maps all photos: which of them it trains on is a matter of
    the indices that it draws, so that the map is the same for all.

    Args:
        source: see `open_photos`.
        resolution: the side to bring them to.
        cache: folder for the cache file.
        reading: how photos are read.
        warn: is told of the photos left out, and of how many something was done to when they were
            read.

    Raises:
        ValueError: there is no such source, or it holds no readable photo.
    """
    photos = open_photos(source, reading, warn=warn)
    read_as = f"{source} {CACHED} {reading.white}"
    listing = files.encoded(f"{read_as} {resolution} " + " ".join(photos.stamps))
    digest = hashlib.sha256(listing).hexdigest()[:16]
    path = Path(cache) / f"photos-{resolution}-{digest}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    # Another process that wants the same photos waits for them.
    with FileLock(path.with_name(f".{path.name}.lock")):
        if not path.exists():
            begun = _begun_with(read_as, photos, resolution, path.parent)
            if begun is not None:
                warn(
                    f"{source}: the run goes on with the photos that it began with: some of the "
                    f"{len(photos)} came later; for all of them take another --out"
                )
                return np.load(begun, mmap_mode="r")
            _write(photos, resolution, path, warn)
        if not path.with_suffix(LISTING).exists():
            record = {"source": read_as, "stamps": list(photos.stamps)}
            files.write_text(path.with_suffix(LISTING), json.dumps(record))
    return np.load(path, mmap_mode="r")


def _begun_with(read_as: str, photos: Photos, resolution: int, cache: Path) -> Path | None:
    """The largest cache file of the same source, read alike, whose photos are all there still,
    unchanged."""
    found, now = [], set(photos.stamps)
    for listing in sorted(cache.glob(f"photos-{resolution}-*{LISTING}")):
        record = json.loads(listing.read_text(encoding="utf-8"))
        path = listing.with_suffix(".npy")
        if record["source"] == read_as and now.issuperset(record["stamps"]) and path.exists():
            found.append((len(record["stamps"]), path))
    return max(found)[1] if found else None


def _write(photos: Photos, resolution: int, path: Path, warn: Callable[[str], None]) -> None:
    """Photo after photo into a temporary file, which then takes the name; memory holds a few at a
    time."""
    count, unread, remarks = 0, [], {}
    with files.replacing(path) as temporary:
        with open(temporary, "wb") as file:
            _write_header(file, (0, resolution, resolution, 3))
            for photo in _ahead(
                lambda i: _square(photos, i, resolution), range(len(photos)), os.cpu_count() or 1
            ):
                if isinstance(photo, ImageError):
                    unread.append(str(photo))
                else:
                    name, pixels, told = photo
                    remarks[name] = told
                    file.write(pixels.tobytes())
                    count += 1
            file.seek(0)
            _write_header(file, (count, resolution, resolution, 3))
        if unread:
            warn(
                f"{photos.source}: {len(unread)} of {len(photos)} photos could not be read "
                f"and are left out, the first: {unread[0]}"
            )
        for line in images.summary(remarks):
            warn(f"{photos.source}: {line}")
        if not count:
            raise ValueError(
                f"{photos.source}: expected photos, got {len(photos)} files of which none "
                "could be read"
            )


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """The header of a .npy of uint8. numpy leaves room in it for the first axis to grow, so that it
    can be written again in place."""
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )


def _square(photos: Photos, index: int, resolution: int) -> tuple[str, np.ndarray, tuple[str, ...]]:
    """A photo's name, its centre square at a resolution, uint8 [resolution, resolution, 3], and
    what is to be told of it."""
    picture = photos.picture(index)
    height, width = picture.shape[:2]
    if min(height, width) < resolution:
        raise ImageError(
            f"{photos.names[index]}: expected sides of at least {resolution} px, got {width} "
            f"x {height}"
        )
    square, _ = picture.square(mode="crop")
    pixels = images.to_uint8(square.resize_area(resolution))
    return photos.names[index], pixels, picture.remarks


def _from_folder(source: str, folder: Path, reading: Reading) -> tuple[Photos, Counter[str]]:
    found = images.walk(folder)
    paths = sorted(found.paths)
    names = [str(path.relative_to(folder)) for path in paths]
    stamps = [f"{name}|{_stamp(path)}" for name, path in zip(names, paths, strict=True)]
    return Photos(source, names, stamps, lambda i: images.load(paths[i], reading)), found.left_out


def _stamp(path: Path) -> str:
    try:
        stat = path.stat()
    # A link to nowhere: the error comes when the photo is read, and the others can be.
    except OSError:
        return "missing"
    return f"{stat.st_size}|{stat.st_mtime_ns}"


def _from_archive(
    source: str, archive: images.Archive, reading: Reading
) -> tuple[Photos, Counter[str]]:
    names = archive.names
    photos = Photos(
        source,
        names,
        archive.stamps,
        lambda i: images.load_bytes(archive.read(i), names[i], reading),
    )
    return photos, archive.left_out


def _from_tfds(source: str, reading: Reading) -> Photos:
    names, content = open_tfds(source)
    return Photos(source, names, names, lambda i: images.load_bytes(content(i), names[i], reading))


class Order:
    """The endless order in which photos are seen: a fresh permutation every epoch, a pure function
    of (seed, position), so that training resumes exactly."""

    def __init__(self, count: int, *, seed: int, batch: int):
        self.count, self.seed, self.batch = count, seed, batch
        self._epoch, self._order = -1, np.arange(0)

    def indices(self, step: int) -> np.ndarray:
        """Indices [batch] of the photos of step `step`."""
        return np.array(
            [self._at(position) for position in range(step * self.batch, (step + 1) * self.batch)]
        )

    def _at(self, position: int) -> int:
        epoch, offset = divmod(position, self.count)
        if epoch != self._epoch:
            self._epoch, self._order = (
                epoch,
                np.random.default_rng((self.seed, epoch)).permutation(self.count),
            )
        return int(self._order[offset])
