"""TIFFs of microscopes, scanners and programs: pixels are what the file's tags say, what is left
out is told, and what is not read is named. The files are written by the letter of the
specification, or by tifffile."""

import itertools
import struct

import numpy as np
import pytest
import tifffile
from image_files import DEEP, GREY, RGB, extra, is_one_line, write_tiff
from PIL import Image

from jaxsr import images
from jaxsr.images import ImageError, Reading

RGB16, GREY16 = DEEP[..., :3], DEEP[..., 0]
FULL = 65535.0
KINDS = {"uint8": (RGB, 255.0), "uint16": (RGB16, FULL)}
KINDS |= {name: ((RGB16 / FULL).astype(name), 1.0) for name in ("float16", "float32", "float64")}


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(values, np.float64)[..., None], 3, 2)


@pytest.mark.parametrize(
    ("kind", "order", "deflate", "planar"),
    list(itertools.product(KINDS, "<>", (False, True), (False, True))),
)
def test_colours_are_what_the_file_says(tmp_path, kind, order, deflate, planar):
    """Planes taken for pixels are noise, and halves of numbers are dark or coarse pictures."""
    pixels, white = KINDS[kind]
    write_tiff(tmp_path / "x.tif", pixels, order=order, deflate=deflate, planar=planar)
    picture = images.load(tmp_path / "x.tif")
    np.testing.assert_allclose(picture.image(), pixels / white, atol=1e-6)
    assert picture.remark == ""


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "lzma", "zstd", None])
@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("shape", [{"tile": (16, 16)}, {"rowsperstrip": 5}])
def test_compressions_and_predictors_change_nothing(tmp_path, compression, predictor, shape):
    """The half of 16-bit TIFFs that programs compress; Pillow keeps 8 bits of them."""
    if predictor and compression in ("packbits", None):
        return
    for planar in ("contig", "separate"):
        pixels = RGB16 if planar == "contig" else np.moveaxis(RGB16, 2, 0)
        tifffile.imwrite(
            tmp_path / "x.tif",
            pixels,
            photometric="rgb",
            planarconfig=planar,
            compression=compression,
            predictor=predictor,
            **shape,
        )
        np.testing.assert_allclose(images.read(tmp_path / "x.tif"), RGB16 / FULL, atol=1e-6)


@pytest.mark.parametrize(("pixels", "white"), [(GREY, 255), (GREY16, FULL)])
def test_white_may_be_zero(tmp_path, pixels, white):
    """Scanners write negatives; read as they are they are dark where the photo is bright."""
    write_tiff(tmp_path / "x.tif", pixels, photometric=0)
    np.testing.assert_allclose(images.read(tmp_path / "x.tif"), 1 - grey(pixels / white), atol=1e-6)


def test_alpha_straight_and_multiplied(tmp_path):
    """Of grey and of RGB: what is transparent is white, and colours are not dimmed twice."""
    c, a = DEEP[..., :3] / FULL, DEEP[..., 3:] / FULL
    multiplied = np.rint(c * a * FULL).astype(np.uint16)
    for pixels, more in (
        (DEEP, extra(2)),
        (np.dstack([multiplied, DEEP[..., 3]]), extra(1)),
        (DEEP[..., [0, 3]], extra(2)),
    ):
        for planar in (False, True):
            colours = 3 if pixels.shape[2] == 4 else 1
            photometric = 2 if colours == 3 else 1
            write_tiff(
                tmp_path / "x.tif", pixels, planar=planar, more=more, photometric=photometric
            )
            picture = images.load(tmp_path / "x.tif")
            expected = np.broadcast_to(c[..., :colours] * a + 1 - a, c.shape)
            np.testing.assert_allclose(picture.image(), expected, atol=3e-5)
            assert picture.remark == "transparent parts are shown on white"


@pytest.mark.parametrize(("channels", "photometric", "left"), [(2, 1, 1), (5, 1, 4), (6, 2, 3)])
def test_further_channels_are_left_out_and_told(tmp_path, channels, photometric, left):
    """Channels of a microscope, or near infrared, must not pass for alpha or colours."""
    pixels = np.random.default_rng(1).integers(0, 65536, (9, 8, channels), np.uint16)
    colours = 3 if photometric == 2 else 1
    more = extra(*[0] * (channels - colours))
    write_tiff(tmp_path / "x.tif", pixels, photometric=photometric, more=more)
    picture = images.load(tmp_path / "x.tif")
    expected = np.broadcast_to(pixels[..., :colours] / FULL, (9, 8, 3))
    np.testing.assert_allclose(picture.image(), expected, atol=1e-6)
    assert picture.remark == f"channels that are no colours are left out ({left})"


@pytest.mark.parametrize("form", ["imagej", "ome", "tifffile"])
@pytest.mark.parametrize("layers", [1, 2])
def test_three_channels_as_pages_are_colours(tmp_path, form, layers):
    """Microscopes write a page a channel; the first one alone is a grey picture of the red."""
    stack = np.random.default_rng(2).integers(0, 65536, (3, layers, 9, 8), np.uint16)
    axes = "ZCYX" if form == "imagej" else "CZYX"
    pixels = stack.swapaxes(0, 1) if form == "imagej" else stack
    tifffile.imwrite(
        tmp_path / ("x.ome.tif" if form == "ome" else "x.tif"),
        pixels,
        photometric="minisblack",
        metadata={"axes": axes},
        **{"imagej": form == "imagej", "ome": form == "ome"},
    )
    picture = images.load(next(tmp_path.iterdir()))
    expected = np.moveaxis(stack[:, 0], 0, -1) / FULL
    np.testing.assert_allclose(picture.image(), expected, atol=1e-6)
    assert picture.remarks[0] == "three channels are read as red, green and blue"
    assert len(picture.remarks) == layers
    if layers == 2:
        assert picture.remarks[1] == "the first 3 pages are read (of 6)"


@pytest.mark.parametrize("form", ["imagej", "plain"])
def test_first_of_other_pages(tmp_path, form):
    """Two channels, or three pages of which no metadata tells that they are channels."""
    count = 2 if form == "imagej" else 3
    stack = np.random.default_rng(3).integers(0, 65536, (count, 9, 8), np.uint16)
    described = {"metadata": {"axes": "CYX"}} if form == "imagej" else {"metadata": None}
    tifffile.imwrite(
        tmp_path / "x.tif", stack, photometric="minisblack", imagej=form == "imagej", **described
    )
    picture = images.load(tmp_path / "x.tif")
    np.testing.assert_allclose(picture.image(), grey(stack[0] / FULL), atol=1e-6)
    assert picture.remark == f"the first page is read (of {count})"


@pytest.mark.parametrize("name", ["palette", "bits", "inks", "jpeg"])
def test_what_pillow_reads_is_read_by_pillow(tmp_path, name):
    """Palettes, inks and JPEG in TIFF mean colours that tifffile does not know."""
    image = {
        "palette": Image.fromarray(RGB // 128 * 255).quantize(8, dither=Image.Dither.NONE),
        "bits": Image.fromarray(GREY > 100),
        "inks": Image.fromarray(RGB).convert("CMYK"),
        "jpeg": Image.fromarray(np.full((24, 20, 3), 77, np.uint8)),
    }[name]
    options = {"compression": "jpeg"} if name == "jpeg" else {}
    image.save(tmp_path / "x.tif", save_all=True, append_images=[image], **options)
    picture = images.load(tmp_path / "x.tif")
    expected = np.asarray(image.convert("RGB")) / 255
    np.testing.assert_allclose(picture.image(), expected, atol=2 / 255)
    assert "the first page is read (of 2)" in picture.remark


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_orientation_of_deep_tiffs(tmp_path, orientation):
    """Scans lie on their side otherwise."""
    turned = np.rot90(RGB16, {1: 0, 3: 2, 6: 1, 8: -1}[orientation])
    more = ((274, 3, struct.pack("<H", orientation)),)
    write_tiff(tmp_path / "x.tif", np.ascontiguousarray(turned), more=more)
    np.testing.assert_allclose(images.read(tmp_path / "x.tif"), RGB16 / FULL, atol=1e-6)


TWELVE = (GREY16 >> 4).astype(np.uint16)
TWELVE[0, 0] = 4000


@pytest.mark.parametrize("name", ["x.tif", "x.png"])
def test_twelve_bits_in_sixteen(tmp_path, name):
    """A camera's 12 bits are nearly black among 16; the user learns of it, and how to scale."""
    Image.fromarray(TWELVE).save(tmp_path / name)
    picture = images.load(tmp_path / name)
    np.testing.assert_allclose(picture.image(), grey(TWELVE / FULL), atol=1e-6)
    assert "a small part of the range is used" in picture.remark
    assert f"{TWELVE.max()} of 65535, 6%: --white=4095" in picture.remark
    for white in ("4095", "auto"):
        scaled = images.read(tmp_path / name, Reading(white=white))
        np.testing.assert_allclose(scaled, grey(TWELVE / 4095), atol=1e-6)
    assert "--white=auto: 4095" in images.load(tmp_path / name, Reading(white="auto")).remark


@pytest.mark.parametrize("kind", ["int16", "uint32", "int32", "float32", "float64"])
def test_numbers_without_a_white_need_one(tmp_path, kind):
    """Integers of 32 bits, signed ones and floats above 1 mean nothing by themselves."""
    pixels = TWELVE.astype(kind)
    write_tiff(tmp_path / "x.tif", pixels)
    with pytest.raises(ImageError, match="--white=NUMBER or --white=auto") as error:
        images.read(tmp_path / "x.tif")
    is_one_line(error, tmp_path / "x.tif")
    for white in ("4095", "auto"):
        scaled = images.read(tmp_path / "x.tif", Reading(white=white))
        np.testing.assert_allclose(scaled, grey(TWELVE / 4095), atol=1e-6)
    with pytest.raises(ImageError, match=r"up to --white=100, got"):
        images.read(tmp_path / "x.tif", Reading(white="100"))


def test_white_is_for_more_than_eight_bits(tmp_path):
    """A folder may hold both: snapshots must not go dark."""
    Image.fromarray(RGB).save(tmp_path / "x.png")
    for white in ("4095", "auto"):
        found = images.read(tmp_path / "x.png", Reading(white=white))
        np.testing.assert_allclose(found, RGB / 255, atol=1e-7)


@pytest.mark.parametrize("white", ["", "white", "-1", "0", "nan", "inf"])
def test_what_is_no_white(white):
    with pytest.raises(ValueError, match="--white: expected auto or a number above 0"):
        Reading(white=white)


BAD = {
    "complex": (lambda p: write_tiff(p, GREY.astype(np.complex64)), "complex numbers"),
    "lab": (lambda p: write_tiff(p, RGB, photometric=8), "photometric CIELAB"),
    "raw": (lambda p: write_tiff(p, GREY16, photometric=32803), "raw data"),
    "two colours": (lambda p: write_tiff(p, RGB[..., :2], photometric=2), "2 x 8-bit"),
    "negative": (lambda p: write_tiff(p, -TWELVE.astype(np.int16)), "0 and above"),
    "no pixels": (lambda p: write_tiff(p, np.zeros((0, 4), np.uint8)), "expected"),
    "volume": (
        lambda p: tifffile.imwrite(
            p, np.zeros((16, 16, 16), np.uint8), volumetric=True, tile=(16, 16, 16)
        ),
        "a volume of 16 layers",
    ),
}


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD)
def test_what_is_not_read_is_named(tmp_path, make, message):
    """One line that says what it is and what to do, for a file that is valid."""
    make(tmp_path / "x.tif")
    with pytest.raises(ImageError, match=message) as error:
        images.read(tmp_path / "x.tif")
    is_one_line(error, tmp_path / "x.tif")


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 0.99])
def test_a_deep_tiff_that_is_cut_off_is_refused(tmp_path, compression, share):
    """Not filled up with black."""
    noise = np.random.default_rng(0).integers(0, 65536, (64, 64, 3), np.uint16)
    tifffile.imwrite(
        tmp_path / "x.tif", noise, photometric="rgb", compression=compression, rowsperstrip=8
    )
    data = (tmp_path / "x.tif").read_bytes()
    (tmp_path / "x.tif").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ImageError, match="expected") as error:
        images.read(tmp_path / "x.tif")
    is_one_line(error, tmp_path / "x.tif")
