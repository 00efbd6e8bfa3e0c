"""One process at a time in a folder of results."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


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
        raise ValueError(f"{folder}: another process is writing there: wait for it, or choose another folder") from None
    try:
        yield
    finally:
        lock.release()
