"""What the head of a photo's file tells, before its pixels are looked at."""

import contextlib
import io
import os
import warnings
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageCms, JpegImagePlugin

from jaxsr.images import Compression, compression_of, members
from jaxsr.inspect.blocks import Quality, quality_of

SAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}
ORIENTATION = 0x0112
NAMED = 40  # letters of a profile's name


class Facts(NamedTuple):
    """What a file tells.

    Attributes:
        format: "PNG", "JPEG", ...; "" of pixels.
        profile: name of its ICC profile, "" without one.
        turned: whether EXIF says that it is shown turned or mirrored.
        quality: of a JPEG.
        chroma: of a JPEG of three channels: 4:4:4, 4:2:2, 4:2:0 or "other chroma"; "" of others.
        compression: of a JPEG, its tables.
    """

    format: str = ""
    profile: str = ""
    turned: bool = False
    quality: Quality | None = None
    chroma: str = ""
    compression: Compression | None = None


def facts_of(file: str | os.PathLike) -> Facts:
    """Of a file, or a photo in an archive, that `images.load` has read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large photos and odd metadata, as on reading
            data = members.content(Path(file))
            with Image.open(io.BytesIO(data) if data else file) as image:
                return _facts(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return Facts("TIFF")  # one that tifffile reads and Pillow does not


def _facts(image: Image.Image) -> Facts:
    compression = compression_of(image)
    tables = compression.tables if compression else None
    return Facts(
        (image.format or "").replace("MPO", "JPEG"),
        _profile(image.info.get("icc_profile")),
        _is_turned(image),
        quality_of(tables) if tables else None,
        _chroma(image),
        compression if tables else None,
    )


def _chroma(image: Image.Image) -> str:
    if not isinstance(image, JpegImagePlugin.JpegImageFile) or image.layers != 3:
        return ""
    return SAMPLING.get(JpegImagePlugin.get_sampling(image), "other chroma")


def _profile(profile: bytes | None) -> str:
    if not profile:
        return ""
    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
        return " ".join(name.split())[:NAMED] or "unnamed"
    except Exception:  # LittleCMS and Pillow raise nearly anything on a damaged one.
        return "damaged"


def _is_turned(image: Image.Image) -> bool:
    with contextlib.suppress(Exception):  # damaged metadata
        return image.getexif().get(ORIENTATION, 1) in range(2, 9)
    return False
