"""Files that Pillow reads: PNG, JPEG, WebP, AVIF, BMP, GIF, JPEG 2000, PNM, and HEIC with an
extra."""

import contextlib
import hashlib
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin
from PIL.ImageFile import ImageFile

from jaxsr.images import colour, foreign, jpeg_end, picture
from jaxsr.images.errors import ImageError
from jaxsr.images.levels import Reading
from jaxsr.images.picture import Layout, Picture

# Only formats of photos: Pillow also opens some, such as EPS, by starting other programs.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF", "BMP", "GIF", "JPEG2000", "PPM")
STRIP = 4_000_000  # pixels that are copied at once
EXIF_IFD, INTEROPERABILITY_IFD, ORIENTATION = 0x8769, 0xA005, 0x0112
GAMMA = 1 / 2.2


def load(
    file: Path | bytes, head: bytes, reading: Reading, told: list[str], *, page: int = 0
) -> Picture:
    """The picture in a file, given by its path or its bytes; `told`: what is known of it so far;
    `page`: of several."""
    formats = [*FORMATS, *_heic(head)]
    with (
        _opened(file, formats, reading) as image,
        picture.alone(image.height, image.width),
    ):
        if page:
            image.seek(page)
        frames = [*_frames(image), *_depth_lost(image)]
        stored, bits, ended = _stored(image, file)
        layout, colours = _layout(image, stored)
        return picture.make(
            stored,
            layout,
            [*told, *frames, *ended, *colours],
            reading,
            bits=bits,
            orientation=_orientation(image),
        )


def _heic(head: bytes) -> list[str]:
    """The formats that a HEIC file needs. Raises ImageError where the extra is not installed."""
    if not foreign.is_heic(head):
        return []
    try:
        import pillow_heif  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ImageError(f"expected an image, got {foreign.HEIC_ADVICE}") from None
    pillow_heif.register_heif_opener(thumbnails=False)
    return ["HEIF"]


def _opened(file: Path | bytes, formats: list[str], reading: Reading) -> ImageFile:
    """Raises ImageError for a photo of too many pixels."""
    # Pillow has a limit of its own, for the whole process: it never is below ours.
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, reading.max_megapixels * 500_000 + 1)
    source = io.BytesIO(file) if isinstance(file, bytes) else file
    try:
        image = Image.open(source, formats=formats)
    except Image.DecompressionBombError as error:
        expected = f"expected at most {reading.max_megapixels} megapixels (--max_megapixels)"
        raise ImageError(f"{expected}, got an error: {error}") from error
    with contextlib.ExitStack() as stack:
        stack.callback(image.close)
        reading.require_size(image.height, image.width)
        stack.pop_all()
    return image


def _content(file: Path | bytes) -> bytes:
    return file if isinstance(file, bytes) else file.read_bytes()


def _frames(image: ImageFile) -> list[str]:
    """What is told of an animation. A JPEG's further pictures are its depth or its thumbnail, and
    a TIFF's pages are told of elsewhere."""
    if image.format in ("TIFF", "MPO", "HEIF") or not getattr(image, "is_animated", False):
        return []
    # Those of a GIF are only counted by reading it all.
    count = "" if image.format == "GIF" else f" ({getattr(image, 'n_frames', 1)} frames)"
    return [f"the first frame of an animation{count}"]


def _rawmodes(image: ImageFile) -> set[str]:
    """How the file stores its pixels, by Pillow's names."""
    stored = [tile[3] for tile in image.tile]
    return {str(args[0] if isinstance(args, tuple) and args else args) for args in stored}


def _is_deep(image: ImageFile) -> bool:
    """Whether it has 16 bits and several channels, of which Pillow keeps 8."""
    rawmodes = _rawmodes(image)
    return bool(rawmodes) and all(re.fullmatch("(LA|RGBA?);16B", mode) for mode in rawmodes)


def _depth_lost(image: ImageFile) -> list[str]:
    """Of a PPM of more than 8 bits, of which Pillow keeps 8."""
    stored: Any = [tile[3] for tile in image.tile if isinstance(tile[3], tuple)]
    if image.format != "PPM" or image.mode != "RGB" or not stored or stored[0][-1] < 256:
        return []
    return ["a PPM of 16 bits is read at 8: save it as PNG or TIFF to keep them"]


@contextlib.contextmanager
def opened_jpeg(file: Path | bytes) -> Iterator[ImageFile | None]:
    """A JPEG, whose pixels are not read yet; None for another file."""
    start = file[:2] if isinstance(file, bytes) else _head(file)[:2]
    if start != b"\xff\xd8":
        yield None
        return
    with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=["JPEG"]) as im:
        yield im


def opened_any(file: Path | bytes) -> ImageFile:
    """A file that Pillow knows, whose pixels are not read yet."""
    head = file[: foreign.LONGEST] if isinstance(file, bytes) else _head(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata
        source = io.BytesIO(file) if isinstance(file, bytes) else file
        return Image.open(source, formats=[*FORMATS, *_heic(head)])


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(foreign.LONGEST)


def loaded(image: ImageFile, file: Path | bytes) -> tuple[Image.Image, list[str]]:
    """The opened image with its pixels, those of a JPEG without its end marker too, and what is
    told of that. Raises OSError for one that is cut off."""
    try:
        image.load()
        return image, []
    except OSError as error:
        both = None
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            both = jpeg_end.completed(_content(file))
        if both is None:
            raise _cut(error) from error
        first, second = (Image.open(io.BytesIO(data), formats=["JPEG"]) for data in both)
        if not _are_same(first, second):
            raise _cut(error) from error
        return first, ["the file lacks its end marker, all pixels are there"]


def _cut(error: OSError) -> Exception:
    """The error of a file whose end is missing, in words; any other as it is."""
    if "truncated" not in str(error):
        return error
    return ImageError(
        "expected a whole image, got one that is cut off: its last pixels are missing"
    )


def _are_same(first: Image.Image, second: Image.Image) -> bool:
    """Whether two images have the same pixels; one that is damaged has none."""
    with contextlib.suppress(OSError):
        return _digest(first) == _digest(second)
    return False


def _digest(image: Image.Image) -> bytes:
    image.load()
    found = hashlib.sha256()
    for _, strip in _strips(image):
        found.update(strip.tobytes())
    return found.digest()


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The image in pieces, each with its first row: copies of a whole one would take several times
    its memory."""
    step = max(1, STRIP // image.width)
    for top in range(0, image.height, step):
        end = min(top + step, image.height)
        yield top, image.crop((0, top, image.width, end))


def _stored(image: ImageFile, file: Path | bytes) -> tuple[np.ndarray, int, list[str]]:
    """The pixels [h, w, c] of an opened image, their bits, and what is told of how it ends."""
    if image.format == "PNG" and _is_deep(image):
        import imagecodecs

        return imagecodecs.png_decode(_content(file)), 16, []
    if image.format == "JPEG2000":
        bits = _bits_of_jpeg2000(_content(file))
        if bits > 8 and image.mode in ("LA", "RGB", "RGBA"):
            import imagecodecs

            return imagecodecs.jpeg2k_decode(_content(file)), bits, []
    whole, told = loaded(image, file)
    return *_pixels(whole), told


def _bits_of_jpeg2000(data: bytes) -> int:
    """Of its first channel; 8 where they are not unsigned RGB or grey. Of more, Pillow keeps 8, and
    rounds white up to black."""
    at = data.find(b"\xff\x4f\xff\x51")  # SOC, SIZ
    if at < 0 or len(data) < at + 43 or b"colr\x01\0\0\0\0\0\x12" in data[:at]:  # sYCC
        return 8
    size = data[at + 42]
    return size + 1 if size < 128 else 8


def _pixels(image: Image.Image) -> tuple[np.ndarray, int]:
    """The pixels [h, w, c] of a loaded image, and their bits."""
    mode = image.mode
    if mode == "F":
        return np.asarray(image)[..., None], 32
    if mode.startswith("I;16") or (mode == "I" and image.format == "PPM"):
        return np.asarray(image).astype(np.uint16)[..., None], 16
    if mode == "I":
        return np.asarray(image)[..., None], 32
    as_mode = _as_mode(image)
    stored = np.empty((image.height, image.width, len(as_mode)), np.uint8)
    for top, strip in _strips(image):
        rows = np.asarray(strip if strip.mode == as_mode else strip.convert(as_mode))
        stored[top : top + strip.height] = rows.reshape(strip.height, strip.width, -1)
    return stored, 8


def _as_mode(image: Image.Image) -> str:
    """The mode that keeps what an image of 8 bits holds."""
    if image.mode == "CMYK" and image.info.get("icc_profile"):
        return "CMYK"
    if image.has_transparency_data:
        return "LA" if image.mode in ("L", "LA") else "RGBA"
    return "L" if image.mode in ("1", "L") else "RGB"


def _layout(image: Image.Image, stored: np.ndarray) -> tuple[Layout, list[str]]:
    """What the channels mean, and what is told of their colours."""
    channels = stored.shape[2]
    is_ink = image.mode == "CMYK" and channels == 4
    has_alpha = channels in (2, 4) and not is_ink
    colours = channels - 1 if has_alpha else channels
    profile = image.info.get("icc_profile")
    # Black and white with a transparent colour has become RGBA: its profile is of grey.
    if colours == 3 and image.mode in ("1", "I", "F"):
        profile = None
    transform, told = colour.transform_of(profile, colours)
    if transform is None and is_ink:
        raise ImageError(f"expected RGB or grey pixels, got CMYK, and {told}: convert it to sRGB")
    naive = image.mode == "CMYK" and not is_ink
    remarks = ["colours of CMYK without a profile are approximate"] if naive else []
    remarks += [told] if told else _untold(image) if transform is None else []
    alpha = colours if has_alpha else None
    return Layout(colours, alpha, to_srgb=transform), remarks


def _untold(image: Image.Image) -> list[str]:
    """What a file without an ICC profile tells of its colours, which is not applied."""
    if image.info.get("icc_profile"):
        return []
    gamma = image.info.get("gamma")
    if gamma and "srgb" not in image.info and abs(gamma - GAMMA) > 0.02:
        return [f"the gamma that the file tells of is not applied ({gamma:.3g})"]
    with contextlib.suppress(Exception):  # damaged metadata
        index = image.getexif().get_ifd(INTEROPERABILITY_IFD).get(1)
        if str(index).strip("\x00 ") == "R03":
            return ["EXIF tells of Adobe RGB and there is no profile: read as sRGB"]
    return []


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 (upright) where there is none. Pillow has turned a TIFF already."""
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # Damaged metadata: viewers show such a photo as it is stored.
        return 1
