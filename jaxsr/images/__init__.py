"""Image files: the only place that reads or writes them. An image is float32 [h, w, 3] in [0,
1]."""

from jaxsr.images.errors import ImageError
from jaxsr.images.finding import SUFFIXES, find
from jaxsr.images.noise import (
    Compression,
    compression_noise,
    compression_of,
    noise_of,
    patch_noise,
    recompression_noise,
)
from jaxsr.images.reading import FORMATS, decode, from_array, read
from jaxsr.images.shapes import Mode, fit, resize_area, square
from jaxsr.images.writing import to_uint8, write, write_animation

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "Compression",
    "ImageError",
    "Mode",
    "compression_noise",
    "compression_of",
    "decode",
    "find",
    "fit",
    "from_array",
    "noise_of",
    "patch_noise",
    "read",
    "recompression_noise",
    "resize_area",
    "square",
    "to_uint8",
    "write",
    "write_animation",
]
