"""Archives of photos, read without being unpacked: .tar, and .zip such as StyleGAN's
dataset_tool.py makes."""

import json
import re
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from jaxsr.images.errors import ImageError
from jaxsr.images.finding import LABELS, type_of, unwanted

LARGEST = 2**31  # bytes of a photo: a zip of some kB may say that it holds more
ENCRYPTED = 1  # a bit of a member's flags
ZIP_MARK = b"PK\x03\x04"


class Archive(NamedTuple):
    """The photos of an archive.

    Attributes:
        names: their paths in it.
        stamps: the names with the size of each, and its time or sum.
        read: index -> the bytes of the file; threads may read at the same time.
        left_out: see `images.Found`.
    """

    names: list[str]
    stamps: list[str]
    read: Callable[[int], bytes]
    left_out: Counter[str]


def open_archive(path: Path) -> Archive | None:
    """The photos of an uncompressed tar or of a zip, by their suffix, without hidden files and what
    other systems keep; None for a file that is no archive.

    Raises:
        ValueError: one that is damaged, or a tar that is compressed: a photo in the middle could
            only be read by unpacking all before it.
    """
    if tarfile.is_tarfile(path):
        return _of_tar(path)
    if zipfile.is_zipfile(path):
        return _of_zip(path)
    with open(path, "rb") as file:
        if file.read(len(ZIP_MARK)) == ZIP_MARK:
            raise ValueError(f"{path}: expected a whole .zip of photos, got one that is cut")
    return None


def _photos(members: Iterable[Any], name_of: Callable[[Any], str]) -> tuple[list, Counter[str]]:
    """The members that are photos, and what the others are."""
    photos, left_out = [], Counter[str]()
    for member in members:
        parts = [
            part for part in re.split(r"[/\\]", name_of(member)) if part not in ("", ".", "..")
        ]
        reasons = [*filter(None, map(unwanted, parts)), type_of(parts[-1] if parts else "")]
        if parts == [LABELS]:
            continue
        if reasons[0]:
            left_out[reasons[0]] += 1
        else:
            photos.append(member)
    return photos, left_out


def _of_tar(path: Path) -> Archive:
    try:
        with tarfile.open(path, "r:") as archive:
            files = [member for member in archive if member.isfile()]
    except tarfile.TarError as error:
        raise ValueError(
            f"{path}: expected a whole, uncompressed .tar of photos, got one that is "
            f"compressed or cut: {error}"
        ) from error
    photos, left_out = _photos(files, lambda member: member.name)

    def read(index: int) -> bytes:
        with open(path, "rb") as file:
            file.seek(photos[index].offset_data)
            return file.read(photos[index].size)

    stamps = [f"{m.name}|{m.size}|{m.mtime}" for m in photos]
    return Archive([m.name for m in photos], stamps, read, left_out)


def _of_zip(path: Path) -> Archive:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ValueError(f"{path}: expected a whole .zip of photos, got: {error}") from error
    files = [member for member in archive.infolist() if not member.is_dir()]
    photos, left_out = _photos(files, lambda member: member.filename)

    def read(index: int) -> bytes:
        member = photos[index]
        if member.flag_bits & ENCRYPTED:
            raise ImageError(f"{member.filename}: expected a photo, got one behind a password")
        if member.file_size > LARGEST:
            raise ImageError(
                f"{member.filename}: expected at most {LARGEST:,} bytes, got {member.file_size:,}"
            )
        try:
            return archive.read(member)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise ImageError(f"{member.filename}: expected a whole file, got: {error}") from error

    stamps = [f"{m.filename}|{m.file_size}|{m.CRC}" for m in photos]
    return Archive([m.filename for m in photos], stamps, read, left_out)


def labels_of(path: Path) -> list[dict[str, str]] | None:
    """The labels of dataset_tool.py's dataset.json, of the file or of the zip that holds it: a row
    a photo, with its name as "file" and its class as "label", or label_0, label_1, ... where a
    label is several numbers. None for a file that is neither.

    Raises:
        ValueError: it holds no labels.
    """
    text = _labels_text(path)
    if text is None:
        return None
    try:
        rows = [_labelled(*pair) for pair in json.loads(text)["labels"]]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path}: expected a CSV of labels, or {LABELS} or a zip with one whose "
            '"labels" are [["NAME", CLASS], ...], got none'
        ) from error
    return rows


def _labels_text(path: Path) -> bytes | None:
    if path.suffix.lower() == ".json":
        return path.read_bytes()
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        return archive.read(LABELS) if LABELS in archive.namelist() else b"null"


def _labelled(name: str, label: object) -> dict[str, str]:
    if isinstance(label, list):
        return {"file": name} | {f"label_{i}": str(value) for i, value in enumerate(label)}
    return {"file": name, "label": str(label)}
