"""Which files a user means by a file, a folder or a pattern."""

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path

from jaxsr.images.errors import ImageError

SUFFIXES = frozenset(
    [
        "apng",
        "avif",
        "bmp",
        "gif",
        "heic",
        "heif",
        "hif",
        "j2k",
        "jfif",
        "jp2",
        "jpe",
        "jpeg",
        "jpg",
        "pbm",
        "pgm",
        "png",
        "pnm",
        "ppm",
        "tif",
        "tiff",
        "webp",
    ]
)


def find(patterns: str | os.PathLike | Sequence[str | os.PathLike]) -> list[Path]:
    """Image files named by files, folders and globs, in the order of the patterns, each once.

    A file is taken whatever its name. A folder gives the visible images in it by their suffix, not
    those in its subfolders; a glob likewise, and "**" goes into subfolders. Within a pattern the
    order is natural: photo2 before photo10.

    Raises:
        ImageError: a pattern that names nothing.
    """
    patterns = [patterns] if isinstance(patterns, (str, os.PathLike)) else patterns
    if not patterns:
        raise ImageError("expected at least one file, folder or glob, got none")
    return list(
        dict.fromkeys(path for pattern in patterns for path in _matches(Path(pattern).expanduser()))
    )


def _matches(pattern: Path) -> list[Path]:
    if pattern.is_dir():
        found = list(pattern.iterdir())
    elif pattern.exists():
        return [pattern]
    else:
        found = [Path(name) for name in glob.glob(str(pattern), recursive=True)]
    images = [
        path
        for path in found
        if (path.is_file() or path.is_symlink())
        and path.suffix[1:].lower() in SUFFIXES
        and not path.name.startswith(".")
    ]
    if not images:
        what = "got a folder without images" if pattern.is_dir() else "got no such file"
        raise ImageError(f"{pattern}: expected image files, {what}")
    return sorted(images, key=_natural)


def _natural(path: Path) -> tuple:
    """Numbers in a name compare by value. re.split alternates text and digits, so that like meets
    like."""
    return [
        int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path).casefold())
    ], str(path)
