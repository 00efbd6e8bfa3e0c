"""Image files as people have them: every format, depth and layout in, one kind of array out; and
one clear line for what is no image."""

import os
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxsr import images
from jaxsr.images import ImageError

RGB = (
    (
        np.linspace(0, 255, 24 * 20 * 3).reshape(24, 20, 3)
        + 40 * np.sin(np.arange(20) / 3)[None, :, None]
    )
    .clip(0, 255)
    .astype(np.uint8)
)
GREY = RGB[..., 0]
DEEP = np.random.default_rng(0).integers(0, 65536, (24, 20, 4), np.uint16)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _write_deep_png(path: Path, pixels: np.ndarray) -> None:
    """A 16-bit RGB or RGBA PNG, which Pillow cannot write."""
    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\x00" + row.astype(">u2").tobytes() for row in pixels)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(rows))
        + _chunk(b"IEND", b"")
    )


def _write_tiff(
    path: Path, pixels: np.ndarray, *, order: str = "<", deflate: bool = False, bits: int = 16
) -> None:
    """A one-strip TIFF of 16-bit RGB pixels, or of grey ones with `bits`, packed as they come."""
    height, width = pixels.shape[:2]
    data = pixels.astype(order + "u2").tobytes() if bits == 16 else pixels.tobytes()
    width = width if bits == 16 else width * 8 // bits
    data = zlib.compress(data) if deflate else data
    channels = 3 if pixels.ndim == 3 else 1
    shorts = b"".join(struct.pack(order + "H", bits) for _ in range(channels))
    compression, photometric, depth = (
        (8 if deflate else 1),
        (2 if channels == 3 else 1),
        (8 if channels == 3 else bits),
    )
    tags = [
        (256, 3, 1, width),
        (257, 3, 1, height),
        (258, 3, channels, depth),
        (259, 3, 1, compression),
        (262, 3, 1, photometric),
        # Fmt: skip.
        (273, 4, 1, 14),
        (277, 3, 1, channels),
        (278, 3, 1, height),
        (279, 4, 1, len(data)),
    ]
    entries = b"".join(
        struct.pack(order + "HHI", tag, kind, count)
        + (
            struct.pack(order + "I", value)
            if kind == 4 or count > 1
            else struct.pack(order + "HH", value, 0)
        )
        for tag, kind, count, value in tags
    )
    body = shorts.ljust(6, b"\x00") + data + b"\x00" * (len(data) % 2)
    magic = b"II" if order == "<" else b"MM"
    path.write_bytes(
        magic
        + struct.pack(order + "HI", 42, 8 + len(body))
        + body
        + struct.pack(order + "H", len(tags))
        + entries
        + bytes(4)
    )


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
    _write_tiff(tmp_path / "x.tif", DEEP[..., :3], order=order, deflate=deflate)
    np.testing.assert_allclose(images.read(tmp_path / "x.tif"), DEEP[..., :3] / 65535.0, atol=1e-7)


def test_deep_colour_png_keeps_its_precision(tmp_path):
    """Likewise in PNG, with and without alpha."""
    _write_deep_png(tmp_path / "rgb.png", DEEP[..., :3])
    np.testing.assert_allclose(
        images.read(tmp_path / "rgb.png"), DEEP[..., :3] / 65535.0, atol=1e-7
    )
    _write_deep_png(tmp_path / "rgba.png", DEEP)
    colour, alpha = DEEP[..., :3] / 65535.0, DEEP[..., 3:] / 65535.0
    np.testing.assert_allclose(
        images.read(tmp_path / "rgba.png"), colour * alpha + 1 - alpha, atol=1e-6
    )


def test_twelve_bit_tiff_is_not_dark(tmp_path):
    """Microscopes pack 12 bits; taken for 16 they would come out at a sixteenth of their
    brightness."""
    _write_tiff(tmp_path / "x.tif", np.full((24, 30), 255, np.uint8), bits=12)
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
    _is_one_line(error, tmp_path / name)


def _is_one_line(error, path: Path) -> None:
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{path}: ")


def _float_tiff(path: Path, value: float) -> None:
    Image.fromarray(np.where(np.arange(16).reshape(4, 4) == 5, value, 0.5).astype(np.float32)).save(
        path
    )


def _bomb(path: Path) -> None:
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(b""))
        + _chunk(b"IEND", b"")
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
        "got a file that is none",
    ),
    "bomb": ("x.png", _bomb, "exceeds limit"),
    "NaN": ("x.tif", lambda path: _float_tiff(path, np.nan), "NaN or infinity"),
    "infinity": ("x.tif", lambda path: _float_tiff(path, np.inf), "NaN or infinity"),
    "range": ("x.tif", lambda path: _float_tiff(path, 254.5), "from 0.5 to 254.5"),
    "integers": (
        "x.tif",
        lambda path: Image.fromarray(np.full((4, 4), 70_000, np.int32)).save(path),
        "32-bit or signed",
    ),
    "name": ("x" * 300 + ".png", lambda path: None, "expected"),
}


@pytest.mark.parametrize(("name", "make", "message"), BAD.values(), ids=BAD)
def test_what_is_no_image_is_one_clear_line(tmp_path, name, make, message):
    """One line that says which file, what was expected and what came."""
    make(tmp_path / name)
    with pytest.raises(ImageError, match=message) as error:
        images.read(tmp_path / name)
    _is_one_line(error, tmp_path / name)


def test_write_clips_rounds_and_reads_back(tmp_path):
    """Rounding down would darken every result by half a level."""
    values = np.array(
        [-0.5, 0.0, 0.4999 / 255, 0.5001 / 255, 0.5, 1.0, 7.0, 254.6 / 255], np.float32
    )
    images.write(tmp_path / "x.png", np.repeat(values.reshape(2, 4, 1), 3, 2))
    levels = images.read(tmp_path / "x.png")[..., 0].reshape(-1) * 255
    np.testing.assert_allclose(levels, [0, 0, 0, 1, 128, 255, 255, 255], atol=1e-4)
    assert os.listdir(tmp_path) == ["x.png"]


def test_write_gives_the_usual_permissions(tmp_path):
    """Temporary files are often private; results are read by others."""
    (tmp_path / "plain").touch()
    images.write(tmp_path / "x.png", RGB / np.float32(255))
    assert (tmp_path / "x.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    """A full disk, played by a limit on the size of files."""
    images.write(tmp_path / "x.png", np.zeros((4, 4, 3)))
    before = (tmp_path / "x.png").read_bytes()
    noise = np.random.default_rng(0).uniform(size=(64, 64, 3))
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old[1]))
        with pytest.raises(OSError, match=r"cannot write .*x\.png: File too large"):
            images.write(tmp_path / "x.png", noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert os.listdir(tmp_path) == ["x.png"]
    assert (tmp_path / "x.png").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "image", "error", "message"),
    [
        ("no folder/x.png", RGB / 255.0, OSError, "No such file or directory"),
        ("folder.png", RGB / 255.0, OSError, "cannot write"),
        ("x.jpg", RGB / 255.0, ImageError, "ends in .png"),
        ("x.png", GREY / 255.0, ImageError, r"\[h, w, 3\]"),
        ("x.png", RGB * np.nan, ImageError, "NaN"),
        ("x.png", RGB, ImageError, "got uint8"),
    ],
)
def test_bad_writes_are_one_clear_line(tmp_path, name, image, error, message):
    """And leave nothing behind."""
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(error, match=message) as raised:
        images.write(tmp_path / name, image)
    assert "\n" not in str(raised.value)
    assert os.listdir(tmp_path) == ["folder.png"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in [
        "photo10.png",
        "photo2.PNG",
        "photo1.jpg",
        "notes.txt",
        ".hidden.png",
        "sub/deep.png",
        "odd[1].png",
        "2.png",
        "data.bin",
    ]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["."], ["2.png", "odd[1].png", "photo1.jpg", "photo2.PNG", "photo10.png"]),
        (["photo*"], ["photo1.jpg", "photo2.PNG", "photo10.png"]),
        (["*"], ["2.png", "odd[1].png", "photo1.jpg", "photo2.PNG", "photo10.png"]),
        (["**/*.png"], ["2.png", "odd[1].png", "photo10.png", "sub/deep.png"]),
        (["odd[1].png", "data.bin"], ["odd[1].png", "data.bin"]),
        (["photo10.png", "photo*", "photo10.png"], ["photo10.png", "photo1.jpg", "photo2.PNG"]),
    ],
)
def test_find(folder, monkeypatch, patterns, expected):
    """Files, folders and globs, in natural order, each once."""
    monkeypatch.chdir(folder)
    assert [path.as_posix() for path in images.find(patterns)] == expected
    assert images.find(folder / "2.png") == [folder / "2.png"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("none*.png", "no such file"), ("empty", "without images"), ("x.png", "no such file")],
)
def test_find_says_what_it_did_not_find(tmp_path, pattern, message):
    """A misspelt folder must not mean an empty run."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match=message) as error:
        images.find([tmp_path, tmp_path / pattern] if pattern == "none" else [tmp_path / pattern])
    _is_one_line(error, tmp_path / pattern)
    with pytest.raises(ImageError, match="at least one"):
        images.find([])


FITS = [
    (
        {"size": 16, "mode": "crop"},
        (24, 20),
        (16, 16),
        "cropped to the centre: 20 x 24 px became 16 x 16 px",
    ),
    (
        {"size": 32, "mode": "pad"},
        (24, 21),
        (32, 32),
        "padded by mirroring: 21 x 24 px became 32 x 32 px",
    ),
    (
        {"size": 100, "mode": "pad"},
        (3, 1),
        (100, 100),
        "padded by mirroring: 1 x 3 px became 100 x 100 px",
    ),
    (
        {"multiple": 8, "mode": "crop"},
        (24, 21),
        (24, 16),
        "cropped to the centre: 21 x 24 px became 16 x 24 px",
    ),
    (
        {"multiple": 8, "mode": "pad"},
        (25, 16),
        (32, 16),
        "padded by mirroring: 16 x 25 px became 16 x 32 px",
    ),
    ({"multiple": 8, "mode": "crop"}, (16, 24), (16, 24), ""),
    ({"size": 16, "mode": "pad"}, (16, 16), (16, 16), ""),
]


@pytest.mark.parametrize(("settings", "shape", "expected", "sentence"), FITS)
def test_fit(settings, shape, expected, sentence):
    """The size asked for, and a sentence that says what was done."""
    image = np.random.default_rng(0).uniform(size=(*shape, 3)).astype(np.float32)
    out, done = images.fit(image, **settings)
    assert out.shape == (*expected, 3)
    assert done == sentence


def test_fit_is_central():
    """What was asked for is the middle of the photo, and padding can be cut off again."""
    image = np.random.default_rng(0).uniform(size=(10, 7, 3)).astype(np.float32)
    cropped, _ = images.fit(image, size=4, mode="crop")
    np.testing.assert_array_equal(cropped, image[3:7, 1:5])
    padded, _ = images.fit(image, size=14, mode="pad")
    np.testing.assert_array_equal(padded[2:12, 3:10], image)
    np.testing.assert_array_equal(padded[1], padded[2])
    assert images.square(image, mode="crop")[0].shape == (7, 7, 3)
    assert images.square(image, mode="pad")[0].shape == (10, 10, 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 21, "mode": "crop"}, "cannot crop an image of 20 x 24 px to 21 x 21 px"),
        ({"size": 21, "mode": "pad"}, "cannot pad"),
        ({"multiple": 32, "mode": "crop"}, "cannot crop"),
        ({"mode": "crop"}, "one of size and multiple"),
        ({"size": 4, "multiple": 4, "mode": "crop"}, "one of size and multiple"),
        ({"multiple": 0, "mode": "pad"}, "at least 1"),
    ],
)
def test_fit_refuses(settings, message):
    """What a mode cannot reach."""
    with pytest.raises(ImageError, match=message):
        images.fit(RGB / 255.0, **settings)


@pytest.mark.parametrize(("side", "size"), [(12, 4), (12, 12), (10, 4), (7, 5), (100, 33), (5, 1)])
def test_resize_area_is_the_mean_of_the_covered_area(side, size):
    """Also for ratios that are no integer: equal to repeating every pixel `size` times and
    averaging blocks of `side`."""
    image = np.random.default_rng(0).uniform(size=(side, side, 3)).astype(np.float32)
    fine = image.astype(np.float64).repeat(size, 0).repeat(size, 1)
    expected = fine.reshape(size, side, size, side, 3).mean((1, 3))
    out = images.resize_area(image, size)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, expected, atol=1e-6)


@pytest.mark.parametrize(("shape", "size"), [((8, 9, 3), 4), ((8, 8, 3), 9), ((8, 8, 3), 0)])
def test_resize_area_refuses(shape, size):
    """It neither distorts nor enlarges."""
    with pytest.raises(ImageError, match="expected a square image"):
        images.resize_area(np.zeros(shape, np.float32), size)


def test_imports_stay_light():
    """A photo tool that starts in seconds: no plotting, no scipy."""
    code = (
        "import sys, jaxsr.images, jaxsr.operators, jaxsr.degradations, jaxsr.metrics; "
        "print(*sys.modules)"
    )
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"matplotlib", "scipy", "skimage", "flax", "distrax", "tensorflow", "torch"} & set(
        modules
    )
