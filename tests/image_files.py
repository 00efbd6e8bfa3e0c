"""Photos, and files of them that Pillow cannot write."""

import struct
import zlib
from pathlib import Path

import numpy as np

RGB = (
    (
        np.linspace(0, 255, 24 * 20 * 3).reshape(24, 20, 3)
        + 40 * np.sin(np.arange(20) / 3)[None, :, None]
    )
    .clip(0, 255)
    .astype(np.uint8)
)
GREY = RGB[..., 0]
DEEP = np.random.default_rng(0).integers(0, 65536, (24, 20, 4), np.uint16)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_deep_png(path: Path, pixels: np.ndarray) -> None:
    """A 16-bit RGB or RGBA PNG, which Pillow cannot write."""
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in pixels)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def write_tiff(
    path: Path, pixels: np.ndarray, *, order: str = "<", deflate: bool = False, bits: int = 16
) -> None:
    """A one-strip TIFF of 16-bit RGB pixels, or of grey ones with `bits`, packed as they come."""
    height, width = pixels.shape[:2]
    data = pixels.astype(order + "u2").tobytes() if bits == 16 else pixels.tobytes()
    width = width if bits == 16 else width * 8 // bits
    data = zlib.compress(data) if deflate else data
    channels = 3 if pixels.ndim == 3 else 1
    shorts = b"".join(struct.pack(order + "H", bits) for _ in range(channels))
    compression, photometric, depth = (
        (8 if deflate else 1),
        (2 if channels == 3 else 1),
        (8 if channels == 3 else bits),
    )
    tags = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, channels, depth),
        (259, 3, 1, compression),
        (262, 3, 1, photometric),
        # Fmt: skip.
        (273, 4, 1, 14),
        (277, 3, 1, channels),
        (278, 3, 1, height),
        (279, 4, 1, len(data)),
    ]
    entries = b"".join(
        struct.pack(order + "HHI", tag, kind, count)
        + (
            struct.pack(order + "I", value)
            if kind == 4 or count > 1
            else struct.pack(order + "HH", value, 0)
        )
        for tag, kind, count, value in tags
    )
    body = shorts.ljust(6, b"\x00") + data + b"\x00" * (len(data) % 2)
    magic = b"II" if order == "<" else b"MM"
    path.write_bytes(
        magic
        + struct.pack(order + "HI", 42, 8 + len(body))
        + body
        + struct.pack(order + "H", len(tags))
        + entries
        + bytes(4)
    )


def is_one_line(error, path: Path) -> None:
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
