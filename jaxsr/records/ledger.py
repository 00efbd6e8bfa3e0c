"""Rows of results that are added as they are made, by one process or several, in a folder that
outlives them.

FOLDER/rows.jsonl holds a JSON object a line. A line is written under a lock and in one piece; what
a kill cuts off is skipped when read and made again. Work is shared out by claims: a claim is a file
lock, so that a killed process holds none.
"""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from jaxsr.records import report

Key = tuple[str, ...]
INFINITIES = {str(value): value for value in (math.inf, -math.inf)}


class Ledger:
    """The rows of one folder, each known by the values of its `key` columns; of two rows of one key
    the later counts."""

    def __init__(
        self,
        folder: str | os.PathLike,
        settings: Mapping[str, Any],
        *,
        key: Sequence[str],
        about: Mapping[str, Any],
    ):
        """Starts a ledger, or goes on with the one that is there.

        Args:
            folder: made when missing.
            settings: what all rows have in common, in JSON's types.
            key: the columns that tell rows apart; compared as text.
            about: what else config.json is to hold; that of the run that started the folder stays.

        Raises:
            ValueError: the folder cannot be written, or holds rows of other settings (each is
                named), or rows without a record of them.
        """
        report.check_writable(folder)
        self.folder, self.key = Path(folder), tuple(key)
        self._path, self._claims = self.folder / "rows.jsonl", self.folder / ".claims"
        self._claims.mkdir(exist_ok=True)
        self._lock = FileLock(self._claims / "rows.lock")
        with self._lock:
            if self._path.exists() and not (self.folder / "config.json").exists():
                raise ValueError(
                    f"{self._path} exists and no config.json tells what made it: choose "
                    "another folder"
                )
            report.begin_record(self.folder, {"settings": settings, **about})

    def rows(self) -> dict[Key, dict[str, Any]]:
        """key -> row, as it was added but for NaN, which is None; a line that is no row with a
        "status" is left out, so that its work is done again."""
        try:
            lines = self._path.read_text(encoding="utf-8", errors="replace").split("\n")
        except FileNotFoundError:
            return {}
        found = {}
        for line in lines:
            try:
                row = {k: _read(v) for k, v in json.loads(line).items()}
                row["status"]
                found[tuple(str(row[name]) for name in self.key)] = row
            # The line that a kill cut off, or the empty one after the last.
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
        return found

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Appends rows; when it returns they are on the disk. JSON has no infinite numbers: they
        are the texts "inf" and "-inf" there. Raises OSError."""
        lines = "".join(
            json.dumps({k: _plain(v) for k, v in row.items()}, allow_nan=False) + "\n"
            for row in rows
        )
        with self._lock, open(self._path, "ab+") as file:
            whole = file.seek(0, os.SEEK_END) == 0 or (
                file.seek(-1, os.SEEK_END) >= 0 and file.read(1) == b"\n"
            )
            file.write(("" if whole else "\n").encode() + lines.encode())
            file.flush()
            os.fsync(file.fileno())

    def exclusive(self) -> FileLock:
        """A lock under which one process at a time writes what is made of the rows."""
        return self._lock

    @contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        """Yields whether this process may do the work `name`: False while another one does."""
        lock = FileLock(self._claims / f"{name}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()


def _plain(value: Any) -> Any:
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)


def _read(value: Any) -> Any:
    return INFINITIES.get(value, value) if isinstance(value, str) else value
