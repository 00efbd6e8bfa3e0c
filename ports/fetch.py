"""Official checkpoints of other projects, fetched only when you start this. Nothing else in jaxsr
ever downloads anything.

python ports/fetch.py  # the names, what each one is, its licence
# then python ports/convert.py --source=checkpoints/...
python ports/fetch.py stylegan2-ffhq-config-f --out=checkpoints

Goes on where an earlier try stopped, a killed one too, and checks the length, and the SHA-256 where
one is published.
"""

import dataclasses
import hashlib
import http.client
import itertools
import os
import re
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from pathlib import Path
from typing import NamedTuple, NoReturn

from filelock import FileLock, Timeout
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from jaxsr import flags

MANIFEST = Path(__file__).with_name("manifest.toml")
TIMEOUT = 30.0  # seconds without a byte
TRIES = 4  # in a row that bring nothing new
WAIT = 1.0  # seconds before the second of them, doubled before each further one
BUSY = {408, 429, 500, 502, 503, 504}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What to fetch.

    name: the checkpoint; the bare NAME does as well. Without one the list is printed.
    out: the folder that the file goes to, made when missing.
    manifest: another list, of the form of ports/manifest.toml.
    """

    name: str | None = None
    out: str = "."
    manifest: str | None = None


class Entry(NamedTuple):
    """An official file.

    Attributes:
        what: what it holds.
        file: its name.
        address: where it is downloaded from.
        licence: the terms of the weights, as far as their authors state any.
        source: the project's page.
        sha256: its SHA-256, or the first digits where only those are published; "" where none are.
    """

    what: str
    file: str
    address: str
    licence: str
    source: str
    sha256: str = ""


class _Dropped(Exception):
    """This try ended early; another one may bring the rest."""


def read_manifest(path: str | Path = MANIFEST) -> dict[str, Entry]:
    """The entries of a list, by name.

    Raises:
        ValueError: it is not TOML, or a table is no entry.
        OSError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            entries = {name: Entry(**table) for name, table in tomllib.load(file).items()}
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise ValueError(
            f"{path}: expected TOML tables with {', '.join(Entry._fields)}, got {error}"
        ) from error
    for name, entry in entries.items():
        if not re.match("https?://", entry.address) or Path(entry.file).name != entry.file:
            raise ValueError(
                f"{path}: {name}: expected a web address and a bare file name, got "
                f"{entry.address!r} and {entry.file!r}"
            )
    return entries


def listing(entries: dict[str, Entry]) -> str:
    """A line for each entry: its name, what it is, its licence."""
    rows = [
        ("NAME", "WHAT", "LICENCE"),
        *((name, entry.what, entry.licence) for name, entry in entries.items()),
    ]
    wide = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(
        f"{name:<{wide[0]}}  {what:<{wide[1]}}  {licence}" for name, what, licence in rows
    )


def fetch(entry: Entry, folder: str | Path) -> Path:
    """Downloads the file of `entry` to `folder` and returns its path; goes on with what an earlier
    try left there.

    A file that is there already is left alone. Under the final name there is never anything but a
    whole file.

    Raises:
        ValueError: the server does not give the file, it has another SHA-256 than the published
            one, a file with another one is there already, or another process is fetching it (one
            line each).
        OSError: the folder or the disk does not take it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / entry.file
    print(f"{entry.file}: {entry.what}; licence: {entry.licence}; {entry.source}")
    with _alone(path):
        known = "as published" if entry.sha256 else "none is published"
        if path.exists():
            print(f"{path} is already there, sha256 {_expected(entry, path)} ({known})")
            return path
        _download(entry.address, path)
        digest = _finish(entry, path)
    print(f"{path}: {path.stat().st_size:,} bytes, sha256 {digest} ({known})")
    return path


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    lock = FileLock(path.with_name(f"{path.name}.part.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(
            f"{path}: another process is fetching it: wait for it, or choose another folder "
            "with --out"
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file
            os.unlink(lock.lock_file)
        lock.release()


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _note(path: Path) -> Path:
    """The file that says which version of the file on the server the .part is the beginning of."""
    return path.with_name(f"{path.name}.part.etag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _expected(entry: Entry, path: Path) -> str:
    """The SHA-256 of the file, which is the published one as far as that is known."""
    digest = _sha256(path)
    if not digest.startswith(entry.sha256):
        raise ValueError(f"{path}: expected {entry.file} with sha256 {entry.sha256}, got {digest}")
    return digest


def _finish(entry: Entry, path: Path) -> str:
    """Gives the complete .part its final name, or removes it when it is not the published file;
    returns the digest."""
    try:
        digest = _expected(entry, _part(path))
        os.replace(_part(path), path)
    except ValueError as error:
        _part(path).unlink()
        raise ValueError(f"{entry.address}: {error}; nothing of it was kept") from error
    finally:
        _note(path).unlink(missing_ok=True)
    return digest


def _download(address: str, path: Path) -> None:
    """Completes the .part; tries on for as long as that brings something."""
    best, failures = _size(_part(path)), 0
    while True:
        try:
            return _try(address, path)
        except _Dropped as dropped:
            size = _size(_part(path))
            best, failures = max(best, size), 0 if size > best else failures + 1
            if failures == TRIES:
                kept = (
                    f"; {size:,} bytes are kept, the same command goes on from there"
                    if size
                    else ""
                )
                raise ValueError(f"{address}: {dropped}{kept}") from dropped
            print(f"{dropped}: trying again")
            time.sleep(WAIT * 2**failures)


def _try(address: str, path: Path) -> None:
    """One request, for what the .part lacks."""
    offset, version = _held(address, path)
    resume = {"Range": f"bytes={offset}-", "If-Range": version} if offset else {}
    request = urllib.request.Request(address, headers={"User-Agent": "jaxsr"} | resume)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        with error:
            return _refused(error, address, path, offset, version)
    except (OSError, http.client.HTTPException) as error:
        raise _Dropped(_reason(error)) from error
    with response:
        _receive(response, address, path, offset, version)


def _held(address: str, path: Path) -> tuple[int, str]:
    """How many bytes are there to go on from, and of which version of the file; (0, "") where that
    cannot be told."""
    if not _note(path).exists():
        return 0, ""
    noted, _, version = _note(path).read_text(errors="replace").partition("\n")
    return (_size(_part(path)), version) if noted == address and version else (0, "")


def _version(headers: Message) -> str:
    """What If-Range may name: a strong ETag, or else the date."""
    etag = headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")


def _refused(
    error: urllib.error.HTTPError, address: str, path: Path, offset: int, version: str
) -> None:
    """Returns when the .part proves complete."""
    if offset and error.code == 416:
        if error.headers.get("Content-Range") == f"bytes */{offset}" and _version(
            error.headers
        ) in ("", version):
            return
        _restart(path)
    said = f"the server answered {error.code} {error.reason}"
    if error.code in BUSY:
        raise _Dropped(said)
    raise ValueError(f"{address}: {said}")


def _restart(path: Path) -> NoReturn:
    _part(path).unlink(missing_ok=True)
    raise _Dropped("the file on the server is another one now")


def _reason(error: Exception) -> str:
    """A line, also for those of urllib's errors that hold another one, or no text."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(getattr(inner, "strerror", None) or inner) or type(inner).__name__


def _receive(
    response: http.client.HTTPResponse, address: str, path: Path, offset: int, version: str
) -> None:
    """Appends the answer to the .part, or starts that anew where the answer is the whole file."""
    total = _total(response, path, offset, version)
    pieces = _pieces(response)
    head = next(pieces, b"")
    if response.headers.get_content_type() == "text/html" or head.lstrip().lower().startswith(
        (b"<!doctype html", b"<html")
    ):
        raise ValueError(
            f"{address} answered with a web page, maybe one that asks first: open it in a "
            f"browser and save the file as {path}"
        )
    if response.status != 206:
        _begin(address, path, response.headers)
    _append(path, itertools.chain((head,), pieces), total)
    size = _size(_part(path))
    if total is not None and size != total:
        raise _Dropped(f"the connection ended after {size:,} of {total:,} bytes")


def _total(response: http.client.HTTPResponse, path: Path, offset: int, version: str) -> int | None:
    """The length of the whole file, None where the server does not say. Starts again where the
    answer does not go on from the .part."""
    if response.status != 206:
        length = response.headers.get("Content-Length")
        return None if length is None else int(length)
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    if span is None or int(span[1]) != offset or _version(response.headers) not in ("", version):
        _restart(path)
    return int(span[2])


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """What arrives, when it arrives; the first piece is long enough to tell a web page."""
    try:
        piece = response.read(512)
        while piece:
            yield piece
            piece = response.read1(1 << 20)
    except (OSError, http.client.HTTPException) as error:
        raise _Dropped(_reason(error)) from error


def _begin(address: str, path: Path, headers: Message) -> None:
    """Empties the .part before it notes the version, so that a kill in between leaves nothing that
    could be mixed up."""
    _part(path).write_bytes(b"")
    _note(path).write_text(f"{address}\n{_version(headers)}")


def _append(path: Path, pieces: Iterator[bytes], total: int | None) -> None:
    part = _part(path)
    bar = tqdm(
        total=total, initial=_size(part), unit="B", unit_scale=True, desc=path.name, disable=None
    )
    try:
        with bar, open(part, "ab") as file:
            for piece in pieces:
                file.write(piece)
                file.flush()  # a killed process keeps what it counted
                bar.update(len(piece))
    except OSError as error:  # a full disk does not say which
        raise OSError(error.errno, error.strerror, str(part)) from error


def with_name_flag(arguments: list[str]) -> list[str]:
    """The arguments with the first bare NAME as --name=NAME, for flags.run takes nothing but
    flags."""
    fields = {field.name for field in dataclasses.fields(Settings)}
    for i, (before, word) in enumerate(zip(["", *arguments], arguments, strict=False)):
        value_of_flag = before.startswith("-") and before.lstrip("-") in fields
        if not word.startswith("-") and not value_of_flag:
            return [*arguments[:i], f"--name={word}", *arguments[i + 1 :]]
    return arguments


def main() -> None:
    """Prints the list, or fetches the file of --name."""
    settings: Settings = SETTINGS()
    flags.require(settings, {}, ("out", "manifest"))
    entries = read_manifest(settings.manifest or MANIFEST)
    if settings.name is None:
        print(listing(entries))
        return
    fetch(entries[flags.choose(settings.name, entries, "checkpoint")], settings.out)


if __name__ == "__main__":
    SETTINGS = flags.define(Settings())
    sys.argv[1:] = with_name_flag(sys.argv[1:])
    flags.run(main)
