"""Image files: the only place that reads or writes them. An image is float32 [h, w, 3] in [0,
1]."""

from jaxsr.images.errors import ImageError
from jaxsr.images.finding import SUFFIXES, find
from jaxsr.images.reading import FORMATS, decode, from_array, read
from jaxsr.images.shapes import Mode, fit, resize_area, square
from jaxsr.images.writing import to_uint8, write, write_animation

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "ImageError",
    "Mode",
    "decode",
    "find",
    "fit",
    "from_array",
    "read",
    "resize_area",
    "square",
    "to_uint8",
    "write",
    "write_animation",
]
