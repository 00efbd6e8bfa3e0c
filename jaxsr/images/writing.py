"""Images as pixels of 8 or 16 bits, in files that are there whole or not at all."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from jaxsr.images.errors import ImageError
from jaxsr.records import files
from jaxsr.types import AnyImage

Depth = Literal[8, 16]


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


def write(path: str | os.PathLike, image: AnyImage, *, depth: Depth = 8) -> None:
    """Saves a PNG of 8 or 16 bits a channel, clipped and rounded, so that the file is there whole
    or not at all. Pillow writes no RGB of 16 bits: imagecodecs does, by libpng.

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
    files.write_bytes(path, png(quantised(image, depth)))


def png(pixels: np.ndarray) -> bytes:
    """A PNG of uint8 or uint16 [h, w, 3]."""
    if pixels.dtype == np.uint16:
        import imagecodecs

        return bytes(imagecodecs.png_encode(pixels))
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


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
