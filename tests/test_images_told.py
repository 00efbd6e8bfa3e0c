"""What photos bring besides pixels, and what the user is told: colour profiles, a lost end marker,
HEIC, animations, alpha; files that are no photos by their names; and damaged files, which do no
harm."""

import builtins
import io
import random
import resource
import time

import imagecodecs
import numpy as np
import pytest
import tifffile
from image_files import DEEP, GREY, RGB, is_one_line, write_deep_png, write_tiff
from PIL import Image, ImageCms

from jaxsr import images
from jaxsr.images import ImageError, Reading

# Primaries (x, y) of red, green and blue; the gamma of each is 2.2.
PRIMARIES = {
    "wide": ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
    "adobe": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)),
}
D65 = (0.3127, 0.3290)
GAMMA = 2.19921875


def matrix(primaries) -> np.ndarray:
    """Linear RGB of these primaries to CIE XYZ, white at D65."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    white = np.array([D65[0] / D65[1], 1, (1 - sum(D65)) / D65[1]])
    return columns * np.linalg.solve(columns, white)


SRGB = matrix(((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)))
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
D50 = np.array([0.9642, 1.0, 0.8249])


def to_srgb(values: np.ndarray, primaries) -> np.ndarray:
    """IEC 61966-2-1, in float64: [0, 1] of these primaries as sRGB in [0, 1]."""
    linear = np.clip(values**GAMMA @ (np.linalg.inv(SRGB) @ matrix(primaries)).T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def profile(primaries, name: str) -> bytes:
    """An ICC profile of version 2 by the letter of the specification."""
    white = matrix(primaries).sum(1)
    scale = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    adapted = np.linalg.inv(BRADFORD) @ scale @ BRADFORD @ matrix(primaries)

    def number(value: float) -> bytes:
        return round(value * 65536).to_bytes(4, "big", signed=True)

    def xyz(values) -> bytes:
        return b"XYZ " + bytes(4) + b"".join(map(number, values))

    curve = b"curv" + bytes(4) + (1).to_bytes(4, "big") + round(GAMMA * 256).to_bytes(2, "big")
    text = name.encode() + b"\0"
    tags = {
        b"desc": b"desc" + bytes(4) + len(text).to_bytes(4, "big") + text + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": xyz(D50),
        **{letter + b"XYZ": xyz(adapted[:, i]) for i, letter in enumerate((b"r", b"g", b"b"))},
        **{letter + b"TRC": curve + bytes(2) for letter in (b"r", b"g", b"b")},
    }
    tags = {key: content + bytes(-len(content) % 4) for key, content in tags.items()}
    at, table = 128 + 4 + 12 * len(tags), len(tags).to_bytes(4, "big")
    for key, content in tags.items():
        table += key + at.to_bytes(4, "big") + len(content).to_bytes(4, "big")
        at += len(content)
    head = at.to_bytes(4, "big") + bytes(4) + b"\x02\x40\0\0" + b"mntrRGB XYZ " + bytes(12)
    head += b"acsp" + bytes(28) + b"".join(map(number, D50))
    return head.ljust(128, b"\0") + table + b"".join(tags.values())


@pytest.mark.parametrize("name", ["x.png", "x.tif", "x.webp", "deep.tif", "float.tif"])
@pytest.mark.parametrize("space", PRIMARIES)
def test_colours_of_a_profile_become_srgb(tmp_path, name, space):
    """A phone's photo is dull otherwise, by up to a tenth of the range, and no measurement any
    more."""
    primaries = PRIMARIES[space]
    icc = profile(primaries, f"My {space}")
    pixels, white = RGB, 255.0
    if name == "deep.tif":
        pixels, white = DEEP[..., :3], 65535.0
    if name == "float.tif":
        pixels, white = (DEEP[..., :3] / 65535).astype(np.float32), 1.0
    if pixels.dtype == np.uint8:
        Image.fromarray(pixels).save(tmp_path / name, icc_profile=icc, lossless=name == "x.webp")
    else:
        write_tiff(tmp_path / name, pixels, more=((34675, 7, icc),))
    picture = images.load(tmp_path / name)
    expected = to_srgb(np.asarray(pixels, np.float64) / white, primaries)
    assert np.abs(expected - pixels / white).max() > 0.03
    error = np.abs(picture.image() - expected)
    # Of 8 bits the result is rounded too; LittleCMS works with numbers of 16 bits.
    assert error.max() < (0.02 if white == 255 else 0.01) and error.mean() < 0.002
    assert picture.remark == f"colours converted to sRGB from My {space}"


def test_a_profile_of_srgb_changes_no_pixel(tmp_path):
    """Most photos have one: a second rounding would be an error without a use, and the remark a
    noise."""
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(RGB).save(tmp_path / "x.png", icc_profile=icc)
    picture = images.load(tmp_path / "x.png")
    np.testing.assert_allclose(picture.image(), RGB / 255, atol=1e-7)
    assert picture.remark == ""


@pytest.mark.parametrize(
    ("icc", "told"),
    [(b"rubbish" * 40, "damaged"), (profile(PRIMARIES["wide"], "x")[:200], "damaged")],
)
def test_a_damaged_profile_is_ignored_and_told(tmp_path, icc, told):
    """Viewers show such a photo, and so do we."""
    Image.fromarray(RGB).save(tmp_path / "x.png", icc_profile=icc)
    picture = images.load(tmp_path / "x.png")
    np.testing.assert_allclose(picture.image(), RGB / 255, atol=1e-7)
    assert told in picture.remark and "\n" not in picture.remark


def test_a_profile_of_other_pixels_is_ignored_and_told(tmp_path):
    """Programs leave the profile of RGB in photos that they made grey."""
    Image.fromarray(GREY).save(tmp_path / "x.png", icc_profile=profile(PRIMARIES["wide"], "x"))
    picture = images.load(tmp_path / "x.png")
    np.testing.assert_allclose(picture.image()[..., 0], GREY / 255, atol=1e-7)
    assert "it is of RGB and the pixels are not" in picture.remark


JPEGS = [
    {},
    {"progressive": True},
    {"subsampling": 0, "quality": 95},
    {"restart_marker_blocks": 3},
    {"restart_marker_rows": 1},
]


@pytest.mark.parametrize("options", JPEGS)
def test_a_jpeg_without_its_end_marker_is_read_and_no_other(tmp_path, options):
    """Cameras and transfers lose it, and every viewer shows the photo; what has lost a pixel more
    is refused wherever it ends."""
    rng = np.random.default_rng(0)
    noisy = np.clip(np.kron(RGB, np.ones((3, 3, 1))) + rng.normal(0, 6, (72, 60, 3)), 0, 255)
    file = io.BytesIO()
    Image.fromarray(noisy.astype(np.uint8)).save(file, "JPEG", **options)
    whole = file.getvalue()
    expected = images.load_bytes(whole, "whole")
    assert expected.remark == ""
    for lost in (whole[:-2], whole[:-1]):
        picture = images.load_bytes(lost, "lost")
        np.testing.assert_array_equal(picture.image(), expected.image())
        assert picture.remark == "the file lacks its end marker, all pixels are there"
    (tmp_path / "lost.jpg").write_bytes(whole[:-2])
    assert images.compression_noise(tmp_path / "lost.jpg") > 0
    for end in range(100, len(whole) - 3, len(whole) // 60):
        with pytest.raises(ImageError, match="expected"):
            images.load_bytes(whole[:end], "cut")


def _heif(path) -> np.ndarray:
    pillow_heif = pytest.importorskip("pillow_heif")
    smooth = np.kron(RGB, np.ones((2, 2, 1), np.uint8))
    pillow_heif.from_pillow(Image.fromarray(smooth)).save(path, quality=-1)
    return smooth / 255


def test_heic_with_the_extra(tmp_path):
    """A phone's photos."""
    expected = _heif(tmp_path / "x.heic")
    assert np.abs(images.read(tmp_path / "x.heic") - expected).mean() < 0.02
    assert images.compression_noise(tmp_path / "x.heic") == 0
    assert images.find(tmp_path) == [tmp_path / "x.heic"]


def test_heic_without_the_extra_says_what_to_install(tmp_path, monkeypatch):
    """Not "is none or is damaged": the photo is whole."""
    original = builtins.__import__

    def importing(name, *arguments, **options):
        if name == "pillow_heif":
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", importing)
    (tmp_path / "x.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99))
    with pytest.raises(ImageError, match=r"got HEIC, which is read with pip install") as error:
        images.read(tmp_path / "x.heic")
    is_one_line(error, tmp_path / "x.heic")


FOREIGN = {
    "CR2": b"II*\0\x10\0\0\0CR\x02\0",
    "CR3": b"\0\0\0\x18ftypcrx \0\0\0\1",
    "JPEG XL": b"\xff\x0a\xfa\x1f",
    "Photoshop": b"8BPS\0\1",
    "PDF": b"%PDF-1.7\n",
    "DICOM": bytes(128) + b"DICM",
    "film": b"\0\0\0\x18ftypisom\0\0\2\0",
    "zip": b"PK\x03\x04\x14\0",
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
    "web page": b"<!DOCTYPE html><html>",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_files_of_other_kinds_are_named(tmp_path, kind):
    """Whoever gives a raw photo wants to know that it must be developed, not that it is
    damaged."""
    (tmp_path / "x.jpg").write_bytes(FOREIGN[kind] + bytes(500))
    with pytest.raises(ImageError, match=kind) as error:
        images.read(tmp_path / "x.jpg")
    is_one_line(error, tmp_path / "x.jpg")


@pytest.mark.parametrize("name", ["x.gif", "x.png", "x.webp", "x.avif"])
def test_animations_and_alpha_are_told(tmp_path, name):
    """A result that shows the first of many frames, or white where nothing was, is explained."""
    frames = [Image.fromarray(np.full((24, 20, 3), level, np.uint8)) for level in (255, 0, 128)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    remark = images.load(tmp_path / name).remark
    assert remark.startswith("the first frame of an animation")
    assert name == "x.gif" or "(3 frames)" in remark
    if name != "x.gif":
        Image.fromarray(np.dstack([RGB, GREY])).save(tmp_path / name)
        assert images.load(tmp_path / name).remark == "transparent parts are shown on white"
    Image.fromarray(RGB).save(tmp_path / name)
    assert images.load(tmp_path / name).remark == ""


def test_grey_with_alpha_of_16_bits(tmp_path):
    """PNGs of scientific programs; Pillow keeps 8 bits of them."""
    write_deep_png(tmp_path / "x.png", DEEP[..., [0, 3]])
    value, alpha = DEEP[..., :1] / 65535.0, DEEP[..., 3:] / 65535.0
    expected = np.broadcast_to(value * alpha + 1 - alpha, (24, 20, 3))
    np.testing.assert_allclose(images.read(tmp_path / "x.png"), expected, atol=1e-6)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_jpeg_2000_of_more_than_8_bits(tmp_path, bits):
    """Pillow keeps 8 bits, and makes white black where it rounds up."""
    pixels = (DEEP[..., :3] >> (16 - bits)).astype(np.uint8 if bits == 8 else np.uint16)
    pixels[:4] = 2**bits - 1
    data = imagecodecs.jpeg2k_encode(pixels, reversible=True, bitspersample=bits)
    (tmp_path / "x.jp2").write_bytes(data)
    expected = pixels / (2.0**bits - 1)
    np.testing.assert_allclose(images.read(tmp_path / "x.jp2"), expected, atol=1e-6)


def test_a_limit_on_pixels(tmp_path):
    """A bomb fills the memory; a microscope's mosaic is larger than any limit that is meant for
    photos, so that it can be raised."""
    image = Image.fromarray(np.zeros((1200, 1000), np.uint8))
    for name in ("x.png", "x.tif"):
        image.save(tmp_path / name)
        with pytest.raises(ImageError, match=r"at most 1 megapixels, got 1000 x 1200 px") as error:
            images.read(tmp_path / name, Reading(max_megapixels=1))
        is_one_line(error, tmp_path / name)
        assert images.load(tmp_path / name, Reading(max_megapixels=2)).shape == (1200, 1000, 3)
    with pytest.raises(ValueError, match="--max_megapixels must be at least 1, got 0"):
        Reading(max_megapixels=0)


def _bases(folder) -> list[bytes]:
    """Whole files of every reader, to be damaged."""
    icc = profile(PRIMARIES["wide"], "x")
    small = Image.fromarray(RGB)
    for name in ("a.png", "a.jpg", "a.webp", "a.avif", "a.gif", "a.bmp", "a.jp2", "a.ppm"):
        small.save(folder / name, **({"icc_profile": icc} if name in ("a.png", "a.jpg") else {}))
    small.save(folder / "p.jpg", progressive=True)
    write_deep_png(folder / "deep.png", DEEP)
    write_tiff(folder / "a.tif", DEEP[..., :3], planar=True, more=((34675, 7, icc),))
    for i, compression in enumerate(("lzw", "zlib", "packbits", "jpeg")):
        pixels = RGB if compression == "jpeg" else DEEP[..., :3]
        tifffile.imwrite(
            folder / f"{i}.tif", pixels, photometric="rgb", compression=compression, rowsperstrip=8
        )
    stack = np.moveaxis(DEEP[..., :3], 2, 0)
    tifffile.imwrite(
        folder / "ome.ome.tif", stack, photometric="minisblack", metadata={"axes": "CYX"}
    )
    tifffile.imwrite(folder / "ij.tif", stack, imagej=True, metadata={"axes": "CYX"})
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def damaged(rng: random.Random, data: bytes) -> bytes:
    """Bytes changed, cut out, doubled, or numbers made huge; most of it near the head, where the
    structure is."""
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        at = rng.randrange(min(len(data), rng.choice([64, 512, len(data)])) or 1)
        size = rng.choice([1, 2, 4, 8, 64])
        new = rng.choice(
            [
                rng.randbytes(size),
                b"\xff" * size,
                bytes(size),
                data[at : at + size] * 3,
                b"",
                (2 ** rng.randrange(8 * min(size, 8))).to_bytes(min(size, 8), "little"),
            ]
        )
        data = data[:at] + new + data[at + size :] or b"."
    return data


def _told(data: bytes) -> str:
    """Why a file is refused; "" where it is read."""
    try:
        image = images.load_bytes(data, "x").image()
    except ImageError as error:
        return str(error)
    assert np.isfinite(image).all()
    return ""


ROUNDS = 1500


def test_damaged_photos_do_no_harm(tmp_path):
    """One line, within 5 s and 1 GB, whatever a download did to a photo; nothing is written."""
    bases, rng = _bases(tmp_path), random.Random(0)
    before, refused, longest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0, 0.0
    files = set(tmp_path.iterdir())
    for i in range(ROUNDS):
        data, begun = damaged(rng, bases[i % len(bases)]), time.perf_counter()
        told = _told(data)
        if told:
            refused += 1
            assert told.startswith("x: expected") and "\n" not in told
        longest = max(longest, time.perf_counter() - begun)
    growth = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert 0.2 * ROUNDS < refused < 0.95 * ROUNDS
    assert longest < 5 and growth < 1e9
    assert set(tmp_path.iterdir()) == files
