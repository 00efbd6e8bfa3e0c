"""Photos that scikit-image brings, cut and made small in ways that are known."""

import functools
import io

import numpy as np
import skimage.data
from PIL import Image, ImageFilter

R = Image.Resampling


@functools.cache
def sharp(name: str, side: int = 128) -> np.ndarray:
    """The middle of a photo, made small to uint8 [side, side, 3] by area."""
    whole = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
    length = min(whole.size)
    left, top = (whole.width - length) // 2, (whole.height - length) // 2
    return np.asarray(whole.crop((left, top, left + length, top + length)).resize((side, side), 4))


NAMES = ("astronaut", "chelsea", "coffee", "rocket")


def resized(pixels: np.ndarray, side: int, kernel: R = R.BICUBIC) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((side, side), kernel))


def jpeg(pixels: np.ndarray, quality: int, **settings) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, **settings)
    return file.getvalue()


def after_jpeg(pixels: np.ndarray, quality: int, **settings) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg(pixels, quality, **settings))).convert("RGB"))


def sharpened(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.UnsharpMask(1, 200, 0)))
