"""Image files as people have them: every format, depth and layout in, one kind of array out; and
one clear line for what is no image."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from image_files import DEEP, GREY, RGB, chunk, is_one_line, write_deep_png, write_tiff
from PIL import Image

from jaxsr import images
from jaxsr.images import ImageError

LOSSLESS = [
    ("x.png", {}),
    ("x.bmp", {}),
    ("x.tif", {}),
    ("x.tiff", {"compression": "tiff_lzw"}),
    ("x.webp", {"lossless": True}),
    ("x.ppm", {}),
]
LOSSY = [
    ("x.jpg", {"quality": 95}),
    ("x.JPEG", {"quality": 95, "progressive": True}),
    ("x.webp", {"quality": 95}),
    ("x.avif", {"quality": 95}),
]


@pytest.mark.parametrize(("name", "options"), LOSSLESS)
def test_lossless_formats_read_exactly(tmp_path, name, options):
    """A pixel that is off by one level leaves a residual."""
    Image.fromarray(RGB).save(tmp_path / name, **options)
    image = images.read(tmp_path / name)
    assert image.dtype == np.float32
    assert image.flags.c_contiguous
    assert image.flags.writeable
    np.testing.assert_allclose(image, RGB / 255.0, atol=1e-7)


@pytest.mark.parametrize(("name", "options"), LOSSY)
def test_lossy_formats_read_nearly(tmp_path, name, options):
    """Photos come as JPEG, WebP and AVIF."""
    Image.fromarray(RGB).save(tmp_path / name, **options)
    assert np.abs(images.read(str(tmp_path / name)) - RGB / 255.0).mean() < 0.02


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("grey.png", Image.fromarray(GREY), np.stack([GREY] * 3, -1) / 255),
        (
            "grey.jpg",
            Image.fromarray(np.full((24, 20), 77, np.uint8)),
            np.full((24, 20, 3), 77 / 255),
        ),
        ("bits.png", Image.fromarray(GREY > 100), np.stack([GREY > 100] * 3, -1)),
        ("deep grey.png", Image.fromarray(DEEP[..., 0]), np.stack([DEEP[..., 0]] * 3, -1) / 65535),
        ("deep grey.tif", Image.fromarray(DEEP[..., 0]), np.stack([DEEP[..., 0]] * 3, -1) / 65535),
        ("deep grey.pgm", Image.fromarray(DEEP[..., 0]), np.stack([DEEP[..., 0]] * 3, -1) / 65535),
        (
            "float.tif",
            Image.fromarray(DEEP[..., 0] / np.float32(65535)),
            np.stack([DEEP[..., 0]] * 3, -1) / 65535,
        ),
        (
            "palette.png",
            Image.fromarray(RGB // 128 * 255).quantize(8, dither=Image.Dither.NONE),
            RGB // 128,
        ),
        (
            "palette.gif",
            Image.fromarray(RGB // 128 * 255).quantize(8, dither=Image.Dither.NONE),
            RGB // 128,
        ),
        ("cmyk.tif", Image.fromarray(RGB).convert("CMYK"), RGB / 255),
        ("one pixel.png", Image.fromarray(RGB[:1, :1]), RGB[:1, :1] / 255),
    ],
)
def test_modes(tmp_path, name, image, expected):
    """Grey, bilevel, 16-bit, float, palette, CMYK: always [h, w, 3] in [0, 1]."""
    image.save(tmp_path / name)
    np.testing.assert_allclose(images.read(tmp_path / name), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("order", "deflate"), [("<", False), (">", False), ("<", True), (">", True)]
)
def test_deep_colour_tiff_keeps_its_precision(tmp_path, order, deflate):
    """Pillow alone would drop the lower byte of each value, in either byte order and compressed or
    not."""
    write_tiff(tmp_path / "x.tif", DEEP[..., :3], order=order, deflate=deflate)
    np.testing.assert_allclose(images.read(tmp_path / "x.tif"), DEEP[..., :3] / 65535.0, atol=1e-7)


def test_deep_colour_png_keeps_its_precision(tmp_path):
    """Likewise in PNG, with and without alpha."""
    write_deep_png(tmp_path / "rgb.png", DEEP[..., :3])
    np.testing.assert_allclose(
        images.read(tmp_path / "rgb.png"), DEEP[..., :3] / 65535.0, atol=1e-7
    )
    write_deep_png(tmp_path / "rgba.png", DEEP)
    colour, alpha = DEEP[..., :3] / 65535.0, DEEP[..., 3:] / 65535.0
    np.testing.assert_allclose(
        images.read(tmp_path / "rgba.png"), colour * alpha + 1 - alpha, atol=1e-6
    )


def test_twelve_bit_tiff_is_not_dark(tmp_path):
    """Microscopes pack 12 bits; taken for 16 they would come out at a sixteenth of their
    brightness."""
    write_tiff(tmp_path / "x.tif", np.full((24, 30), 255, np.uint8), bits=12)
    np.testing.assert_allclose(images.read(tmp_path / "x.tif"), np.ones((24, 20, 3)), atol=1e-6)


@pytest.mark.parametrize("name", ["x.png", "x.webp", "x.tif", "x.avif"])
def test_transparency_is_composited_onto_white(tmp_path, name):
    """As a viewer shows it; dropping alpha would bring back what was cut out."""
    pixels = np.dstack(
        [
            np.zeros((24, 20, 3), np.uint8),
            np.where(np.arange(20) < 10, 255, 0).astype(np.uint8)[None].repeat(24, 0),
        ]
    )
    Image.fromarray(pixels).save(tmp_path / name, lossless=name == "x.webp")
    image = images.read(tmp_path / name)
    assert image[:, :9].max() < 0.1
    assert image[:, 11:].min() > 0.9


def test_transparent_grey_and_palette(tmp_path):
    """Alpha beside grey, and a transparent palette entry."""
    Image.fromarray(np.dstack([GREY, np.full_like(GREY, 128)])).save(tmp_path / "la.png")
    np.testing.assert_allclose(
        images.read(tmp_path / "la.png")[..., 0], GREY / 255 * 128 / 255 + 1 - 128 / 255, atol=1e-6
    )
    palette = Image.fromarray((GREY > 100).astype(np.uint8)).convert("P")
    palette.save(tmp_path / "p.png", transparency=1)
    assert (images.read(tmp_path / "p.png")[GREY > 100] == 1.0).all()


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.webp", "x.tif", "x.avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, name, orientation):
    """Photos from phones lie on their side otherwise. The stored pixels are turned so that upright
    they show RGB again."""
    stored = {
        1: RGB,
        2: RGB[:, ::-1],
        3: RGB[::-1, ::-1],
        4: RGB[::-1],
        5: RGB.swapaxes(0, 1),
        6: np.rot90(RGB),
        7: np.rot90(RGB[::-1]),
        8: np.rot90(RGB, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / name, exif=exif, quality=95)
    image = images.read(tmp_path / name)
    assert image.shape == RGB.shape
    assert np.abs(image - RGB / 255.0).mean() < 0.02


def test_damaged_exif_does_not_hide_the_photo(tmp_path):
    """Viewers show such a photo, and so do we."""
    Image.fromarray(RGB).save(
        tmp_path / "x.jpg", exif=b"Exif\x00\x00rubbish that is no TIFF header"
    )
    assert images.read(tmp_path / "x.jpg").shape == RGB.shape


@pytest.mark.parametrize("name", ["x.gif", "x.png", "x.webp", "x.tif", "x.avif"])
def test_first_frame_of_animations(tmp_path, name):
    """Not the last, and no fourth axis."""
    frames = [Image.fromarray(np.full((24, 20, 3), level, np.uint8)) for level in (255, 0, 128)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    assert images.read(tmp_path / name).min() > 0.98


@pytest.mark.parametrize(
    "name", ["x.png", "x.jpg", "x.webp", "x.tif", "x.bmp", "x.avif", "x.ppm", "x.gif"]
)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_truncated_files_are_refused(tmp_path, name, share):
    """Not silently half grey: a copy that was cut off must not be restored."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(share * len(data))])
    with pytest.raises(ImageError, match="expected") as error:
        images.read(tmp_path / name)
    is_one_line(error, tmp_path / name)


def _float_tiff(path: Path, value: float) -> None:
    Image.fromarray(np.where(np.arange(16).reshape(4, 4) == 5, value, 0.5).astype(np.float32)).save(
        path
    )


def _bomb(path: Path) -> None:
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


BAD = {
    "missing": ("x.png", lambda path: None, "no such file"),
    "folder": ("x.png", lambda path: path.mkdir(), "got a folder"),
    "pipe": ("x.png", lambda path: os.mkfifo(path), "no regular file"),
    "empty": ("x.png", lambda path: path.touch(), "empty file"),
    "text": ("x.png", lambda path: path.write_text("hello " * 100), "got a file that is none"),
    "other program": (
        "x.eps",
        lambda path: Image.fromarray(RGB).save(path),
        "got PostScript",
    ),
    "bomb": ("x.png", _bomb, "exceeds limit"),
    "NaN": ("x.tif", lambda path: _float_tiff(path, np.nan), "NaN or infinity"),
    "infinity": ("x.tif", lambda path: _float_tiff(path, np.inf), "NaN or infinity"),
    "range": ("x.tif", lambda path: _float_tiff(path, 254.5), "from 0.5 to 254.5"),
    "integers": (
        "x.tif",
        lambda path: Image.fromarray(np.full((4, 4), 70_000, np.int32)).save(path),
        "signed 32-bit",
    ),
    "name": ("x" * 300 + ".png", lambda path: None, "expected"),
}


@pytest.mark.parametrize(("name", "make", "message"), BAD.values(), ids=BAD)
def test_what_is_no_image_is_one_clear_line(tmp_path, name, make, message):
    """One line that says which file, what was expected and what came."""
    make(tmp_path / name)
    with pytest.raises(ImageError, match=message) as error:
        images.read(tmp_path / name)
    is_one_line(error, tmp_path / name)
