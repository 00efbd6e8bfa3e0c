"""images.write, find, fit and resize_area: whole files or none, photos in order, and the sizes that
were asked for."""

import os
import resource

import numpy as np
import pytest
from image_files import GREY, RGB

from jaxsr import images
from jaxsr.images import ImageError


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
        ("x.bmp", RGB / 255.0, ImageError, "ends in .png"),
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
