"""Laws of the one-axis downsampling matrices, against slow references written from the definitions,
Pillow and jax.image.resize."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxsr import resample

KERNELS = ["bicubic", "bicubic_matlab", "bicubic_pulse", "box", "bilinear"]
SIZES = [(8, 2), (12, 3), (32, 4), (35, 5), (64, 16), (128, 64)]


def _keys_cubic(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0.0


def _imresize(signal: np.ndarray, factor: int) -> np.ndarray:
    """MATLAB's imresize of one axis as its documentation has it: 1-based positions, antialiased
    kernel, mirrored borders."""
    size, scale = len(signal), 1 / factor
    out = []
    for i in range(1, size // factor + 1):
        u = i / scale + 0.5 * (1 - 1 / scale)
        left = int(np.floor(u - 4 / scale / 2))
        taps = [left + p for p in range(int(np.ceil(4 / scale)) + 2)]
        weights = np.array([scale * _keys_cubic(scale * (u - tap)) for tap in taps])
        mirror = list(range(1, size + 1)) + list(range(size, 0, -1))
        values = [signal[mirror[(tap - 1) % (2 * size)] - 1] for tap in taps]
        out.append(np.dot(weights / weights.sum(), values))
    return np.array(out)


def _pulse(signal: np.ndarray, factor: int) -> np.ndarray:
    """PULSE's downsampler of one axis: reflect padding, a strided correlation with 4 factor
    taps."""
    weights = np.array(
        [_keys_cubic((i - np.floor(4 * factor / 2) + 0.5) / factor) for i in range(4 * factor)]
    )
    before = (4 * factor - factor) // 2
    padded = np.pad(signal, (before, 3 * factor - before), mode="reflect")
    weights /= weights.sum()
    return np.array(
        [
            np.dot(weights, padded[i * factor : i * factor + 4 * factor])
            for i in range(len(signal) // factor)
        ]
    )


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("size", "factor"), SIZES)
def test_rows_sum_to_one(kernel, size, factor):
    """Otherwise a flat image changes its brightness."""
    matrix = resample.downsample_matrix(size, factor, kernel)
    assert matrix.shape == (size // factor, size)
    np.testing.assert_allclose(matrix.sum(1), 1.0, atol=1e-12)


@pytest.mark.parametrize(("size", "factor"), SIZES)
@pytest.mark.parametrize(
    ("kernel", "reference"), [("bicubic_matlab", _imresize), ("bicubic_pulse", _pulse)]
)
def test_equals_slow_reference(size, factor, kernel, reference):
    """Otherwise low-resolution images made by MATLAB or by PULSE are explained by the wrong
    operator."""
    signal = np.random.default_rng(0).uniform(size=size)
    np.testing.assert_allclose(
        resample.downsample_matrix(size, factor, kernel) @ signal,
        reference(signal, factor),
        atol=1e-12,
    )


@pytest.mark.parametrize(("size", "factor"), [(32, 4), (64, 8), (128, 8)])
def test_pulse_and_matlab_differ_only_at_the_border(size, factor):
    """The two are one kernel; only the two outermost pixels a side may differ."""
    difference = np.abs(
        resample.downsample_matrix(size, factor, "bicubic_pulse")
        - resample.downsample_matrix(size, factor, "bicubic_matlab")
    )
    assert difference[2:-2].max() < 1e-12 < difference.max()


@pytest.mark.parametrize(("size", "factor"), SIZES)
@pytest.mark.parametrize(
    ("kernel", "method"),
    [
        ("bicubic", Image.Resampling.BICUBIC),
        ("bilinear", Image.Resampling.BILINEAR),
        ("box", Image.Resampling.BOX),
    ],
)
def test_equals_pillow(size, factor, kernel, method):
    """Float images that Pillow shrank are the measurements people have; borders included."""
    image = np.random.default_rng(1).uniform(size=(size, 2 * size)).astype(np.float32)
    expected = np.asarray(
        Image.fromarray(image).resize((2 * size // factor, size // factor), method)
    )
    rows, columns = (
        resample.downsample_matrix(size, factor, kernel),
        resample.downsample_matrix(2 * size, factor, kernel),
    )
    np.testing.assert_allclose(rows @ image @ columns.T, expected, atol=2e-6)


@pytest.mark.parametrize(("size", "factor"), SIZES)
@pytest.mark.parametrize(("kernel", "method"), [("bicubic", "bicubic"), ("bilinear", "bilinear")])
def test_equals_jax_resize(size, factor, kernel, method):
    """The other implementation that users compare with."""
    image = np.random.default_rng(2).uniform(size=(size, 1)).astype(np.float32)
    expected = jax.image.resize(jnp.asarray(image), (size // factor, 1), method, antialias=True)
    np.testing.assert_allclose(
        resample.downsample_matrix(size, factor, kernel) @ image, expected, atol=2e-6
    )


def test_box_is_the_mean_of_blocks():
    """The area average, exactly, also for an odd factor."""
    for size, factor in SIZES:
        np.testing.assert_allclose(
            resample.downsample_matrix(size, factor, "box"),
            np.kron(np.eye(size // factor), np.full((1, factor), 1 / factor)),
            atol=1e-15,
        )


@pytest.mark.parametrize("kernel", ["bicubic", "bicubic_matlab", "box", "bilinear"])
def test_factor_one_changes_nothing(kernel):
    """A photo that already has the prior's size."""
    np.testing.assert_allclose(resample.downsample_matrix(9, 1, kernel), np.eye(9), atol=1e-12)


@pytest.mark.parametrize(
    ("size", "factor", "kernel", "message"),
    [
        (10, 3, "bicubic", "factor 3 and side 10"),
        (10, 0, "bicubic", "factor 0"),
        (10, -2, "box", "factor -2"),
        (8, 8, "bicubic_pulse", "size 8 and factor 8"),
        (8, 1, "bicubic_pulse", "factor 1"),
    ],
)
def test_bad_input_is_one_clear_line(size, factor, kernel, message):
    """A wrong factor must not give a silently cropped or shifted measurement."""
    with pytest.raises(ValueError, match=message) as error:
        resample.downsample_matrix(size, factor, kernel)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("by", "shape"), [(4, (20, 24)), ((13, 31), (13, 31))])
def test_upsample_equals_pillow(by, shape):
    """The bicubic baseline of every table and grid."""
    image = np.random.default_rng(3).uniform(size=(5, 6, 3)).astype(np.float32)
    out = np.asarray(resample.upsample(image, by))
    assert out.shape == (*shape, 3)
    for channel in range(3):
        plane = Image.fromarray(np.ascontiguousarray(image[..., channel])).resize(
            shape[::-1], Image.Resampling.BICUBIC
        )
        np.testing.assert_allclose(out[..., channel], np.asarray(plane), atol=2e-6)
