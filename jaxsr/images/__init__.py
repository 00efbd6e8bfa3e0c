"""Image files: the only place that reads or writes them. An image is float32 [h, w, 3] in [0,
1]."""

from jaxsr.images.errors import ImageError
from jaxsr.images.finding import SUFFIXES, find
from jaxsr.images.levels import Reading
from jaxsr.images.noise import (
    Compression,
    compression_noise,
    compression_of,
    noise_of,
    patch_noise,
    recompression_noise,
)
from jaxsr.images.picture import Picture
from jaxsr.images.reading import AS_FILES_ARE, FORMATS, from_array, load, load_bytes, read
from jaxsr.images.shapes import Mode, fit, resize_area, square
from jaxsr.images.writing import Depth, to_uint8, write, write_animation

__all__ = [
    "AS_FILES_ARE",
    "FORMATS",
    "SUFFIXES",
    "Compression",
    "Depth",
    "ImageError",
    "Mode",
    "Picture",
    "Reading",
    "compression_noise",
    "compression_of",
    "find",
    "fit",
    "from_array",
    "load",
    "load_bytes",
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
