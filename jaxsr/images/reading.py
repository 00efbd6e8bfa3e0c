"""Image files and arrays of pixels as images."""

import io
import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from jaxsr.images.errors import ImageError

# Only formats of photos: Pillow also opens some, such as EPS, by starting other programs.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF", "BMP", "GIF", "JPEG2000", "PPM")
# Pillow keeps one byte a channel of colour images. Its decoders for the two byte orders differ in
# which byte they keep, so that a second decoding with the other one gives the byte that the first
# dropped.
_NATIVE_OTHER = "B" if sys.byteorder == "little" else "L"
_OTHER_BYTE = {"B": "L", "L": "B", "N": _NATIVE_OTHER}
_ORIENTATIONS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}


def read(path: str | os.PathLike) -> np.ndarray:
    """The image, float32 [h, w, 3] in [0, 1], of a PNG, JPEG, WebP, TIFF, AVIF, BMP, GIF, JPEG 2000
    or PNM file, upright.

    It is turned as its EXIF orientation says. Grey becomes three equal channels; palettes and CMYK
    become RGB; transparency is composited onto white; an animation or a multi-page file gives its
    first frame. 16-bit grey and 16-bit RGB(A) keep their precision (grey with alpha is read at 8
    bits). Float TIFF must lie in [0, 1]. Colour profiles are not applied.

    Raises:
        ImageError: a path that is missing or no regular file, a file that is empty, truncated, no
            image, too large (Pillow's limit of 179 million pixels), in a mode that has no range
            (32-bit integers), or has non-finite or out-of-range pixels.
    """

    def open_image() -> ImageFile:
        _require_file(Path(path))
        return Image.open(path, formats=FORMATS)

    return _guarded(str(path), lambda: _decode(str(path), open_image))


def decode(data: bytes, name: str) -> np.ndarray:
    """As `read`, of the bytes of a file that lies in an archive; `name` is what errors call it."""
    return _guarded(
        name, lambda: _decode(name, lambda: Image.open(io.BytesIO(data), formats=FORMATS))
    )


def from_array(array: np.ndarray) -> np.ndarray:
    """The image, float32 [h, w, 3] in [0, 1], of pixels uint8 or uint16 [h, w] or [h, w, 1 (grey),
    3 or 4 (alpha, onto white)].

    Raises:
        ImageError: another type or shape.
    """
    array = np.asarray(array)
    if (
        array.dtype not in (np.uint8, np.uint16)
        or array.ndim not in (2, 3)
        or (array.ndim == 3 and array.shape[2] not in (1, 3, 4))
    ):
        raise ImageError(
            f"expected uint8 or uint16 pixels [h, w] or [h, w, 1, 3 or 4], got {array.dtype} "
            f"{array.shape}"
        )
    return _to_rgb(array.astype(np.float32) / np.float32(np.iinfo(array.dtype).max))


def _guarded(name: str, decode: Callable[[], np.ndarray]) -> np.ndarray:
    """What `decode` returns, its range checked; any failure becomes an ImageError of one line."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata and of photos above half its size limit; neither hurts
            # the pixels.
            warnings.simplefilter("ignore")
            pixels = decode()
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(
            f"{name}: expected an image ({', '.join(FORMATS)}), got a file that is none or is "
            "damaged"
        ) from None
    except Exception as error:  # Pillow's decoders raise nearly anything when a file is damaged.
        reason = (
            " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
        )
        raise ImageError(f"{name}: expected a readable image, got an error: {reason}") from error
    return _in_range(name, pixels)


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise ImageError(f"{path}: expected an image file, got a folder")
    if not path.exists():
        raise ImageError(f"{path}: expected an image file, got no such file")
    if not path.is_file():
        raise ImageError(f"{path}: expected an image file, got something that is no regular file")
    if path.stat().st_size == 0:
        raise ImageError(f"{path}: expected an image file, got an empty file")


def _decode(name: str, open_image: Callable[[], ImageFile]) -> np.ndarray:
    """[h, w, 3] float32 before the check of its range."""
    with open_image() as image:
        rawmodes = {_rawmode(tile) for tile in image.tile}
        image.load()
        if rawmodes and all(re.fullmatch("RGBA?;16[BLN]", mode) for mode in rawmodes):
            pixels = (np.asarray(image, np.float32) * 256.0 + _low_bytes(open_image)) / 65535.0
        else:
            pixels = _to_float(name, image, rawmodes)
        orientation = _orientation(image)
    return np.ascontiguousarray(
        _ORIENTATIONS.get(orientation, lambda x: x)(_to_rgb(pixels)), np.float32
    )


def _to_rgb(pixels: np.ndarray) -> np.ndarray:
    """[h, w, 3] of grey [h, w] or [h, w, 1], RGB, or RGBA, which is composited onto white."""
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    if pixels.shape[2] == 4:
        pixels = pixels[..., :3] * pixels[..., 3:] + (1.0 - pixels[..., 3:])
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def _rawmode(tile) -> str:
    """How the file stores its pixels, by Pillow's name."""
    args = tile[3]
    return str(args[0] if isinstance(args, tuple) else args)


def _low_bytes(open_image: Callable[[], ImageFile]) -> np.ndarray:
    """The lower byte of every 16-bit value of a colour image."""
    with open_image() as image:
        image.tile = [_read_other_byte(tile) for tile in image.tile]
        image.load()
        return np.asarray(image, np.float32)


def _read_other_byte(tile):
    rawmode = _rawmode(tile)
    rawmode = rawmode[:-1] + _OTHER_BYTE[rawmode[-1]]
    args = (rawmode, *tile[3][1:]) if isinstance(tile[3], tuple) else rawmode
    return tile._replace(args=args)


def _to_float(name: str, image: Image.Image, rawmodes: set[str]) -> np.ndarray:
    """Grey [h, w], RGB [h, w, 3] or RGBA [h, w, 4] of a loaded image, integers scaled to [0, 1]."""
    if image.mode == "F":
        return np.asarray(image)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return np.asarray(image).astype(np.float32) / (4095.0 if "I;12" in rawmodes else 65535.0)
    if image.mode == "I":
        raise ImageError(
            f"{name}: expected 8-bit, 16-bit or float pixels, got 32-bit or signed integers"
        )
    return (
        np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"), np.float32)
        / 255.0
    )


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) where there is none. Pillow has turned a TIFF already."""
    try:
        return image.getexif().get(0x0112, 1)
    except Exception:  # Damaged metadata: viewers show such a photo as it is stored.
        return 1


def _in_range(name: str, pixels: np.ndarray) -> np.ndarray:
    if not np.isfinite(pixels).all():
        raise ImageError(f"{name}: expected finite pixels, got NaN or infinity")
    low, high = float(pixels.min()), float(pixels.max())
    if low < 0.0 or high > 1.0:
        raise ImageError(
            f"{name}: expected float pixels in [0, 1], got values from {low:g} to {high:g}"
        )
    return pixels
