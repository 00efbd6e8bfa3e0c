"""Files of results and of the user: the cache folder, whole writes, and one process at a time in a
folder."""

import codecs
import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

ASSETS = Path(__file__).parents[1] / "assets"  # what comes with the package
ESCAPE = "jaxsr.escape"  # an error handler of `str.encode`


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Letters that an encoding lacks; of a name that is no UTF-8, Python holds byte b as the letter
    0xDC00 + b (PEP 383)."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = map(ord, error.object[error.start : error.end])
    told = [
        f"\\x{code - 0xDC00:02x}"
        if 0xDC80 <= code <= 0xDCFF
        else chr(code).encode("ascii", "backslashreplace").decode()
        for code in letters
    ]
    return "".join(told), error.end


codecs.register_error(ESCAPE, _escape)


def encoded(text: str) -> bytes:
    """Any text in UTF-8; of a file's name that is none, the bytes as "\\xe9"."""
    return text.encode(errors=ESCAPE)


def shown(text: str) -> str:
    """Any text as files and tables hold it; see `encoded`."""
    return encoded(text).decode()


def cache_folder() -> Path:
    """The user's cache folder on this platform; XDG_CACHE_HOME wins everywhere.

    Raises:
        RuntimeError: a user without a home.
    """
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"])
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return (
        Path.home() / "Library" / "Caches" if sys.platform == "darwin" else Path.home() / ".cache"
    )


def write_text(path: str | os.PathLike, text: str) -> None:
    """`write_bytes` of a text, `encoded`."""
    write_bytes(path, encoded(text))


def write_bytes(path: str | os.PathLike, content: bytes) -> None:
    """Writes a file at once, by `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A path to write to that takes the place of `path` at the end: whoever reads that, whenever,
    sees the old content or all of the new.

    The temporary name depends on the target's alone, so that a run repeated after a kill overwrites
    what the killed one left. It is a digest, because a name may be as long as the file system
    allows.

    Raises:
        OSError: it cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{hashlib.sha256(encoded(path.name)).hexdigest()[:16]}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, f"cannot write {path}: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def only_here(folder: str | Path) -> Iterator[None]:
    """Holds the folder (made when missing) for this process; a killed process holds nothing.

    Raises:
        ValueError: another process holds it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ValueError(
            f"{folder}: another process is writing there: wait for it, or choose another folder"
        ) from None
    try:
        yield
    finally:
        lock.release()
