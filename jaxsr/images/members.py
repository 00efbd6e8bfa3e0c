"""Photos in archives, by paths that go on into them: photos.zip/cells/1.png."""

import functools
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxsr.images import archives, finding
from jaxsr.images.archives import Archive
from jaxsr.images.errors import ImageError

KEPT = 8  # archives whose listings are held


def find(
    patterns: str | os.PathLike | Sequence[str | os.PathLike],
    *,
    warn: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Image files named by files, folders, archives and globs, in the order of the patterns, each
    once.

    An archive, an uncompressed .tar or a .zip, gives the images in it, in its own order, by paths
    that go on into it, which `load` reads; one of them may be given as well. For files, folders
    and globs see `finding.find`.

    Args:
        patterns: one or several.
        warn: is told, for each pattern, in one line what was left out, and why.

    Raises:
        ImageError: a pattern that names nothing, or an archive that is damaged.
    """
    patterns = [patterns] if isinstance(patterns, (str, os.PathLike)) else patterns
    if not patterns:
        raise ImageError("expected at least one file, folder, archive or glob, got none")
    found: dict[Path, None] = {}
    for pattern in patterns:
        found |= dict.fromkeys(_named(Path(pattern).expanduser(), warn))
    return list(found)


def content(path: Path) -> bytes | None:
    """The bytes of a photo that lies in an archive; None for a path into none.

    Raises:
        ImageError: the archive holds no such photo, or it cannot be read.
    """
    place = _place(path)
    if place is None:
        return None
    listing, name = place
    if name not in listing.places:
        raise ImageError("expected an image file, got no such photo in the archive")
    at = listing.places[name]
    try:
        return listing.archive.read(at)
    except ImageError as error:
        own = listing.archive.names[at]
        raise ImageError(str(error).removeprefix(f"{own}: ")) from error


class _Listing(NamedTuple):
    """An archive, and where in it each photo lies, by its path in it."""

    archive: Archive
    places: dict[str, int]


def _named(pattern: Path, warn: Callable[[str], None]) -> list[Path]:
    """What a pattern names."""
    if not finding.type_of(pattern.name) or pattern.is_dir():
        inside = not os.path.lexists(pattern) and _place(pattern)
        return [pattern] if inside else finding.find(pattern, warn=warn)
    listing = _listed(pattern) if pattern.is_file() else None
    if listing is None:
        return finding.find(pattern, warn=warn)
    archive = listing.archive
    line = finding.left_out_line(pattern, archive.left_out) if archive.left_out else ""
    if not archive.names:
        others = f" ({line.removeprefix(f'{pattern}: ')})" if line else ""
        raise ImageError(f"{pattern}: expected image files, got an archive without images{others}")
    if line:
        warn(line)
    return [pattern / name for name in listing.places]


def _place(path: Path) -> tuple[_Listing, str] | None:
    """The archive that a path goes on into, and the rest of the path."""
    if os.path.lexists(path):
        return None
    for parent in path.parents:
        if parent.is_dir():
            return None
        if parent.is_file():
            listing = _listed(parent)
            return listing and (listing, path.relative_to(parent).as_posix())
    return None


def _listed(path: Path) -> _Listing | None:
    """None for a file that is no archive. Raises ImageError for a damaged one."""
    stat = path.stat()
    return _opened(path.absolute(), stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=KEPT)
def _opened(path: Path, size: int, changed: int) -> _Listing | None:
    """As `_listed`, of the file as it was of that size at that time."""
    try:
        archive = archives.open_archive(path)
    except ValueError as error:
        raise ImageError(str(error)) from error
    if archive is None:
        return None
    places = {_inner(name): i for i, name in reversed([*enumerate(archive.names)])}
    return _Listing(archive, dict(reversed(places.items())))


def _inner(name: str) -> str:
    """A name in an archive as a path that stays in it."""
    return "/".join(part for part in re.split(r"[/\\]", name) if part not in ("", ".", ".."))
