"""Checkpoint files: torch's zip and legacy formats and plain pickles, mapped into memory and read
without torch.

Zip: NAME/data.pkl, each storage stored uncompressed as NAME/data/KEY. Legacy: five pickles (a magic
    number, the protocol, the system, the
object, the storages' keys), then for each key an int64 count and the numbers.
"""

import io
import math
import mmap
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ports.budget import Budget, Unreadable
from ports.constructors import TABLE, Storage, StorageType
from ports.pickles import Constructor, Machine

MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
CHECKPOINTS = (".pt", ".pth", ".ckpt", ".pkl", ".bin", ".safetensors")  # endings of their names
_LOCAL_HEADER = 30  # bytes before the name in a zip entry
_MAX_DIRECTORY = 1 << 23  # bytes of a zip's directory, some 80,000 entries


def read(path: str | Path) -> tuple[Any, str]:
    """What the checkpoint at `path` holds, as inert data (dicts, `Record`, `Tensor`, `NDArray`),
    and how it is written: "torch zip", "torch legacy" or "pickle".

    Arrays are views of the mapped file.

    Raises:
        Unreadable: no checkpoint, a truncated or damaged one, or one that asks for more than data.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        if not file.seek(0, io.SEEK_END):
            raise Unreadable(f"{path}: expected a checkpoint, got an empty file")
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        return _read(data)
    except Unreadable as error:
        raise Unreadable(f"{path}: {error}") from error


# What lies where a checkpoint should: the first bytes, and what it is.
_OTHERS = {
    b"version https://git-lfs": "a pointer of Git LFS to it: git lfs pull",
    b"<": "a web page: the download asked for something",
    b"\xef\xbb\xbf<": "a web page: the download asked for something",
    b"\x1f\x8b": "a file packed by gzip: unpack it",
    b"BZh": "a file packed by bzip2: unpack it",
    b"\xfd7zXZ": "a file packed by xz: unpack it",
    b"7z\xbc\xaf": "a 7z archive: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    b"\x89HDF": "HDF5, as Keras writes it",
    b"\x93NUMPY": "an array of NumPy",
    b"{": "JSON: give the file of weights beside it",
}


def _named(head: bytes) -> str:
    text = head.lstrip()
    known = [what for start, what in _OTHERS.items() if text.startswith(start)]
    return known[0] if known else f"one that starts with {head[:8]!r}"


def _read(data: memoryview) -> tuple[Any, str]:
    budget = Budget(len(data))
    if data[:4] == b"PK\x03\x04":
        return _read_zip(data, budget), "torch zip"
    if data[0] != 0x80:
        raise Unreadable(f"expected a pickle or a torch file, got {_named(bytes(data[:1024]))}")
    machine = Machine(data, NESTED, budget)
    first = machine.run()
    if isinstance(first, int) and first == MAGIC:
        return _read_legacy(data, TABLE, budget), "torch legacy"
    return first, "pickle"


def _read_zip(data: memoryview, budget: Budget) -> Any:
    entries = _entries(data)
    names = [name for name in entries if name.endswith("/data.pkl")]
    if len(names) != 1:
        raise Unreadable(f"expected a torch file with one data.pkl, got a zip with {len(names)}")
    folder = names[0].removesuffix("data.pkl")
    order = entries.get(f"{folder}byteorder")
    if order is not None and order != b"little":
        raise Unreadable("expected numbers in little-endian order, got another order")

    def content(name: str, size: int) -> memoryview:
        piece = entries.get(f"{folder}data/{name}")
        if piece is None or len(piece) != size:
            raise Unreadable(
                f"expected {size} bytes in the zip's data/{name}, got "
                f"{'nothing' if piece is None else len(piece)}"
            )
        return piece

    storages = _Storages(content)
    return Machine(entries[names[0]], TABLE, budget, storages.get).run()


def _entries(data: memoryview) -> dict[str, memoryview]:
    """The zip's entries as views of `data`; each must be stored as it is and lie inside the
    file."""
    try:
        with zipfile.ZipFile(_Mapped(data)) as archive:
            infos = archive.infolist()
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        OSError,
        EOFError,
        UnicodeDecodeError,
        OverflowError,
    ) as error:
        raise Unreadable(
            "expected a whole file of torch.save, got a zip that is cut off or damaged: "
            f"{str(error)[:100]}"
        ) from error
    _refuse_others([info.filename for info in infos])
    if any(info.filename.endswith("/constants.pkl") for info in infos):
        raise Unreadable(
            "expected weights, got a TorchScript program: torch.jit.load it and torch.save its "
            "state_dict()"
        )
    return {info.filename: _entry(data, info) for info in infos}


def _refuse_others(names: list[str]) -> None:
    """Raises Unreadable for a zip that no torch.save wrote, as far as its names tell."""
    if any(name.endswith("data.pkl") for name in names):
        return
    inner = [name for name in names if name.endswith(CHECKPOINTS)]
    if inner:
        raise Unreadable(
            f"expected a checkpoint, got a zip around one: unpack {inner[0][:80]!r}, and give that"
        )
    if names and all(name.endswith(".npy") for name in names):
        raise Unreadable(
            "expected a checkpoint, got NumPy's .npz, which does not tell a network: save the "
            "weights by torch.save or as safetensors"
        )


def _entry(data: memoryview, info: zipfile.ZipInfo) -> memoryview:
    header = bytes(data[info.header_offset : info.header_offset + _LOCAL_HEADER])
    if (
        info.compress_type != zipfile.ZIP_STORED
        or info.flag_bits & 1
        or len(header) < _LOCAL_HEADER
        or header[:4] != b"PK\x03\x04"
    ):
        raise Unreadable("expected a torch zip with uncompressed entries, got another zip")
    start = (
        info.header_offset
        + _LOCAL_HEADER
        + int.from_bytes(header[26:28], "little")
        + int.from_bytes(header[28:30], "little")
    )
    if not 0 <= info.file_size <= len(data) - start:
        raise Unreadable(
            f"expected an entry of {info.file_size} bytes inside the zip, got a file that "
            "ends before: truncated or damaged"
        )
    entry = data[start : start + info.file_size]
    if zlib.crc32(entry) != info.CRC:
        raise Unreadable(
            f"expected {info.filename[:80]} as it was written, got another checksum: the file "
            "is damaged"
        )
    return entry


class _Mapped(io.RawIOBase):
    """A view as a file, so that `zipfile` reads the directory of a mapped file without a copy of
    it."""

    def __init__(self, data: memoryview):
        self.data, self.position = data, 0

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.position, io.SEEK_END: len(self.data)}[whence]
        if base + offset < 0:
            raise OSError("negative position")
        self.position = base + offset
        return self.position

    def tell(self) -> int:
        return self.position

    def read(self, size: int | None = -1) -> bytes:
        end = len(self.data) if size is None or size < 0 else self.position + size
        if end - self.position > _MAX_DIRECTORY:
            raise OSError("its directory is too large")
        piece = bytes(self.data[self.position : end])
        self.position += len(piece)
        return piece


class _Storages:
    """The storages that persistent ids name; `content(key, bytes)`, if given, is where their
    numbers lie."""

    def __init__(self, content: Callable[[str, int], memoryview] | None = None):
        self.content = content
        self.known: dict[str, Storage] = {}
        self.views: list[tuple[Storage, Storage, int]] = []

    def persistent(self, pid: Any) -> Any:
        """What `get` gives, or the class of ("module", class, file, source text): a legacy file
        with a whole module has its code too, which is passed over."""
        is_module = isinstance(pid, tuple) and len(pid) == 4 and pid[0] == "module"
        return pid[1] if is_module else self.get(pid)

    def get(self, pid: Any) -> Storage:
        """("storage", type, key, device, count), in legacy files with None or (view key, offset,
        count) behind it."""
        if not isinstance(pid, tuple) or len(pid) not in (5, 6) or pid[0] != "storage":
            raise Unreadable("refused: the pickle has a persistent id that is no torch storage")
        _, kind, name, _, count, *view = pid
        if (
            not isinstance(kind, StorageType)
            or not isinstance(name, str)
            or type(count) is not int
            or not 0 <= count < 2**40
        ):
            raise Unreadable("expected a torch storage of numbers, got another one")
        storage = self.known.get(name)
        if storage is None:
            data = self.content(name, count * kind.itemsize) if self.content else None
            storage = self.known[name] = Storage(kind, count, data)
        if storage.kind != kind or storage.count != count:
            raise Unreadable(f"expected one type and size of storage {name[:80]!r}, got two")
        return self._part(storage, view[0]) if view and view[0] is not None else storage

    def _part(self, storage: Storage, view: Any) -> Storage:
        _, offset, count = view
        if (
            not all(type(n) is int and n >= 0 for n in (offset, count))
            or offset + count > storage.count
        ):
            raise Unreadable("expected a view inside its storage, got one outside")
        part = Storage(storage.kind, count)
        self.views.append((part, storage, offset))
        return part

    def fill(self, machine: Machine, names: Any) -> None:
        """Sets the numbers that lie behind a legacy file's pickles, in the order of `names`."""
        if (
            not isinstance(names, list)
            or not all(isinstance(name, str) for name in names)
            or sorted(names) != sorted(self.known)
        ):
            raise Unreadable(
                f"expected the names of the file's {len(self.known)} storages, got others"
            )
        for storage in (self.known[name] for name in names):
            count = machine.number("<q")
            if count != storage.count:
                raise Unreadable(f"expected a storage of {storage.count} numbers, got {count}")
            storage.data = machine.take(math.prod((count, storage.kind.itemsize)))
        for part, storage, offset in self.views:
            assert storage.data is not None
            size = part.kind.itemsize
            part.data = storage.data[offset * size : (offset + part.count) * size]


def _read_legacy(data: memoryview, table: dict, budget: Budget) -> Any:
    storages = _Storages()
    machine = Machine(data, table, budget, storages.persistent)
    magic, protocol, system = machine.run(), machine.run(), machine.run()
    if (
        magic != MAGIC
        or protocol != LEGACY_PROTOCOL
        or not isinstance(system, dict)
        or system.get("little_endian") is not True
    ):
        raise Unreadable(
            "expected a torch file of protocol 1001 in little-endian order, got another one"
        )
    content = machine.run()
    storages.fill(machine, machine.run())
    return content


def _load_from_bytes(machine: Machine, args: tuple) -> Any:
    """A storage inside a plain pickle: a whole legacy file as bytes. One such file does not hold
    another."""
    (data,) = args
    if not isinstance(data, memoryview | bytes):
        raise Unreadable("expected a torch storage as bytes, got another one")
    return _read_legacy(memoryview(data), TABLE, machine.budget)


NESTED = TABLE | {("torch.storage", "_load_from_bytes"): Constructor("storage", _load_from_bytes)}
