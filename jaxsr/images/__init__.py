"""Image files: the only place that reads or writes them. An image is float32 [h, w, 3] in [0,
1]."""

from jaxsr.images.archives import Archive, labels_of, open_archive
from jaxsr.images.errors import ImageError
from jaxsr.images.finding import SUFFIXES, Found, left_out_line, walk
from jaxsr.images.levels import Reading
from jaxsr.images.marks import Marks, of_run, taken
from jaxsr.images.members import find
from jaxsr.images.noise import (
    Compression,
    compression_in,
    compression_noise,
    compression_of,
    noise_of,
    patch_noise,
    recompression_noise,
)
from jaxsr.images.picture import Picture, one_large_photo, summary
from jaxsr.images.reading import AS_FILES_ARE, FORMATS, from_array, load, load_bytes, read
from jaxsr.images.shapes import Mode, fit, resize_area, scaled_line, square
from jaxsr.images.tolerance import KERNEL, Tolerance, tolerance_of
from jaxsr.images.writing import (
    LOSSY,
    Depth,
    Format,
    quantised,
    to_uint8,
    write,
    write_animation,
    write_pixels,
)

__all__ = [
    "AS_FILES_ARE",
    "FORMATS",
    "KERNEL",
    "LOSSY",
    "SUFFIXES",
    "Archive",
    "Compression",
    "Depth",
    "Format",
    "Found",
    "ImageError",
    "Marks",
    "Mode",
    "Picture",
    "Reading",
    "Tolerance",
    "compression_in",
    "compression_noise",
    "compression_of",
    "find",
    "fit",
    "from_array",
    "labels_of",
    "left_out_line",
    "load",
    "load_bytes",
    "noise_of",
    "of_run",
    "one_large_photo",
    "open_archive",
    "patch_noise",
    "quantised",
    "read",
    "recompression_noise",
    "resize_area",
    "scaled_line",
    "square",
    "summary",
    "taken",
    "to_uint8",
    "tolerance_of",
    "walk",
    "write",
    "write_animation",
    "write_pixels",
]
