"""The process that made the photo: moments, determinism, and equality with the real codecs."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageFilter

from jaxsr import degradations, images

KEY = jax.random.key(0)
PHOTO = np.clip(np.random.default_rng(0).normal(0.5, 0.3, (40, 48, 3)).cumsum(0) / np.arange(1, 41)[:, None, None], 0, 1).astype(np.float32)
RANDOM = {
    "gaussian noise": lambda key, y: degradations.gaussian_noise(key, y, sigma=0.1),
    "salt and pepper": lambda key, y: degradations.salt_and_pepper(key, y, amount=0.05),
}


@pytest.mark.parametrize("degrade", RANDOM.values(), ids=RANDOM)
def test_random_degradations_depend_on_the_key_alone(degrade):
    """The same key gives the same photo, in a batch too; another key another."""
    keys = jax.random.split(KEY, 3)
    batch = jax.jit(jax.vmap(degrade, in_axes=(0, None)))(keys, PHOTO)
    for key, result in zip(keys, batch, strict=True):
        np.testing.assert_allclose(result, degrade(key, PHOTO), atol=1e-6)
    assert jnp.abs(batch[0] - batch[1]).max() > 0.05


def test_gaussian_noise_moments():
    """Unbiased, of the asked deviation, and not clipped."""
    noise = np.asarray(degradations.gaussian_noise(KEY, np.zeros((256, 256, 3), np.float32), sigma=0.1))
    assert abs(noise.mean()) < 1e-3
    assert abs(noise.std() - 0.1) < 1e-3
    assert noise.min() < -0.2


@pytest.mark.parametrize("salt", [0.0, 0.5, 1.0])
def test_salt_and_pepper_shares(salt):
    """Each value is hit with the asked probability; salt=1 is the salt noise of RLS's robustness test."""
    noisy = np.asarray(degradations.salt_and_pepper(KEY, np.full((256, 256, 3), 0.5, np.float32), amount=0.05, salt=salt))
    assert abs((noisy == 1).mean() - 0.05 * salt) < 2e-3
    assert abs((noisy == 0).mean() - 0.05 * (1 - salt)) < 2e-3
    assert set(np.unique(noisy)) <= {0.0, 0.5, 1.0}


def test_quantise_is_what_a_file_keeps(tmp_path):
    """Rounding differently from images.write would leave a residual that no image explains."""
    values = np.linspace(-0.1, 1.1, 30 * 31 * 3, dtype=np.float32).reshape(30, 31, 3)
    images.write(tmp_path / "x.png", values)
    np.testing.assert_allclose(degradations.quantise(values), images.read(tmp_path / "x.png"), atol=1e-7)
    np.testing.assert_allclose(degradations.quantise(degradations.quantise(values)), degradations.quantise(values), atol=1e-7)


def test_jpeg_is_the_real_codec():
    """Equal to saving and opening with Pillow; worse at a lower quality; numpy in, numpy out, JAX in, JAX out."""
    file = io.BytesIO()
    Image.fromarray(images.to_uint8(PHOTO)).save(file, "JPEG", quality=60)
    result = degradations.jpeg(PHOTO, quality=60)
    np.testing.assert_array_equal(result, np.asarray(Image.open(file), np.float32) / 255)
    assert isinstance(result, np.ndarray)
    assert isinstance(degradations.jpeg(jnp.asarray(PHOTO), quality=60), jax.Array)
    errors = [np.mean((degradations.jpeg(PHOTO, quality=quality) - PHOTO) ** 2) for quality in (5, 30, 90)]
    assert errors[0] > errors[1] > errors[2] > 0


def test_gaussian_blur_is_pillows():
    """RLS's robustness test blurs with ImageFilter.GaussianBlur(1)."""
    expected = np.asarray(Image.fromarray(images.to_uint8(PHOTO)).filter(ImageFilter.GaussianBlur(1)), np.float32) / 255
    np.testing.assert_array_equal(degradations.gaussian_blur(PHOTO), expected)


BAD = {
    "sigma": (lambda: degradations.gaussian_noise(KEY, PHOTO, sigma=-0.1), "sigma >= 0"),
    "amount": (lambda: degradations.salt_and_pepper(KEY, PHOTO, amount=1.5), "amount and salt"),
    "salt": (lambda: degradations.salt_and_pepper(KEY, PHOTO, amount=0.5, salt=-1.0), "amount and salt"),
    "quality": (lambda: degradations.jpeg(PHOTO, quality=0), "from 1 to 95"),
    "NaN": (lambda: degradations.jpeg(PHOTO * np.float32(np.nan), quality=50), "finite"),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD)
def test_bad_settings_are_one_clear_line(call, message):
    """No silent default."""
    with pytest.raises(ValueError, match=message):
        call()
