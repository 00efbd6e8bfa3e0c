"""What a photo's file and pixels tell of its noise."""

import functools
import io
import math

import numpy as np
import pytest
from PIL import Image

from jaxsr import images
from jaxsr.degradations import ROBUSTNESS
from jaxsr.records.files import ASSETS

LEVEL = 1 / 255


def _structure(side: int, channels: int = 3) -> np.ndarray:
    """A smooth picture with an edge, in 8 bits as all of them."""
    y, x = np.mgrid[:side, :side] / side
    plane = 0.3 + 0.2 * np.sin(4 * x + 2 * y) + 0.2 * (x + y > 1)
    return np.stack([(0.7 + 0.1 * c) * plane for c in range(channels)], -1)


def _noisy(side: int, sigma: float, channels: int = 3, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(side, side, channels))
    return np.round(255 * np.clip(_structure(side, channels) + sigma * noise, 0, 1)) / 255


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 16, 64])
@pytest.mark.parametrize("level", [8, 16])
def test_noise_is_found_under_structure(side, level, channels):
    """A noisy photo is fitted with its noise, or a photo's edges pass for noise."""
    found = np.median(
        [images.patch_noise(_noisy(side, level * LEVEL, channels, seed)) for seed in range(9)]
    )
    assert 0.65 < found / (level * LEVEL) < 1.35


@pytest.mark.parametrize("side", [8, 16, 64, 512])
def test_a_clean_photo_has_the_noise_of_rounding(side):
    """A clean photo is left unexplained for a noise that it has not."""
    for image in (_noisy(side, 0.0), _noisy(side, LEVEL), np.full((side, side, 3), 128 / 255)):
        assert images.noise_of(image) == pytest.approx(LEVEL / math.sqrt(12))


def test_a_grey_photo_in_three_channels_has_the_noise_of_one():
    """Equal channels leave directions without any noise, which pass for the noise's."""
    grey = _noisy(32, 0.05, channels=1)
    assert images.patch_noise(np.repeat(grey, 3, 2)) == images.patch_noise(grey) > 0.03


def test_hidden_pixels_do_not_count():
    """A mask's pixels, all 0, make a noisy photo clean."""
    image = _noisy(48, 0.05)
    whole = images.patch_noise(image)
    image[8:40, 8:40] = 0.0
    assert images.patch_noise(image) > 0.6 * whole


def test_a_photo_too_small_to_tell():
    """A photo of a few pixels fails, or is thought noisy for want of patches."""
    for side in (1, 2, 3):
        assert images.patch_noise(_noisy(side, 0.1)) == 0.0


@functools.cache
def _photo(side: int) -> np.ndarray:
    """Of the pictures that come with the bundled prior, 64 px each: what is smooth has hardly any
    error."""
    picture = images.read(ASSETS / "pbc64" / "samples.png")[64:128, 64:128]
    return np.round(255 * images.resize_area(picture, side)).astype(np.uint8)


def _jpeg(quality: int, side: int = 64, subsampling: int = 0, mode: str = "RGB") -> io.BytesIO:
    file, image = io.BytesIO(), Image.fromarray(_photo(side)).convert(mode)
    image.save(file, "JPEG", quality=quality, subsampling=subsampling)
    return file


@pytest.mark.parametrize("quality", [50, 75, 95])
@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("side", [8, 16, 64])
def test_jpeg_error_is_about_the_true_one(side, subsampling, quality):
    """A JPEG's blocks are fitted as if they were the photo, or a good JPEG is not trusted."""
    file = _jpeg(quality, side, subsampling)
    read = np.asarray(Image.open(file), np.float64)
    true = np.sqrt(np.mean((read - _photo(side)) ** 2)) / 255
    assert 0.5 < images.compression_noise(file) / true < 2.0


def test_jpeg_error_falls_when_pixels_are_averaged():
    """A large JPEG that is brought to the prior's size is trusted as little as a small one."""
    whole, small = (images.compression_noise(_jpeg(50), side) for side in (None, 16))
    assert 0 < small < 0.8 * whole


@pytest.mark.parametrize("side", [8, 16, 64])
def test_grey_structure_is_no_noise(side):
    """A clean grey photo is thought so noisy that its result is not moved to explain it, or one
    whose pixels are between the 255 steps, as of 16 bits or alpha, is trusted without limit."""
    grey = np.repeat(_photo(side)[..., :1] / 255, 3, 2)
    assert images.noise_of(grey) == pytest.approx(1 / 255 / 12**0.5)
    assert images.noise_of(_structure(side) * 0.9) > 0.99 / 255 / 12**0.5


def test_jpeg_of_other_kinds():
    """A grey JPEG, one that is no square, or a pixel on a side, ends in a traceback."""
    assert 0 < images.compression_noise(_jpeg(50, mode="L")) < 0.2
    assert images.compression_noise(_jpeg(50, side=1)) >= 0
    file = io.BytesIO()
    Image.fromarray(_photo(64)[:24]).save(file, "JPEG", quality=50)
    assert 0 < images.compression_noise(file, 12) < images.compression_noise(file)


def test_only_jpegs_degradation_has_a_header():
    """evaluate.py reckons with an error that a user's file would not tell of."""
    assert [name for name, row in ROBUSTNESS.items() if row.compression] == ["jpeg"]


def test_a_file_without_tables(tmp_path):
    """A PNG is taken for a JPEG, or a damaged JPEG ends in a traceback."""
    images.write(tmp_path / "a.png", np.zeros((8, 8, 3), np.float32))
    assert images.compression_noise(tmp_path / "a.png") == 0.0
    (tmp_path / "b.png").write_bytes(b"\xff\xd8 no image")
    for name in ("b.png", "none.png"):
        with pytest.raises(images.ImageError, match=f"{name}: expected an image") as error:
            images.compression_noise(tmp_path / name)
        assert "\n" not in str(error.value)
