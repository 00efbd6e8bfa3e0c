"""Files that look like photos and are not read: how they begin, what they are, what to do."""

from typing import NamedTuple

from jaxsr.images.errors import ImageError

# Brands of the ISO base media format, bytes 8 to 12 after "ftyp".
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
AVIF = (b"avif", b"avis")
HEIC_ADVICE = (
    "HEIC, which is read with pip install 'jaxsr-gan[heic]' (pillow-heif); or convert it to JPEG "
    "or PNG"
)
CONVERT = "which is not read: convert it to PNG or TIFF"
DEVELOP = "which is not read: develop it to a TIFF of 16 bits"


class Kind(NamedTuple):
    """How a kind of file begins: `start` at byte `at`; and what the user is told."""

    start: bytes
    told: str
    at: int = 0


KINDS = (
    Kind(b"CR\x02", f"a camera's raw data (CR2), {DEVELOP}", 8),
    Kind(b"ftypcrx ", f"a camera's raw data (CR3), {DEVELOP}", 4),
    Kind(b"FUJIFILMCCD-RAW", f"a camera's raw data (RAF), {DEVELOP}"),
    Kind(b"IIRO", f"a camera's raw data (ORF), {DEVELOP}"),
    Kind(b"IIU\x00", f"a camera's raw data (RW2), {DEVELOP}"),
    Kind(b"\xff\x0a", f"JPEG XL, {CONVERT}"),
    Kind(b"\x00\x00\x00\x0cJXL ", f"JPEG XL, {CONVERT}"),
    Kind(b"II\xbc\x01", f"JPEG XR, {CONVERT}"),
    Kind(b"8BPS", f"a Photoshop document, {CONVERT}"),
    Kind(b"gimp xcf", f"a GIMP document, {CONVERT}"),
    Kind(b"%PDF", "a PDF, which is no photo: export its pictures"),
    Kind(b"%!PS", "PostScript, which is a program and no photo"),
    Kind(b"<svg", "SVG, which is a drawing and no photo"),
    Kind(b"DICM", f"DICOM, {CONVERT}", 128),
    Kind(b"\x76\x2f\x31\x01", f"OpenEXR, {CONVERT}"),
    Kind(b"#?RADIANCE", f"Radiance HDR, {CONVERT}"),
    Kind(b"SIMPLE  =", f"FITS, {CONVERT}"),
    Kind(b"\x89HDF", "HDF5, which is not read: export its pictures to TIFF"),
    Kind(b"\xd0\xcf\x11\xe0", "an OLE document (Word, ZVI, OIB), export its pictures to TIFF"),
    Kind(b"ZISRAWFILE", "a Zeiss CZI, which is not read: export its pictures to TIFF"),
    Kind(b"\xda\xce\xbe\x0a", "a Nikon ND2, which is not read: export its pictures to TIFF"),
    Kind(b"ftypqt", "a film, which is no photo", 4),
    Kind(b"ftypisom", "a film, which is no photo", 4),
    Kind(b"ftypmp4", "a film, which is no photo", 4),
    Kind(b"PK\x03\x04", "a zip archive, which is no photo"),
    Kind(b"\x1f\x8b", "a gzip archive, which is no photo: unpack it"),
    Kind(b"7z\xbc\xaf", "a 7z archive, which is not read: unpack it, or make it a .zip"),
    Kind(b"Rar!", "a RAR archive, which is not read: unpack it, or make it a .zip"),
    Kind(b"version https://git-lfs", "a pointer of Git LFS: git lfs pull fetches the photo"),
    Kind(b"<!DOCTYPE html", "a web page, which is no photo: the download failed"),
    Kind(b"<html", "a web page, which is no photo: the download failed"),
)
LONGEST = 256  # bytes that tell
BLANK = b"\xef\xbb\xbf \t\r\n"  # before a page's first letter


def refuse(head: bytes) -> None:
    """Raises ImageError for the head of a file that is known and not read."""
    text = head.lstrip(BLANK)
    for kind in KINDS:
        if kind.start.startswith(b"<") and text.lower().startswith(kind.start.lower()):
            raise ImageError(f"expected an image, got {kind.told}")
        if head[kind.at : kind.at + len(kind.start)] == kind.start:
            raise ImageError(f"expected an image, got {kind.told}")


def is_heic(head: bytes) -> bool:
    """Whether a file is HEIC and no AVIF, which shares one of its brands."""
    return head[4:8] == b"ftyp" and head[8:12] in HEIC and not any(b in head for b in AVIF)
