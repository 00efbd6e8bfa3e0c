"""What a picture's file says of the picture: that a trained model made it, with what settings, and
when the photo was taken. Of the photo's own metadata nothing else is kept, above all no place.

The mark is IPTC's digital source type in an XMP packet (ISO 16684-1; IPTC Photo Metadata Standard
2023.2), the settings are JSON, the date is EXIF's.
"""

import dataclasses
import json
import os
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

from PIL import Image

import jaxsr
from jaxsr.images import members, raster

SYNTHETIC = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
NAMESPACES = {
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "jaxsr": "urn:jaxsr:1.0:",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}
XMP_KEYWORD = b"XML:com.adobe.xmp"
EXIF_IFD, SOFTWARE, CHANGED = 0x8769, 0x0131, 0x0132
# Date of a photo, its fraction of a second and its offset from UTC: as it was taken, as it was
# made digital.
DATES = ((0x9003, 0x9291, 0x9011), (0x9004, 0x9292, 0x9012))
DATE = re.compile(r"\d{4}:\d\d:\d\d \d\d:\d\d:\d\d")
# Entries of config.json that name files of the user, or what another run would do otherwise.
UNTOLD = ("photos", "command", "device", "source", "input", "reference", "batch_size")


class Taken(NamedTuple):
    """When a photo was taken: "2024:05:01 10:20:30", the digits of the fraction of its second, and
    "+02:00"; "" where its file does not tell."""

    date: str = ""
    fraction: str = ""
    offset: str = ""

    @property
    def iso(self) -> str:
        """As XMP writes it: 2024-05-01T10:20:30.5+02:00."""
        day, _, clock = self.date.partition(" ")
        fraction = f".{self.fraction}" if self.fraction else ""
        return f"{day.replace(':', '-')}T{clock}{fraction}{self.offset}"


NEVER = Taken()


@dataclasses.dataclass(frozen=True)
class Marks:
    """What is written into a picture's file.

    Attributes:
        settings: what made it, as JSON.
        taken: when its photo was taken.
    """

    settings: str
    taken: Taken = NEVER

    @property
    def software(self) -> str:
        return f"jaxsr {jaxsr.__version__}"

    def xmp(self) -> bytes:
        """The XMP packet."""
        told = {
            "Iptc4xmpExt:DigitalSourceType": SYNTHETIC,
            "xmp:CreatorTool": self.software,
            "jaxsr:Settings": self.settings,
        }
        if self.taken.date:
            told["exif:DateTimeOriginal"] = self.taken.iso
        spaces = {f"xmlns:{name}": uri for name, uri in NAMESPACES.items()}
        attributes = " ".join(f"{name}={quoteattr(text)}" for name, text in (spaces | told).items())
        return (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
            '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
            '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            f'<rdf:Description rdf:about="" {attributes}/></rdf:RDF></x:xmpmeta>'
            '<?xpacket end="w"?>'
        ).encode()

    def exif(self) -> bytes:
        """EXIF with the software and the date, behind the six bytes that JPEGs have before it."""
        found = Image.Exif()
        found[SOFTWARE] = self.software
        date, fraction, offset = DATES[0]
        names = zip((date, fraction, offset), self.taken, strict=True)
        inner = {tag: text for tag, text in names if text}
        if inner:
            found[EXIF_IFD] = inner
        return found.tobytes()

    def into_png(self, png: bytes) -> bytes:
        """A PNG, of whatever program, with the marks behind its header."""
        text = [(b"Software", self.software), (b"Settings", self.settings)]
        chunks = [(b"tEXt", name + b"\x00" + value.encode("latin-1")) for name, value in text]
        chunks.append((b"iTXt", XMP_KEYWORD + bytes(5) + self.xmp()))
        chunks.append((b"eXIf", self.exif().removeprefix(b"Exif\x00\x00")))
        end = len(b"\x89PNG\r\n\x1a\n") + 25  # of the header
        return png[:end] + b"".join(_chunk(*each) for each in chunks) + png[end:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return len(data).to_bytes(4, "big") + kind + data + check.to_bytes(4, "big")


def of_run(folder: str | os.PathLike, method: str | None = None) -> Marks:
    """The marks of a run's pictures: its config.json without what names files, and the method that
    made them, where it is one.

    Raises:
        OSError: there is none.
    """
    record = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    made = {} if method is None else {"method": method}
    return Marks(json.dumps(_told(record) | made))


def _told(record: Mapping[str, Any]) -> dict[str, Any]:
    """Without what names files, of a model all but its folder's name."""
    told = {}
    for name, value in record.items():
        if isinstance(value, dict):
            value = _told(value)
        if name == "model" and isinstance(value, str):
            value = Path(value).name
        if name not in UNTOLD and value is not None:
            told[name] = value
    return told


def taken(path: str | os.PathLike) -> Taken:
    """When the photo in a file was taken, as its EXIF tells; of a file that is gone, damaged or
    silent, nothing."""
    try:
        data = members.content(Path(path))
        with raster.opened_any(Path(path) if data is None else data) as image:
            found = image.getexif()
            inner = found.get_ifd(EXIF_IFD)
    except Exception:  # Damaged metadata raises nearly anything, and is no reason to stop.
        return Taken()
    for tags in DATES:
        date, fraction, offset = (str(inner.get(tag, "")).strip("\x00 ") for tag in tags)
        if DATE.fullmatch(date):
            offset = offset if re.fullmatch(r"[+-]\d\d:\d\d", offset) else ""
            return Taken(date, fraction if fraction.isdecimal() else "", offset)
    changed = str(found.get(CHANGED, "")).strip("\x00 ")
    return Taken(changed) if DATE.fullmatch(changed) else Taken()
