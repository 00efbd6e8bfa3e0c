"""JPEGs whose only fault is a missing end marker: cameras and transfers lose it, and viewers show
the photo all the same."""

import re
from collections.abc import Iterator

SOS, END = 0xDA, b"\xff\xd9"
FILLING = b"\x5a\xa5\x17\xe8" * 64
# Scan data goes on after FF 00 and restart markers.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
COEFFICIENTS = 64


def completed(data: bytes) -> tuple[bytes, bytes] | None:
    """The JPEG with the end marker that it lacks, in two ways; None where it has one, or where
    scans are missing.

    Both decode to the same pixels if nothing else is missing: the second holds more data before the
    marker, which a decoder reads only where it lacks some.
    """
    if data.rstrip(b"\x00").endswith(END) or not _has_all_scans(data):
        return None
    data = data[:-1] if data.endswith(b"\xff") else data  # half of the marker
    restarts = b"".join(b"\xff" + bytes([0xD0 + i]) + FILLING for i in range(8))
    return data + END, data + FILLING + restarts + END


def _has_all_scans(data: bytes) -> bool:
    """Whether the scans that have begun hold every bit of every coefficient of every component: a
    progressive JPEG that ends between two scans is a coarse picture."""
    lowest: dict[int, list[int]] = {}
    components = 0
    for marker, content in _segments(data):
        if marker in (0xC0, 0xC1, 0xC2) and len(content) > 5:
            components = content[5]
        if marker == SOS and content and len(content) >= 4 + 2 * content[0]:
            count = content[0]
            first, last, bits = content[1 + 2 * count : 4 + 2 * count]
            for name in content[1 : 1 + 2 * count : 2]:
                known = lowest.setdefault(name, [15] * COEFFICIENTS)
                known[first : last + 1] = [bits & 15] * len(known[first : last + 1])
    return bool(components) and len(lowest) == components and not any(map(any, lowest.values()))


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment, scan data passed over."""
    at = 2
    while (found := _MARKER.search(data, at)) is not None:
        at = found.end()
        length = int.from_bytes(data[at : at + 2], "big")
        yield data[at - 1], data[at + 2 : at + length]
        at += max(length, 2)
