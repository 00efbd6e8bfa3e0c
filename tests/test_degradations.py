"""The process that made the photo: moments, determinism, and equality with the real codecs."""

import io
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageFilter

from jaxsr import degradations, images

KEY = jax.random.key(0)
PHOTO = np.clip(
    np.random.default_rng(0).normal(0.5, 0.3, (40, 48, 3)).cumsum(0)
    / np.arange(1, 41)[:, None, None],
    0,
    1,
).astype(np.float32)
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
    noise = np.asarray(
        degradations.gaussian_noise(KEY, np.zeros((256, 256, 3), np.float32), sigma=0.1)
    )
    assert abs(noise.mean()) < 1e-3
    assert abs(noise.std() - 0.1) < 1e-3
    assert noise.min() < -0.2


@pytest.mark.parametrize("salt", [0.0, 0.5, 1.0])
def test_salt_and_pepper_shares(salt):
    """Each value is hit with the asked probability; salt=1 is the salt noise of RLS's robustness
    test."""
    noisy = np.asarray(
        degradations.salt_and_pepper(
            KEY, np.full((256, 256, 3), 0.5, np.float32), amount=0.05, salt=salt
        )
    )
    assert abs((noisy == 1).mean() - 0.05 * salt) < 2e-3
    assert abs((noisy == 0).mean() - 0.05 * (1 - salt)) < 2e-3
    assert set(np.unique(noisy)) <= {0.0, 0.5, 1.0}


def test_quantise_is_what_a_file_keeps(tmp_path):
    """Rounding differently from images.write would leave a residual that no image explains."""
    values = np.linspace(-0.1, 1.1, 30 * 31 * 3, dtype=np.float32).reshape(30, 31, 3)
    images.write(tmp_path / "x.png", values)
    np.testing.assert_allclose(
        degradations.quantise(values), images.read(tmp_path / "x.png"), atol=1e-7
    )
    np.testing.assert_allclose(
        degradations.quantise(degradations.quantise(values)),
        degradations.quantise(values),
        atol=1e-7,
    )


def test_jpeg_is_the_real_codec():
    """Equal to saving and opening with Pillow; worse at a lower quality; numpy in, numpy out, JAX
    in, JAX out."""
    file = io.BytesIO()
    Image.fromarray(images.to_uint8(PHOTO)).save(file, "JPEG", quality=60)
    result = degradations.jpeg(PHOTO, quality=60)
    np.testing.assert_array_equal(result, np.asarray(Image.open(file), np.float32) / 255)
    assert isinstance(result, np.ndarray)
    assert isinstance(degradations.jpeg(jnp.asarray(PHOTO), quality=60), jax.Array)
    errors = [
        np.mean((degradations.jpeg(PHOTO, quality=quality) - PHOTO) ** 2) for quality in (5, 30, 90)
    ]
    assert errors[0] > errors[1] > errors[2] > 0


def test_gaussian_blur_is_pillows():
    """RLS's robustness test blurs with ImageFilter.GaussianBlur(1)."""
    expected = (
        np.asarray(
            Image.fromarray(images.to_uint8(PHOTO)).filter(ImageFilter.GaussianBlur(1)), np.float32
        )
        / 255
    )
    np.testing.assert_array_equal(degradations.gaussian_blur(PHOTO), expected)


LINES = {
    "published": (3, 215.0, -0.5),
    "level": (5, 0.0, 1.0),
    "even": (7, 25.0, 0.0),
    "ties": (9, 30.0, 1.0),
    "RLS": (13, 45.0, 1.0),
}


def slow_motion_blur(x, size, angle, direction):
    """kornia's rule word for word, a pixel and a weight at a time."""
    radius, turn = size // 2, complex(math.cos(math.radians(angle)), math.sin(math.radians(angle)))
    weights = {}
    for down, right in itertools.product(range(-radius, radius + 1), repeat=2):
        # Rows grow downwards, so that this is the inverse of an anticlockwise turn.
        before = complex(right, down) * turn
        column, row = round(round(before.real, 6)), round(round(before.imag, 6))
        if row == 0 and abs(column) <= radius:
            weights[down, right] = (1 + direction) / 2 - direction * (column + radius) / (size - 1)
    out, (height, width) = np.zeros(x.shape), x.shape[:2]
    for (down, right), weight in weights.items():
        for i, j in itertools.product(range(height), range(width)):
            if 0 <= i + down < height and 0 <= j + right < width:
                out[i, j] += weight / sum(weights.values()) * x[i + down, j + right]
    return out


@pytest.mark.parametrize(("size", "angle", "direction"), LINES.values(), ids=LINES)
def test_motion_blur_is_kornias(size, angle, direction):
    """Zeros beyond the border, ties to the even pixel. Both were compared with kornia 0.9.0 itself,
    and at RLS's setting with 0.6.12."""
    photo = PHOTO[:17, :20]
    np.testing.assert_allclose(
        degradations.motion_blur(photo, size=size, angle=angle, direction=direction),
        slow_motion_blur(photo, size, angle, direction),
        atol=1e-6,
    )


def test_motion_blur_of_a_point_is_kornias_published_kernel():
    """Two kernels from kornia's documentation. A point shows them turned by 180 degrees, since
    kornia correlates."""
    point = np.zeros((5, 5, 1), np.float32)
    point[2, 2] = 1
    line = degradations.motion_blur(point, size=5, angle=0.0, direction=1.0)[::-1, ::-1, 0]
    np.testing.assert_allclose(line[2], [0.4, 0.3, 0.2, 0.1, 0.0], atol=1e-6)
    slope = degradations.motion_blur(point, size=3, angle=215.0, direction=-0.5)[::-1, ::-1, 0]
    np.testing.assert_allclose(
        slope[1:4, 1:4], [[0, 0, 1 / 6], [0, 1 / 3, 0], [1 / 2, 0, 0]], atol=1e-6
    )


def test_motion_blur_keeps_light():
    """A constant stays one away from the border, and nothing is lost of what lies away from it; one
    image of a batch as alone."""
    blurred = degradations.motion_blur(np.full((40, 48, 3), 0.7, np.float32), size=9)
    np.testing.assert_allclose(blurred[4:-4, 4:-4], 0.7, atol=1e-6)
    inside = np.pad(PHOTO[:20, :20], [(6, 6), (6, 6), (0, 0)])
    np.testing.assert_allclose(
        degradations.motion_blur(inside, size=13).sum((0, 1)), inside.sum((0, 1)), rtol=1e-5
    )
    batch = jax.vmap(lambda x: degradations.motion_blur(x, size=5))(
        np.stack([inside, inside[::-1]])
    )
    np.testing.assert_allclose(batch[0], degradations.motion_blur(inside, size=5), atol=1e-6)


@pytest.mark.parametrize(("side", "taps"), [(32, 2), (256, 8), (1024, 34)])
def test_motion_blur_of_the_robustness_test_grows_with_the_photo(side, taps):
    """49 px on 1024 px, 13 on 256, at least 3: at 45 degrees and without the tap of weight 0 so
    many pixels."""
    point = np.zeros((side, side, 1), np.float32)
    point[side // 2, side // 2] = 1
    assert np.count_nonzero(degradations.ROBUSTNESS["motion_blur"].on_image(KEY, point)) == taps


@pytest.mark.parametrize("name", degradations.ROBUSTNESS)
@pytest.mark.parametrize("kind", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_robustness_measurements_are_what_a_file_holds(name, kind):
    """Shape and type stay, every value is one of 256, and the key alone decides."""
    on_image, on_measurement, _ = degradations.ROBUSTNESS[name]
    x = on_image(KEY, kind(PHOTO))
    y = np.asarray(on_measurement(KEY, kind(PHOTO)))
    assert (x.shape, x.dtype, y.shape, y.dtype) == (
        PHOTO.shape,
        np.float32,
        PHOTO.shape,
        np.float32,
    )
    np.testing.assert_allclose(y, images.to_uint8(y) / 255, atol=1e-7)
    np.testing.assert_array_equal(y, on_measurement(KEY, kind(PHOTO)))
    random = not np.array_equal(y, on_measurement(jax.random.key(1), kind(PHOTO)))
    assert random == (name in ("gaussian_noise", "salt"))


def test_robustness_changes_one_thing_each():
    """Only motion blur comes before the operator; the others are the functions of this module at
    RLS's settings, then rounding."""
    changed = {
        name
        for name, d in degradations.ROBUSTNESS.items()
        if not np.array_equal(d.on_image(KEY, PHOTO), PHOTO)
    }
    assert changed == {"motion_blur"}
    results = {
        name: np.asarray(d.on_measurement(KEY, PHOTO))
        for name, d in degradations.ROBUSTNESS.items()
    }
    for name in ("clean", "motion_blur"):
        np.testing.assert_array_equal(results[name], degradations.quantise(PHOTO))
    np.testing.assert_allclose(
        results["gaussian_blur"], degradations.gaussian_blur(PHOTO), atol=1e-7
    )
    np.testing.assert_allclose(results["jpeg"], degradations.jpeg(PHOTO, quality=75), atol=1e-7)
    noise = degradations.ROBUSTNESS["gaussian_noise"].on_measurement(
        KEY, np.full((128, 128, 3), 0.5, np.float32)
    )
    assert abs(float(jnp.std(noise)) - 0.1) < 2e-3


def test_robustness_salt_has_no_pepper():
    """Hits are binomial with p = 0.05, every channel for itself; the others stay."""
    grey = np.full((128, 128, 3), np.float32(0.4))
    salted = np.asarray(degradations.ROBUSTNESS["salt"].on_measurement(KEY, grey))
    np.testing.assert_allclose(np.unique(salted), [0.4, 1], atol=1e-7)
    hits = (salted == 1).sum((0, 1))
    assert np.all(np.abs(hits - 0.05 * 128**2) < 5 * np.sqrt(0.05 * 0.95 * 128**2))
    # One draw for all three channels would give the same places.
    assert np.sum((salted == 1).any(-1)) > 2 * hits.max()


@pytest.mark.parametrize("name", ["clean", "gaussian_blur", "jpeg"])
def test_robustness_leaves_a_constant(name):
    grey = np.full((24, 24, 3), np.float32(0.4))
    np.testing.assert_allclose(
        degradations.ROBUSTNESS[name].on_measurement(KEY, grey), grey, atol=1e-7
    )


def test_robustness_takes_the_overshoot_of_an_operator():
    """A bicubic measurement leaves [0, 1] at an edge; a file does not."""
    over = np.where(PHOTO > 0.5, np.float32(1.2), np.float32(-0.2))
    for name, degradation in degradations.ROBUSTNESS.items():
        y = np.asarray(degradation.on_measurement(KEY, over))
        assert y.min() >= 0 and y.max() <= 1, name


NO_IMAGES = {
    "0..255": PHOTO * 255,
    "-1..1": PHOTO * 2 - 1.2,
    "bytes": images.to_uint8(PHOTO),
    "NaN": np.where(PHOTO > 0.9, np.float32(np.nan), PHOTO),
    "infinity": np.where(PHOTO > 0.9, np.float32(np.inf), PHOTO),
}


@pytest.mark.parametrize("values", NO_IMAGES.values(), ids=NO_IMAGES)
@pytest.mark.parametrize("name", degradations.ROBUSTNESS)
def test_robustness_refuses_what_is_no_image(name, values):
    """Clipped to [0, 1] any of them would give numbers that look like results."""
    for degrade in degradations.ROBUSTNESS[name][:2]:
        with pytest.raises(ValueError, match=r"^expected finite floats in \[0, 1\], got [^\n]*$"):
            degrade(KEY, values)


BAD = {
    "even size": (lambda: degradations.motion_blur(PHOTO, size=4), "odd size >= 3"),
    "size": (lambda: degradations.motion_blur(PHOTO, size=1), "odd size >= 3"),
    "direction": (
        lambda: degradations.motion_blur(PHOTO, direction=2.0),
        r"direction in \[-1, 1\]",
    ),
    "sigma": (lambda: degradations.gaussian_noise(KEY, PHOTO, sigma=-0.1), "sigma >= 0"),
    "amount": (lambda: degradations.salt_and_pepper(KEY, PHOTO, amount=1.5), "amount and salt"),
    "salt": (
        lambda: degradations.salt_and_pepper(KEY, PHOTO, amount=0.5, salt=-1.0),
        "amount and salt",
    ),
    "quality": (lambda: degradations.jpeg(PHOTO, quality=0), "from 1 to 95"),
    "NaN": (lambda: degradations.jpeg(PHOTO * np.float32(np.nan), quality=50), "finite"),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD)
def test_bad_settings_are_one_clear_line(call, message):
    """No silent default."""
    with pytest.raises(ValueError, match=message):
        call()
