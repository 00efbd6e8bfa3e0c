"""Images as pixels of 8 or 16 bits, in files that are there whole or not at all."""

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from jaxsr.images.errors import ImageError
from jaxsr.images.marks import Marks
from jaxsr.records import files
from jaxsr.types import AnyImage

Depth = Literal[8, 16]
Format = Literal["png", "jpg", "webp", "tif"]
DEEP, LOSSY = (".png", ".tif"), (".jpg",)  # endings
LARGEST_SIDES = {".jpg": 65_535, ".webp": 16_383}  # px
QUALITY = 95  # of a JPEG
TIFF_XMP, TIFF_DATE = 700, 36_867  # tags


def to_uint8(image: AnyImage) -> np.ndarray:
    """Clips to [0, 1] and rounds to the nearest of 0..255: uint8 [h, w, 3].

    Raises:
        ImageError: another shape than [h, w, 3], pixels that are not floats (0..255 would all be
            clipped to white) or not finite.
    """
    return quantised(image, 8)


def quantised(image: AnyImage, depth: Depth) -> np.ndarray:
    """uint8 or uint16 [h, w, 3] from 0 to 2^depth - 1; see `to_uint8`."""
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0 or image.dtype.kind in "biu":
        raise ImageError(
            f"expected a float image of shape [h, w, 3], got {image.dtype} {image.shape}"
        )
    image = image.astype(np.float32)
    if not np.isfinite(image).all():
        raise ImageError("expected finite pixels, got NaN or infinity")
    pixels = np.clip(image, 0.0, 1.0) * np.float32(2**depth - 1) + np.float32(0.5)
    return pixels.astype(np.uint8 if depth == 8 else np.uint16)


def write(
    path: str | os.PathLike, image: AnyImage, *, depth: Depth = 8, marks: Marks | None = None
) -> None:
    """Saves an image, clipped and rounded, so that the file is there whole or not at all.

    The name's ending tells the format: .png or .tif, of 8 or 16 bits a channel and without loss;
    .webp, of 8 without loss; .jpg, of 8 at quality 95 with colours of all pixels.

    The bytes go to a temporary file in the same folder, which then takes the name. Its own name
    depends on the target's alone, so that a run repeated after a kill overwrites what the killed
    one left.

    Raises:
        ImageError: an image that is not finite [h, w, 3], a name of another ending, or 16 bits or
            sides that the format does not have.
        OSError: one line with the path and the reason (no such folder, not writable, disk full);
            nothing is left behind.
    """
    check_name(path)
    write_pixels(path, quantised(image, depth), marks)


def write_pixels(path: str | os.PathLike, pixels: np.ndarray, marks: Marks | None = None) -> None:
    """As `write`, of uint8 or uint16 [h, w, 3]."""
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ImageError(f"expected uint8 or uint16 [h, w, 3], got {pixels.dtype} {pixels.shape}")
    ending = check_name(path)
    if pixels.dtype == np.uint16 and ending not in DEEP:
        raise ImageError(f"{path}: expected 8 bits, got 16, which only {' and '.join(DEEP)} have")
    most = LARGEST_SIDES.get(ending, max(pixels.shape))
    if max(pixels.shape) > most:
        got = f"{pixels.shape[1]} x {pixels.shape[0]} px"
        raise ImageError(f"{path}: expected sides of at most {most} px, as {ending} has, got {got}")
    files.write_bytes(path, _ENCODERS[ending](pixels, marks))


def check_name(path: str | os.PathLike) -> str:
    """The ending of a file's name. Raises ImageError for one that `write` does not know."""
    ending = Path(path).suffix.lower()
    if ending not in _ENCODERS:
        raise ImageError(f"{path}: expected a name that ends in {', '.join(_ENCODERS)}")
    return ending


def _png(pixels: np.ndarray, marks: Marks | None) -> bytes:
    """Pillow writes no RGB of 16 bits: imagecodecs does, by libpng."""
    if pixels.dtype == np.uint16:
        import imagecodecs

        data = bytes(imagecodecs.png_encode(pixels))
    else:
        data = _saved(pixels, "PNG")
    return data if marks is None else marks.into_png(data)


def _jpeg(pixels: np.ndarray, marks: Marks | None) -> bytes:
    return _saved(pixels, "JPEG", quality=QUALITY, subsampling=0, **_metadata(marks))


def _webp(pixels: np.ndarray, marks: Marks | None) -> bytes:
    return _saved(pixels, "WEBP", lossless=True, **_metadata(marks))


def _metadata(marks: Marks | None) -> dict[str, bytes]:
    return {} if marks is None else {"exif": marks.exif(), "xmp": marks.xmp()}


def _saved(pixels: np.ndarray, format: str, **options: Any) -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format, **options)
    return data.getvalue()


def _tiff(pixels: np.ndarray, marks: Marks | None) -> bytes:
    """Without loss, compressed by Deflate. EXIF's date is a tag of the page, as TIFF/EP has it."""
    import tifffile

    about: dict[str, Any] = {"metadata": None}
    if marks is not None:
        xmp, date = marks.xmp(), marks.taken.date
        about |= {"software": marks.software, "description": marks.settings}
        about["extratags"] = [(TIFF_XMP, "B", len(xmp), xmp, True)]
        about["extratags"] += [(TIFF_DATE, "s", 0, date, True)] if date else []
    data = io.BytesIO()
    tifffile.imwrite(data, pixels, photometric="rgb", compression="zlib", predictor=True, **about)
    return data.getvalue()


_ENCODERS: dict[str, Callable[[np.ndarray, Marks | None], bytes]] = {
    ".png": _png,
    ".jpg": _jpeg,
    ".webp": _webp,
    ".tif": _tiff,
}


def write_animation(
    path: str | os.PathLike, images: Sequence[AnyImage], *, milliseconds: int = 80
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
