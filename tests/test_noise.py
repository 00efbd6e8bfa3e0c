"""What a photo's file and pixels tell of its noise."""

import io
import math

import numpy as np
import pytest
from image_files import DEEP
from PIL import Image

from jaxsr import images
from jaxsr.degradations import ROBUSTNESS

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
        [images.noise_of(_noisy(side, level * LEVEL, channels, seed)) for seed in range(9)]
    )
    assert 0.65 < found / (level * LEVEL) < 1.35


@pytest.mark.parametrize("side", [8, 16, 64, 512])
def test_a_clean_photo_has_the_noise_of_rounding(side):
    """A clean photo is left unexplained for a noise that it has not."""
    for image in (_noisy(side, 0.0), _noisy(side, LEVEL), np.full((side, side, 3), 128 / 255)):
        assert images.noise_of(image) == pytest.approx(LEVEL / math.sqrt(12))


def test_finer_pixels_have_a_finer_rounding():
    """A 16-bit file is trusted no more than one of 8 bits."""
    image = DEEP[..., :3].astype(np.float64) / 65535
    smooth = image * 0 + _structure(24)[:, :20]
    assert images.noise_of(np.round(65535 * smooth) / 65535) == pytest.approx(
        1 / 65535 / math.sqrt(12)
    )


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


def _jpeg(quality: int, side: int = 64) -> io.BytesIO:
    file = io.BytesIO()
    pixels = np.round(255 * _structure(side)).astype(np.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return file


def test_jpeg_error_is_that_of_the_tables():
    """A JPEG's blocks are fitted as if they were the photo. The standard's table of brightness
    (annex K), scaled by IJG's rule: 100 at quality 50, 50 at 75."""
    table = (
        "16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 "
        "80 62 18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 "
        "92 95 98 112 100 103 99"
    )
    printed = np.fromstring(table, float, sep=" ")
    for quality, scale in ((50, 100), (75, 50)):
        steps = np.floor((printed * scale + 50) / 100)
        expected = np.sqrt(np.mean(steps**2) / 12) / 255
        assert images.compression_noise(_jpeg(quality)) == pytest.approx(expected)
    known = {name: degradation.compression for name, degradation in ROBUSTNESS.items()}
    assert known == {**dict.fromkeys(ROBUSTNESS, 0.0), "jpeg": pytest.approx(expected)}


def test_jpeg_error_is_averaged_away_with_the_pixels():
    """A large JPEG that is brought to the prior's size is trusted as little as a small one."""
    assert images.compression_noise(_jpeg(50), 16) == pytest.approx(
        images.compression_noise(_jpeg(50)) / 4
    )


def test_a_file_without_tables(tmp_path):
    """A PNG is taken for a JPEG, or what is no image ends in a traceback."""
    images.write(tmp_path / "a.png", np.zeros((8, 8, 3), np.float32))
    assert images.compression_noise(tmp_path / "a.png") == 0.0
    (tmp_path / "b.png").write_bytes(b"no image")
    for name in ("b.png", "none.png"):
        with pytest.raises(images.ImageError, match=f"{name}: expected an image") as error:
            images.compression_noise(tmp_path / name)
        assert "\n" not in str(error.value)
