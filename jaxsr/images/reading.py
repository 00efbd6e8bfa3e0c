"""Image files and arrays of pixels as images.

| format | what is read | what is told |
|---|---|---|
| PNG, also of 16 bits | grey, RGB, palette, alpha, at full depth | alpha, animation, gamma |
| JPEG | grey, RGB, CMYK | a missing end marker; CMYK without a profile |
| JPEG 2000 | grey, RGB, alpha, at full depth | alpha |
| WebP, AVIF, GIF, BMP | as 8 bits | alpha, animation |
| PNM | grey of 8 and 16 bits, RGB as 8 bits | 16 bits of which 8 are read |
| HEIC | with the extra [heic], as 8 bits | without it, what to install |
| TIFF: grey, RGB; integers and floats of any size, strips, tiles, planes, predictors, \
compressions | at full depth; white may be zero | pages (thumbnails too), channels and alpha left \
out, channels taken as colours |
| TIFF: palette, bilevel, CMYK, YCbCr, JPEG | as 8 bits, by Pillow | pages left out |
| TIFF: else (CIELAB, LogLuv, complex, volumes, raw data of cameras) | no | what it is, what to do |
| camera raw, JPEG XL, PSD, PDF, DICOM, films, archives and more | no | what it is, what to do |

Whatever the format: the ICC profile is applied and told, EXIF's orientation is applied, and numbers
that use a small part of a range of more than 8 bits are told (see `Reading.white`).
"""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import UnidentifiedImageError

from jaxsr.images import foreign, members, raster, tiff
from jaxsr.images.errors import ImageError
from jaxsr.images.levels import Reading
from jaxsr.images.picture import Layout, Picture
from jaxsr.images.raster import FORMATS

AS_FILES_ARE = Reading()


def read(path: str | os.PathLike, reading: Reading = AS_FILES_ARE) -> np.ndarray:
    """The image, float32 [h, w, 3] in [0, 1], of a file in a format of the table above, upright.

    Grey becomes three equal channels; palettes and CMYK become RGB; transparency is composited onto
    white; an animation or a multi-page file gives its first frame. `load` tells what was done.

    Raises:
        ImageError: see `load`.
    """
    return load(path, reading).image()


def load(path: str | os.PathLike, reading: Reading = AS_FILES_ARE) -> Picture:
    """The picture in a file, in memory as the file stores it, and what is to be told of it. A path
    may go on into an archive; see `find`.

    Raises:
        ImageError: one line: a path that is missing or no regular file, a file that is empty,
            truncated, no image, too large (`reading`), or whose numbers have no agreed white, are
            not finite or out of range.
    """
    path = Path(path)

    def decode() -> Picture:
        data = members.content(path)
        if data is not None:
            return _load(data, data[: foreign.LONGEST], reading)
        _require_file(path)
        with open(path, "rb") as file:
            head = file.read(foreign.LONGEST)
        return _load(path, head, reading)

    return _guarded(str(path), decode)


def load_bytes(data: bytes, name: str, reading: Reading = AS_FILES_ARE) -> Picture:
    """As `load`, of the bytes of a file that lies in an archive; `name` is what errors call it."""
    return _guarded(name, lambda: _load(data, data[: foreign.LONGEST], reading))


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
    stored = array[..., None] if array.ndim == 2 else array
    most = float(np.iinfo(array.dtype).max)
    alpha = 3 if stored.shape[2] == 4 else None
    layout = Layout(min(stored.shape[2], 3), alpha, white=most, opaque=most)
    return Picture(stored, layout).image()


def _load(file: Path | bytes, head: bytes, reading: Reading) -> Picture:
    foreign.refuse(head)
    if head[:4] in tiff.STARTS:
        return tiff.load(file, head, reading)
    return raster.load(file, head, reading, [])


def _guarded(name: str, decode: Callable[[], Picture]) -> Picture:
    """What `decode` returns; any failure becomes an ImageError of one line that begins with the
    name."""
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata and of photos above half its size limit; neither hurts
            # the pixels.
            warnings.simplefilter("ignore")
            return decode()
    except ImageError as error:
        raise ImageError(f"{name}: {str(error).removeprefix(f'{name}: ')}") from error
    except UnidentifiedImageError:
        raise ImageError(
            f"{name}: expected an image ({', '.join(FORMATS)}), got a file that is none or is "
            "damaged"
        ) from None
    except Exception as error:  # Decoders raise nearly anything when a file is damaged.
        reason = (
            " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
        )
        raise ImageError(f"{name}: expected a readable image, got an error: {reason}") from error


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise ImageError("expected an image file, got a folder")
    if not path.exists():
        raise ImageError("expected an image file, got no such file")
    if not path.is_file():
        raise ImageError("expected an image file, got something that is no regular file")
    if path.stat().st_size == 0:
        raise ImageError("expected an image file, got an empty file")
