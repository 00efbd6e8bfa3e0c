"""Pictures of a hundred megapixels, whose pixels as floats would take gigabytes: a part read
back."""

import dataclasses
import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from jaxsr.images import reading
from jaxsr.images.errors import ImageError
from jaxsr.images.levels import Reading


def read_part(path: str | os.PathLike, top: int, left: int, side: int) -> np.ndarray:
    """The square of `side` px from (top, left) on of a file that `write` or `write_pixels` made,
    float32 [side, side, 3] in [0, 1].

    Raises:
        ImageError: it cannot be read.
    """
    if Path(path).suffix == ".tif":  # of 16 bits Pillow reads none
        whole = reading.load(path, Reading(max_megapixels=2**31))
        stored = whole.stored[top : top + side, left : left + side]
        return dataclasses.replace(whole, stored=stored).image()
    try:
        with warnings.catch_warnings():
            # Our own file, however large.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=["PNG", "JPEG", "WEBP"]) as image:
                part = image.crop((left, top, left + side, top + side)).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path}: expected a result, got an error: {error}") from error
    return np.asarray(part, np.float32) / 255
