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
    """A 16-bit PNG of grey with alpha, RGB or RGBA, which Pillow cannot write."""
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in pixels)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def write_tiff(
    path: Path,
    pixels: np.ndarray,
    *,
    order: str = "<",
    deflate: bool = False,
    bits: int | None = None,
    planar: bool = False,
    photometric: int | None = None,
    more: tuple[tuple[int, int, bytes], ...] = (),
) -> None:
    """A TIFF of one page by the letter of the specification, which shares no code with a reader.

    Args:
        path: where it goes.
        pixels: [h, w] or [h, w, c] as they are stored; packed bytes [h, n] of one channel where
            `bits` is given.
        order: "<" or ">".
        deflate: compressed, a strip a plane.
        bits: of each packed number.
        planar: each channel in a plane of its own.
        photometric: 0 white is zero, 1 black is zero, 2 RGB.
        more: further tags: number, type, content.
    """
    stored = pixels.astype(pixels.dtype.newbyteorder(order))
    planes = [stored[..., i] for i in range(pixels.shape[2])] if planar else [stored]
    strips = [plane.tobytes() for plane in planes]
    strips = [zlib.compress(strip) for strip in strips] if deflate else strips
    body = b"".join(strips)
    tags = [
        *_shape_tags(pixels, bits, photometric, order),
        *_strip_tags(len(pixels), strips, order),
        (259, 3, _shorts(order, 8 if deflate else 1)),
        (284, 3, _shorts(order, 2 if planar else 1)),
        *more,
    ]
    path.write_bytes(
        {"<": b"II", ">": b"MM"}[order]
        + struct.pack(f"{order}HI", 42, 8 + len(body))
        + body
        + _directory(tags, 8 + len(body), order)
    )


def _shorts(order: str, *values: int) -> bytes:
    return struct.pack(f"{order}{len(values)}H", *values)


def _longs(order: str, *values: int) -> bytes:
    return struct.pack(f"{order}{len(values)}I", *values)


def _shape_tags(
    pixels: np.ndarray, bits: int | None, photometric: int | None, order: str
) -> list[tuple[int, int, bytes]]:
    """What a pixel is, and how many there are."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    width = pixels.shape[1] if bits is None else pixels.shape[1] * 8 // bits
    size, kind = bits or 8 * pixels.itemsize, {"u": 1, "i": 2, "f": 3, "c": 6}[pixels.dtype.kind]
    if photometric is None:
        photometric = 2 if channels == 3 else 1
    return [
        (256, 4, _longs(order, width)),
        (257, 4, _longs(order, len(pixels))),
        (258, 3, _shorts(order, *[size] * channels)),
        (262, 3, _shorts(order, photometric)),
        (277, 3, _shorts(order, channels)),
        (339, 3, _shorts(order, *[kind] * channels)),
    ]


def _strip_tags(height: int, strips: list[bytes], order: str) -> list[tuple[int, int, bytes]]:
    """Where the strips lie, which follow each other behind the header."""
    offsets = [8 + sum(map(len, strips[:i])) for i in range(len(strips))]
    return [
        (273, 4, _longs(order, *offsets)),
        (278, 4, _longs(order, height)),
        (279, 4, _longs(order, *map(len, strips))),
    ]


def extra(*kinds: int) -> tuple[tuple[int, int, bytes], ...]:
    """The tag of what the channels beyond the colours are."""
    return ((338, 3, struct.pack(f"<{len(kinds)}H", *kinds)),)


def _directory(tags, at: int, order: str) -> bytes:
    sizes = {2: 1, 3: 2, 4: 4, 7: 1}
    after = at + 2 + 12 * len(tags) + 4
    entries = far = b""
    for number, kind, content in sorted(tags):
        entries += struct.pack(f"{order}HHI", number, kind, len(content) // sizes[kind])
        if len(content) <= 4:
            entries += content.ljust(4, b"\0")
        else:
            entries += struct.pack(f"{order}I", after + len(far))
            far += content
    return struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + far


def is_one_line(error, path: Path) -> None:
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
