"""Which files a user means by a file, a folder or a pattern: the one way to walk folders, for
restoring, evaluating and training."""

import fnmatch
import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from jaxsr.images.errors import ImageError
from jaxsr.records import results

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


# What macOS, Windows, Synology, QNAP and file servers leave beside photos; names in lower case.
SIDECARS = (
    "._*",
    ".ds_store",
    ".fuse_hidden*",
    ".nfs*",
    ".appledouble",
    "@eadir",
    "*@synoeastream",
    "*@synoresource",
    "@__thumb",
    "__macosx",
    "#recycle",
    "$recycle.bin",
    "system volume information",
    "desktop.ini",
    "ehthumbs*.db",
    "thumbs.db",
)
SIDECAR, HIDDEN, RESULT = "sidecar of another system", "hidden", "of an earlier run"
LINKED, LOCKED, FOLDER = "link to a listed folder", "unreadable folder", "folder"
PLURAL = {
    SIDECAR: "sidecars of other systems",
    LINKED: "links to listed folders",
    LOCKED: "unreadable folders",
    FOLDER: "folders",
}
SHOWN_TYPES = 4
LABELS = "dataset.json"  # of StyleGAN's dataset_tool.py, beside the photos that it is of


class Found(NamedTuple):
    """Images, and why how many other files and folders were left out; a folder counts once. Reasons
    that begin with a dot are the endings of other types of files."""

    paths: list[Path]
    left_out: Counter[str]


def find(
    patterns: str | os.PathLike | Sequence[str | os.PathLike],
    *,
    warn: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Image files named by files, folders and globs, in the order of the patterns, each once.

    A file is taken whatever its name. A folder gives the images in it and its subfolders; see
    `walk`. A glob gives what it matches, and "**" goes into subfolders; of hidden files, sidecars
    and results of earlier runs none. Within a pattern the order is natural: photo2 before photo10.

    Args:
        patterns: one or several.
        warn: is told, for each pattern, in one line what was left out, and why.

    Raises:
        ImageError: a pattern that names nothing.
    """
    patterns = [patterns] if isinstance(patterns, (str, os.PathLike)) else patterns
    if not patterns:
        raise ImageError("expected at least one file, folder or glob, got none")
    found: dict[Path, None] = {}
    for pattern in patterns:
        paths, left_out = _matches(Path(pattern).expanduser())
        found |= dict.fromkeys(paths)
        if left_out:
            warn(left_out_line(pattern, left_out))
    return list(found)


def left_out_line(source: str | os.PathLike, left_out: Counter[str]) -> str:
    """ "photos: left out 4 sidecars of other systems, 2 hidden, 3 of other types (.csv, .txt)" """
    types = [reason for reason, _ in left_out.most_common() if reason.startswith(".")]
    told = [
        f"{count} {PLURAL.get(reason, reason) if count > 1 else reason}"
        for reason, count in left_out.items()
        if reason not in types
    ]
    if types:
        shown = [
            *(each.removeprefix(". ") for each in types[:SHOWN_TYPES]),
            *(["..."] if len(types) > SHOWN_TYPES else []),
        ]
        count = sum(left_out[each] for each in types)
        kind = "other types" if count > 1 else "another type"
        told.append(f"{count} of {kind} ({', '.join(shown)})")
    return f"{source}: left out {', '.join(told)}"


def unwanted(name: str) -> str:
    """Why a file or folder of this name is nobody's photo, "" where it may be one."""
    if any(fnmatch.fnmatchcase(name.casefold(), pattern) for pattern in SIDECARS):
        return SIDECAR
    return HIDDEN if name.startswith(".") else ""


def type_of(name: str) -> str:
    """The ending of a name that is no image's, "" for an image's."""
    ending = PurePosixPath(name).suffix.lower()
    return "" if ending[1:] in SUFFIXES else ending or ". without an ending"


def walk(folder: Path) -> Found:
    """The images in a folder and its subfolders, by their suffix, in natural order.

    Links are followed. A folder that several paths lead to counts once, under its own path where it
    lies in `folder`, so that loops end. Hidden files and folders, what other systems keep beside
    photos, and results of earlier runs are left out. A link to nowhere is listed: its error comes
    when it is read.

    Raises:
        OSError: the folder cannot be read; one within it is left out.
    """
    os.scandir(folder).close()
    found = Found([], Counter())
    waiting, links, seen, top = [folder], list[Path](), set[str](), os.path.realpath(folder)
    while waiting or links:
        here = waiting.pop() if waiting else links.pop(0)
        real = os.path.realpath(here)
        if real in seen or top.startswith(os.path.join(real, "")):
            found.left_out[LINKED] += 1
            continue
        seen.add(real)
        folders = _list(here, found)
        waiting += [path for path in folders if not path.is_symlink()]
        links += [path for path in folders if path.is_symlink()]
    return Found(sorted(found.paths, key=_natural), found.left_out)


def _list(folder: Path, found: Found) -> list[Path]:
    """Adds what lies in a folder to `found`; returns the folders in it that may hold images."""
    try:
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError:
        found.left_out[LOCKED] += 1
        return []
    written, folders = results.written(folder, {entry.name for entry in entries}), []
    for entry in entries:
        reason = RESULT if entry.name in written else unwanted(entry.name)
        if reason:
            found.left_out[reason] += 1
        elif _is_folder(entry):
            folders.append(folder / entry.name)
        else:
            _sort_in(folder / entry.name, found)
    return folders


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _sort_in(path: Path, found: Found) -> None:
    """A file among the images, or its type among what is left out."""
    other = type_of(path.name)
    if path.name == LABELS:
        return
    if other:
        found.left_out[other] += 1
    else:
        found.paths.append(path)


def _matches(pattern: Path) -> Found:
    if pattern.is_dir():
        found = walk(pattern)
    elif os.path.lexists(pattern):
        return Found([pattern], Counter())
    else:
        found = _globbed(pattern)
    if not found.paths:
        without = "none" if found.left_out else "no such file"
        what = f"got {'a folder without images' if pattern.is_dir() else without}"
        others = f" ({left_out_line('', found.left_out)[2:]})" if found.left_out else ""
        raise ImageError(f"{pattern}: expected image files, {what}{others}")
    return found


def _globbed(pattern: Path) -> Found:
    """As `walk`, what matches a glob."""
    parts = _escaped(pattern.parts)
    if "**" not in parts:
        return _chosen(Path(name) for name in glob.glob(str(Path(*parts))))
    # Python's own "**" goes round a loop of links until the path is too long.
    at = parts.index("**")
    found = Found([], Counter())
    for name in glob.glob(str(Path(*parts[:at]))) if at else ["."]:
        if os.path.isdir(name):
            paths, left_out = walk(Path(name))
            found.paths.extend(p for p in paths if _fits(p.relative_to(name).parts, parts[at:]))
            # Files of other types are not what the pattern asks for.
            found.left_out.update({k: n for k, n in left_out.items() if not k.startswith(".")})
    return Found(sorted(found.paths, key=_natural), found.left_out)


def _escaped(parts: Sequence[str]) -> list[str]:
    """A glob's parts, those that begin it escaped as far as they are the names of folders: of
    "photos [2024]", say."""
    for i in range(len(parts)):
        if not os.path.lexists(Path(*parts[: i + 1])):
            return [*map(glob.escape, parts[:i]), *parts[i:]]
    return [*map(glob.escape, parts)]


def _fits(parts: Sequence[str], rule: Sequence[str]) -> bool:
    """Whether a path's parts match a glob's, of which "**" stands for any number of folders."""
    if not rule:
        return not parts
    if rule[0] == "**":
        return any(_fits(parts[i:], rule[1:]) for i in range(len(parts) + 1))
    if not parts or not fnmatch.fnmatch(parts[0], rule[0]):
        return False
    return _fits(parts[1:], rule[1:])


def _chosen(paths: Iterable[Path]) -> Found:
    """Of the files and folders that a glob matches the images; folders are counted."""
    found, written = Found([], Counter()), dict[Path, set[str]]()
    for path in paths:
        if path.parent not in written:
            written[path.parent] = results.written(path.parent, set(os.listdir(path.parent)))
        reason = RESULT if path.name in written[path.parent] else unwanted(path.name)
        if reason or path.is_dir():
            found.left_out[reason or FOLDER] += 1
        else:
            _sort_in(path, found)
    return Found(sorted(found.paths, key=_natural), found.left_out)


def _natural(path: Path) -> tuple:
    """Numbers in a name compare by value. re.split alternates text and digits, so that like meets
    like."""
    return [
        int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path).casefold())
    ], str(path)
