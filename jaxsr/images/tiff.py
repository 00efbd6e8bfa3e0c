"""TIFFs of microscopes, scanners and programs: pixels as the file's tags say, by tifffile, which
decodes with imagecodecs. What tifffile leaves to a program that knows colours (palettes, inks,
JPEG) is read by Pillow.

Of many values of a pixel its photometric interpretation tells how many are colours; the others are
left out, and told.
"""

import io
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np

from jaxsr.images import colour, foreign, picture, raster
from jaxsr.images.errors import ImageError
from jaxsr.images.levels import Reading
from jaxsr.images.picture import Layout, Picture

STARTS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
MOST_PAGES = 1000  # that are counted
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, INKS, YCBCR = 0, 1, 2, 3, 5, 6
RAW = (32803, 34892)  # photometric interpretations of a sensor's mosaic
JPEG, FAX = (6, 7, 33007, 34892), (2, 3, 4, 32771)  # compressions
ORIENTATION, SUB_IFDS, ICC, DNG_VERSION = 274, 330, 34675, 50706  # tags
REDUCED = 1  # a bit of a page's subfile type
ASSOCIATED, UNASSOCIATED = 1, 2  # extra samples: alpha, colours multiplied by it or not
SAVE = "which is not read: save it as grey or RGB of 8 or 16 bits"


def load(file: Path | bytes, head: bytes, reading: Reading) -> Picture:
    """The first page of a TIFF, or its three channels, given by its path or its bytes.

    Raises:
        ImageError: a kind that is not read, a file that is cut off, or see `picture.make`.
    """
    with _opened(file) as tif:
        page, told = _page(tif)
        reading.require_size(page.imagelength, page.imagewidth)
        _require_known(page)
        pages = _count(tif)
        if not _is_for_pillow(page):
            with picture.alone(page.imagelength, page.imagewidth):
                return _read(tif, page, told, pages, reading)
    left_out = [] if told else _pages_left_out(pages, 1)
    return raster.load(file, head, reading, [*told, *left_out], page=page.index)


def _opened(file: Path | bytes) -> Any:
    import tifffile

    # It logs what is odd in a file; what matters raises.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)
    # An OME file may name others, which are not the user's choice.
    source = io.BytesIO(file) if isinstance(file, bytes) else file
    return tifffile.TiffFile(source, _multifile=False)


def _page(tif: Any) -> tuple[Any, list[str]]:
    """The page that is read, the first that is no reduced copy of another, and what is told of it.
    Raises ImageError for a file without pages."""
    try:
        first = tif.pages.first
    except IndexError:
        raise ImageError("expected a TIFF with a picture, got one without pages") from None
    if not first.subfiletype & REDUCED or SUB_IFDS in first.tags:
        return first, []
    for number in range(1, min(_count(tif), MOST_PAGES)):
        page = tif.pages[number]
        if not page.subfiletype & REDUCED:
            return page, [f"the first page is a thumbnail: the full picture is read ({number + 1})"]
    return first, []


def _require_known(page: Any) -> None:
    """Raises ImageError for a kind of TIFF that is not read."""
    photometric, tags = page.photometric, page.tags
    is_preview = bool(page.subfiletype & REDUCED) and SUB_IFDS in tags
    if DNG_VERSION in tags or photometric in RAW or is_preview:
        raise ImageError(f"expected an image, got a camera's raw data (DNG), {foreign.DEVELOP}")
    known = (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, INKS, YCBCR)
    dtype, bits = page.dtype, page.bitspersample
    unread = (
        photometric not in known,
        page.imagedepth > 1,
        dtype is None or dtype.kind not in "buif",
        photometric == RGB and page.samplesperpixel < 3,
        photometric in (PALETTE, YCBCR) and bits > 8,
        photometric == INKS and page.samplesperpixel != 4,
    )
    if any(unread):
        raise ImageError(f"expected grey or RGB pixels, got {_name(page)}, {SAVE}")


def _name(page: Any) -> str:
    """What a TIFF is, in words."""
    kinds = {"u": "unsigned", "i": "signed", "f": "float", "c": "complex", "b": "bilevel"}
    kind = "mixed" if page.dtype is None else kinds.get(page.dtype.kind, str(page.dtype))
    names = [getattr(tag, "name", tag) for tag in (page.photometric, page.compression)]
    volume = f", a volume of {page.imagedepth} layers" if page.imagedepth > 1 else ""
    return (
        f"a TIFF of {page.samplesperpixel} x {page.bitspersample}-bit {kind} numbers, photometric "
        f"{names[0]}, compression {names[1]}{volume}"
    )


def _is_for_pillow(page: Any) -> bool:
    return (
        page.photometric in (PALETTE, INKS, YCBCR)
        or page.compression in (*JPEG, *FAX)
        or (page.dtype.kind in "bu" and page.bitspersample < 8)
    )


def _count(tif: Any) -> int:
    """How many pages there are, at most one more than `MOST_PAGES`; a chain of pages may be
    endless."""
    try:
        tif.pages[MOST_PAGES]
    except IndexError:
        return len(tif.pages)
    return MOST_PAGES + 1


def _pages_left_out(pages: int, taken: int) -> list[str]:
    if pages <= taken:
        return []
    count = f"more than {MOST_PAGES}" if pages > MOST_PAGES else str(pages)
    which = "the first page is" if taken == 1 else f"the first {taken} pages are"
    return [f"{which} read (of {count})"]


def _read(tif: Any, page: Any, begun: list[str], pages: int, reading: Reading) -> Picture:
    """The picture of a page of grey or RGB pixels; `begun`: what is told of which it is."""
    planes = [page]
    if not begun and pages <= MOST_PAGES and page.samplesperpixel == 1:
        planes = _three_channels(tif) or planes
    each = [_pixels(tif, plane, page) for plane in planes]
    stored = np.concatenate(each, axis=2) if len(each) > 1 else each[0]  # without a copy
    if len(planes) == 3:
        layout, told = Layout(3), ["three channels are read as red, green and blue"]
    else:
        layout, told = _layout(page)
    told = [*begun, *told] if begun else [*told, *_pages_left_out(pages, len(planes))]
    inverted = page.photometric == WHITE_IS_ZERO
    transform, converted = colour.transform_of(page.tags.valueof(ICC), layout.colours)
    return picture.make(
        stored,
        layout._replace(inverted=inverted, to_srgb=transform),
        [*told, converted],
        reading,
        bits=page.bitspersample,
        orientation=page.tags.valueof(ORIENTATION, 1),
    )


def _three_channels(tif: Any) -> list[Any]:
    """The pages of the channels of an image of three, by the metadata of ImageJ, OME or tifffile;
    [] for any other number."""
    if not (tif.is_imagej or tif.is_ome or tif.is_shaped):
        return []
    series = tif.series[0]
    sides = dict(zip(series.axes, series.shape, strict=True))
    if sides.get("C") != 3 or not series.axes.endswith("YX"):
        return []
    step = math.prod(series.shape[series.axes.index("C") + 1 : -2])
    if len(series.pages) <= 2 * step:
        return []
    found = [series.pages[i * step] for i in range(3)]
    return [] if None in found else found


def _pixels(tif: Any, page: Any, keyframe: Any) -> np.ndarray:
    """[h, w, c] of a page, as they are stored. Raises ImageError where a part is missing."""
    offsets, counts = page.dataoffsets, page.databytecounts
    is_whole = (
        0 < math.prod(keyframe.chunked) <= len(offsets) == len(counts)
        and min(counts) > 0
        and max(a + n for a, n in zip(offsets, counts, strict=True)) <= tif.filehandle.size
    )
    if not is_whole:
        raise ImageError("expected a whole TIFF, got one of which a part is missing")
    separate, _, height, width, contiguous = keyframe.shaped
    pixels = page.asarray(maxworkers=1).reshape(separate, height, width, contiguous)
    return np.moveaxis(pixels[..., 0], 0, -1) if separate > 1 else pixels[0]


def _layout(page: Any) -> tuple[Layout, list[str]]:
    """What the values of a pixel mean, and what is told of those that are left out."""
    colours = 3 if page.photometric == RGB else 1
    extra = [int(kind) for kind in page.extrasamples]
    if not extra and (colours, page.samplesperpixel) == (3, 4):
        extra = [UNASSOCIATED]  # as viewers take it where the file does not tell
    alpha = next((i for i, kind in enumerate(extra) if kind in (ASSOCIATED, UNASSOCIATED)), None)
    left_out = page.samplesperpixel - colours - (alpha is not None)
    told = [f"channels that are no colours are left out ({left_out})"]
    if alpha is None:
        return Layout(colours), told if left_out else []
    premultiplied = extra[alpha] == ASSOCIATED
    return Layout(colours, colours + alpha, premultiplied), told if left_out else []
