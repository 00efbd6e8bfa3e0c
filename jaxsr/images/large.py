"""Pictures of a hundred megapixels, whose pixels as floats would take gigabytes: pixels written as
they are, and a part read back."""

import os
import warnings

import numpy as np
from PIL import Image

from jaxsr.images.errors import ImageError
from jaxsr.images.writing import png
from jaxsr.records import files


def write_pixels(path: str | os.PathLike, pixels: np.ndarray) -> None:
    """Saves uint8 or uint16 [h, w, 3] as a PNG, whole or not at all, as `write` does.

    Raises:
        ImageError: other pixels. OSError: as `write`.
    """
    if pixels.dtype not in (np.uint8, np.uint16) or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ImageError(f"expected uint8 or uint16 [h, w, 3], got {pixels.dtype} {pixels.shape}")
    files.write_bytes(path, png(pixels))


def read_part(path: str | os.PathLike, top: int, left: int, side: int) -> np.ndarray:
    """The square of `side` px from (top, left) on of a PNG that `write` or `write_pixels` made,
    float32 [side, side, 3] in [0, 1].

    Raises:
        ImageError: it cannot be read.
    """
    try:
        with warnings.catch_warnings():
            # Our own file, however large.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=["PNG"]) as image:
                part = image.crop((left, top, left + side, top + side)).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path}: expected a result, got an error: {error}") from error
    return np.asarray(part, np.float32) / 255
