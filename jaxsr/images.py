"""Image files: the only place that reads or writes them. An image is float32 [h, w, 3] in [0,
1]."""

import glob
import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Array, Float
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from jaxsr.records import files

SUFFIXES = frozenset(
    [
        "apng",
        "avif",
        "bmp",
        "gif",
        "j2k",
        "jfif",
        "jp2",
        "jpe",
        "jpeg",
        "jpg",
        "pbm",
        "pgm",
        "png",
        "pnm",
        "ppm",
        "tif",
        "tiff",
        "webp",
    ]
)
# Only formats of photos: Pillow also opens some, such as EPS, by starting other programs.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF", "BMP", "GIF", "JPEG2000", "PPM")
Pixels = Float[Array, "..."] | Float[np.ndarray, "..."]  # [h, w, 3]; another shape is an ImageError
Mode = Literal["crop", "pad"]


class ImageError(ValueError):
    """A file or an array that is not the image it should be; the message is one line: which, what
    was expected, what came."""


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


def to_uint8(image: Pixels) -> np.ndarray:
    """Clips to [0, 1] and rounds to the nearest of 0..255: uint8 [h, w, 3].

    Raises:
        ImageError: another shape than [h, w, 3], pixels that are not floats (0..255 would all be
            clipped to white) or not finite.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0 or image.dtype.kind in "biu":
        raise ImageError(
            f"expected a float image of shape [h, w, 3], got {image.dtype} {image.shape}"
        )
    image = image.astype(np.float32)
    if not np.isfinite(image).all():
        raise ImageError("expected finite pixels, got NaN or infinity")
    return (np.clip(image, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def write(path: str | os.PathLike, image: Pixels) -> None:
    """Saves an 8-bit PNG, clipped and rounded, so that the file is there whole or not at all.

    The bytes go to a temporary file in the same folder, which then takes the name. Its own name
    depends on the target's alone, so that a run repeated after a kill overwrites what the killed
    one left.

    Raises:
        ImageError: an image that is not finite [h, w, 3], or a name that does not end in .png.
        OSError: one line with the path and the reason (no such folder, not writable, disk full);
            nothing is left behind.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ImageError(f"{path}: expected a name that ends in .png")
    data = io.BytesIO()
    Image.fromarray(to_uint8(image)).save(data, "PNG")
    files.write_bytes(path, data.getvalue())


def write_animation(
    path: str | os.PathLike, images: Sequence[Pixels], *, milliseconds: int = 80
) -> None:
    """Saves a WebP, lossless, that shows the images [h, w, 3] one after the other for ever; whole
    or not at all.

    Raises:
        ImageError: no image, one that is not finite [h, w, 3], or a name that does not end in
            .webp.
        OSError: as `write`.
    """
    path = Path(path)
    if path.suffix.lower() != ".webp" or not len(images):
        raise ImageError(
            f"{path}: expected images and a name that ends in .webp, got {len(images)} images"
        )
    first, *others = [Image.fromarray(to_uint8(image)) for image in images]
    data = io.BytesIO()
    first.save(
        data,
        "WEBP",
        save_all=True,
        append_images=others,
        duration=milliseconds,
        loop=0,
        lossless=True,
    )
    files.write_bytes(path, data.getvalue())


def find(patterns: str | os.PathLike | Sequence[str | os.PathLike]) -> list[Path]:
    """Image files named by files, folders and globs, in the order of the patterns, each once.

    A file is taken whatever its name. A folder gives the visible images in it by their suffix, not
    those in its subfolders; a glob likewise, and "**" goes into subfolders. Within a pattern the
    order is natural: photo2 before photo10.

    Raises:
        ImageError: a pattern that names nothing.
    """
    patterns = [patterns] if isinstance(patterns, (str, os.PathLike)) else patterns
    if not patterns:
        raise ImageError("expected at least one file, folder or glob, got none")
    return list(
        dict.fromkeys(path for pattern in patterns for path in _matches(Path(pattern).expanduser()))
    )


def _matches(pattern: Path) -> list[Path]:
    if pattern.is_dir():
        found = list(pattern.iterdir())
    elif pattern.exists():
        return [pattern]
    else:
        found = [Path(name) for name in glob.glob(str(pattern), recursive=True)]
    images = [
        path
        for path in found
        if (path.is_file() or path.is_symlink())
        and path.suffix[1:].lower() in SUFFIXES
        and not path.name.startswith(".")
    ]
    if not images:
        what = "got a folder without images" if pattern.is_dir() else "got no such file"
        raise ImageError(f"{pattern}: expected image files, {what}")
    return sorted(images, key=_natural)


def _natural(path: Path) -> tuple:
    """Numbers in a name compare by value. re.split alternates text and digits, so that like meets
    like."""
    return [
        int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", str(path).casefold())
    ], str(path)


def square(image: Pixels, *, mode: Mode) -> tuple[np.ndarray, str]:
    """The image made square about its centre: cropped to its shorter side or padded to its longer;
    see `fit`."""
    return fit(
        image, size=min(image.shape[:2]) if mode == "crop" else max(image.shape[:2]), mode=mode
    )


def fit(
    image: Pixels, *, mode: Mode, size: int | None = None, multiple: int | None = None
) -> tuple[np.ndarray, str]:
    """The image cropped or padded about its centre, and a short sentence of what was done ("" for
    nothing).

    Give one of `size`, after which the image is [size, size, 3], and `multiple`, after which each
    side is the nearest multiple of it: below for "crop", above for "pad". Padding mirrors the image
    at its border, the border pixel repeated. Pixels are never resampled.

    Raises:
        ImageError: not exactly one of size and multiple, or a size that the mode cannot reach.
    """
    height, width = image.shape[:2]
    if (size is None) == (multiple is None) or (size or multiple or 0) < 1:
        raise ImageError(
            f"expected one of size and multiple, at least 1, got size {size} and multiple "
            f"{multiple}"
        )
    target = (
        (size, size)
        if size is not None
        else tuple(_nearest(side, multiple or 1, mode) for side in (height, width))
    )
    change = [new - old for new, old in zip(target, (height, width), strict=True)]
    if 0 in target or (max(change) > 0 if mode == "crop" else min(change) < 0):
        raise ImageError(
            f"cannot {mode} an image of {width} x {height} px to {target[1]} x {target[0]} px"
        )
    image = np.asarray(image)
    if change == [0, 0]:
        return image, ""
    before = [abs(step) // 2 for step in change]
    if mode == "crop":
        image = image[before[0] : before[0] + target[0], before[1] : before[1] + target[1]]
    else:
        widths = [(first, step - first) for first, step in zip(before, change, strict=True)]
        image = np.pad(image, [*widths, (0, 0)], mode="symmetric")
    done = "cropped to the centre" if mode == "crop" else "padded by mirroring"
    return image, f"{done}: {width} x {height} px became {target[1]} x {target[0]} px"


def _nearest(side: int, multiple: int, mode: Mode) -> int:
    return side // multiple * multiple if mode == "crop" else -(-side // multiple) * multiple


def resize_area(image: Pixels, size: int) -> np.ndarray:
    """A square image brought down to [size, size, 3] by area average, exact for any ratio; for
    references and training data.

    Raises:
        ImageError: an image that is not square (see `square`) or smaller than `size`.
    """
    height, width = image.shape[:2]
    if height != width or not 1 <= size <= height:
        raise ImageError(
            f"expected a square image of at least {size} x {size} px, got {width} x {height} px"
        )
    columns = _means(_means(np.asarray(image, np.float64), size).swapaxes(0, 1), size)
    return columns.swapaxes(0, 1).astype(np.float32)


def _means(x: np.ndarray, size: int) -> np.ndarray:
    """Means over `size` equal parts of axis 0, a part's border inside a pixel or not: differences
    of the integral at the borders."""
    height = len(x)
    edges = np.arange(size + 1) * (height / size)
    pixel = np.minimum(edges.astype(int), height - 1)
    before = np.concatenate([np.zeros_like(x[:1]), np.cumsum(x, axis=0)])[pixel]
    return np.diff(before + (edges - pixel)[:, None, None] * x[pixel], axis=0) * (size / height)
