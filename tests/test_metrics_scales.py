"""MS-SSIM and NIQE: slow references in float64, written from the papers, and the laws of both."""

import jax
import numpy as np
import pytest

from jaxsr import metrics
from jaxsr.metrics.niqe import _features  # the only way to say which of 36 numbers is wrong

niqe, ms_ssim = jax.jit(metrics.niqe), jax.jit(metrics.ms_ssim)
SIDES = (200, 209)  # four blocks and a rest


def _photo(seed: int, height: int, width: int) -> np.ndarray:
    """8-bit noise with the spectrum of photos, about 1 / frequency in amplitude, [h, w, 3]."""
    random = np.random.default_rng(seed)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]) + 0.5 / height
    fields = [
        np.fft.ifft2(np.fft.fft2(random.normal(size=(height, width))) / radius).real
        for _ in range(3)
    ]
    image = 0.5 + 0.17 * np.stack([fields[0] + 0.3 * field for field in fields], -1) / np.std(
        fields[0]
    )
    return (np.round(255 * np.clip(image, 0, 1)) / 255).astype(np.float32)


def _noisy(ref: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, sigma, ref.shape)
    return (np.round(255 * np.clip(ref + noise, 0, 1)) / 255).astype(np.float32)


def _reference_ms_ssim(x: np.ndarray, y: np.ndarray) -> float:
    """Wang et al. 2003, eq. 7, with window by window means and, for odd sides, one line of zeros in
    front before pooling."""
    from numpy.lib.stride_tricks import sliding_window_view

    profile = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window, scores = np.outer(profile, profile) / profile.sum() ** 2, []
    for channel in range(3):
        a, b, score = x[..., channel].astype(np.float64), y[..., channel].astype(np.float64), 1.0
        for scale, beta in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
            u, v = sliding_window_view(a, (11, 11)), sliding_window_view(b, (11, 11))

            def mean(z, window=window):
                return np.einsum("ijkl,kl->ij", z, window)

            p, q = mean(u), mean(v)
            contrast = (2 * (mean(u * v) - p * q) + 9e-4) / (
                mean(u * u) - p * p + mean(v * v) - q * q + 9e-4
            )
            term = contrast if scale < 4 else contrast * (2 * p * q + 1e-4) / (p * p + q * q + 1e-4)
            score *= max(term.mean(), 0.0) ** beta
            a, b = (np.pad(z, [(side % 2, 0) for side in z.shape]) for z in (a, b))
            a, b = ((z[::2, ::2] + z[1::2, ::2] + z[::2, 1::2] + z[1::2, 1::2]) / 4 for z in (a, b))
        scores.append(score)
    return float(np.mean(scores))


@pytest.mark.parametrize("sigma", [0.02, 0.3])
def test_ms_ssim_equals_the_definition(sigma):
    """Numbers must be comparable with pytorch-msssim's, for sides that are odd at some scale
    too."""
    ref = _photo(0, 165, 178)
    x = _noisy(ref, sigma)
    np.testing.assert_allclose(ms_ssim(x, ref), _reference_ms_ssim(x, ref), atol=1e-5)


def test_ms_ssim_laws():
    """1 for equal images, symmetric, 0 for a negative at the finest scale, lower with more noise; a
    batch gives what a loop gives."""
    ref = _photo(0, 165, 178)
    noisy = [_noisy(ref, sigma) for sigma in (0.02, 0.1, 0.3)]
    scores = [float(ms_ssim(x, ref)) for x in noisy]
    np.testing.assert_allclose(ms_ssim(ref, ref), 1.0, atol=1e-6)
    np.testing.assert_allclose(ms_ssim(ref, noisy[1]), scores[1], rtol=1e-6)
    np.testing.assert_allclose(
        ms_ssim(2 * ref - 0.5, ref), ms_ssim(np.clip(2 * ref - 0.5, 0, 1), ref), rtol=1e-6
    )
    assert ms_ssim(1 - ref, ref) == 0 and scores[0] > scores[1] > scores[2]
    batch = jax.jit(jax.vmap(metrics.ms_ssim, in_axes=(0, None)))(np.stack(noisy), ref)
    np.testing.assert_allclose(batch, scores, rtol=1e-5)


@pytest.mark.parametrize("shapes", [((160, 200, 3), (160, 200, 3)), ((200, 200, 3), (200, 201, 3))])
def test_ms_ssim_refuses(shapes):
    """Five scales of an 11 x 11 window need 161 pixels."""
    with pytest.raises(ValueError, match=r"at least 161 pixels a side|one shape"):
        metrics.ms_ssim(*(np.zeros(shape, np.float32) for shape in shapes))


def _reference_fit(values: np.ndarray) -> tuple[float, float, float, float]:
    """Shape, mean, left and right scale of an asymmetric generalised Gaussian (NIQE, eqs. 4 to
    8)."""
    from scipy.special import gamma

    shapes = np.arange(0.2, 10.0005, 0.001)
    left, right = (
        np.sqrt(np.mean(values[values < 0] ** 2)),
        np.sqrt(np.mean(values[values > 0] ** 2)),
    )
    g = left / right
    wanted = (
        np.mean(np.abs(values)) ** 2 / np.mean(values**2) * (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2
    )
    a = shapes[
        np.argmin(np.abs(gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes)) - wanted))
    ]
    left, right = (
        left * np.sqrt(gamma(1 / a) / gamma(3 / a)),
        right * np.sqrt(gamma(1 / a) / gamma(3 / a)),
    )
    return a, (right - left) * gamma(2 / a) / gamma(1 / a), left, right


def _reference_halved(x: np.ndarray) -> np.ndarray:
    """MATLAB's imresize(x, 0.5) of the first axis: Keys' cubic, stretched by two, border mirrored
    with its pixel repeated."""
    t = np.abs(np.arange(-3.5, 4.0)) / 2
    taps = np.where(t < 1, 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2)
    padded = np.pad(x, ((3, 3), (0, 0)), mode="symmetric")
    return sum(tap * padded[i : i + len(x) : 2] for i, tap in enumerate(taps / taps.sum()))


def _reference_features(image: np.ndarray) -> np.ndarray:
    """The features [blocks, 36] of an image whose sides are multiples of 96."""
    from scipy.ndimage import correlate

    profile = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
    window, scales = np.outer(profile, profile) / profile.sum() ** 2, []
    y = np.round(16 + image.astype(np.float64) @ [65.481, 128.553, 24.966])
    for size in (96, 48):
        mean = correlate(y, window, mode="nearest")
        field = (y - mean) / (
            np.sqrt(np.abs(correlate(y * y, window, mode="nearest") - mean**2)) + 1
        )
        blocks = [
            field[i : i + size, j : j + size]
            for i in range(0, len(y), size)
            for j in range(0, y.shape[1], size)
        ]
        rows = []
        for block in blocks:
            a, _, left, right = _reference_fit(block.ravel())
            neighbours = [
                np.roll(block, shift, (0, 1)) for shift in ((0, 1), (1, 0), (1, 1), (1, -1))
            ]
            rows.append(
                [
                    a,
                    (left + right) / 2,
                    *(
                        value
                        for other in neighbours
                        for value in _reference_fit((block * other).ravel())
                    ),
                ]
            )
        scales.append(rows)
        y = _reference_halved(_reference_halved(y).T).T
    return np.concatenate(scales, 1)


@pytest.fixture(scope="module")
def model() -> metrics.NIQEModel:
    return metrics.fit_niqe_model([_photo(seed, 96, 96) for seed in range(60)])


def test_niqe_features_equal_the_definition(model):
    """Each of them; a shape may be one step of its grid off, where rounding decides."""
    pytest.importorskip("scipy")
    describe = jax.jit(_features)
    for image in (_noisy(_photo(90, 96, 96), sigma) for sigma in (0.0, 0.05, 0.2)):
        expected, got = _reference_features(image), np.asarray(describe(image, model.window)[0])
        np.testing.assert_allclose(got, expected, atol=2.5e-3)
        assert np.mean(np.abs(got - expected) < 1e-4) > 0.8


def test_niqe_equals_the_definition(model):
    """Numbers must be comparable with other people's: the distance with numpy's pseudo-inverse."""
    pytest.importorskip("scipy")
    image = _noisy(_photo(91, *SIDES), 0.05)
    features = _reference_features(image[:192, :192])
    inverse = np.linalg.pinv((model.covariance + np.cov(features, rowvar=False)) / 2)
    difference = model.mean - features.mean(0)
    np.testing.assert_allclose(
        niqe(image, model), np.sqrt(difference @ inverse @ difference), rtol=3e-3
    )


@pytest.mark.slow
def test_fit_niqe_model_equals_the_definition(model):
    """The moments of the features of photos of one block each."""
    pytest.importorskip("scipy")
    features = np.concatenate([_reference_features(_photo(seed, 96, 96)) for seed in range(60)])
    np.testing.assert_allclose(model.mean, features.mean(0), atol=1e-3)
    np.testing.assert_allclose(model.covariance, np.cov(features, rowvar=False), atol=1e-3)


def test_fit_niqe_model_takes_sharp_blocks_only(model):
    """Out-of-focus backgrounds are no statistics of natural texture."""
    photos = [
        np.concatenate([_photo(seed, 96, 96), 0.5 + 0.1 * (_photo(seed + 100, 96, 96) - 0.5)], 1)
        for seed in range(60)
    ]
    np.testing.assert_allclose(metrics.fit_niqe_model(photos).mean, model.mean, atol=0.05)


def test_niqe_laws(model):
    """More noise scores worse; what does not fill a block, and values out of range, do not count; a
    batch gives what a loop gives."""
    photo = _photo(92, *SIDES)
    noisy = np.stack([photo, _noisy(photo, 0.05), _noisy(photo, 0.2)])
    scores = [float(niqe(x, model)) for x in noisy]
    assert scores[0] < scores[1] < scores[2]
    over = np.where(photo >= 1, 1.5, photo)
    over[192:], over[:, 192:] = 0.0, 1.0
    np.testing.assert_allclose(niqe(over, model), scores[0], rtol=1e-4)
    # The inverse of the covariances multiplies what rounding differs by, more on some CPUs than on
    # others.
    np.testing.assert_allclose(
        jax.jit(jax.vmap(metrics.niqe, (0, None)))(noisy, model), scores, rtol=5e-4
    )


def test_niqe_of_images_without_texture(model):
    """A flat block is left out of the covariance; with fewer than two others there is none."""
    photo = _photo(93, *SIDES)
    photo[:96, :96] = 0.5
    assert np.isfinite(niqe(photo, model))
    assert np.isnan(niqe(np.full_like(photo, 0.25), model))


@pytest.mark.parametrize("shape", [(96, 191, 3), (192, 192), (192, 192, 1)])
def test_niqe_refuses(shape, model):
    """One block has no covariance, and too few photos no model."""
    with pytest.raises(ValueError, match=r"expected an image \[h, w, 3\] with at least 2 blocks"):
        metrics.niqe(np.zeros(shape, np.float32), model)


def test_fit_niqe_model_refuses():
    """36 features need more than 36 blocks."""
    with pytest.raises(ValueError, match="more than 36 sharp blocks together, got 2"):
        metrics.fit_niqe_model([_photo(0, 96, 96)] * 2)
    with pytest.raises(ValueError, match="at least 1 blocks"):
        metrics.fit_niqe_model([_photo(0, 90, 96)])


def _arrays() -> dict[str, np.ndarray]:
    return {
        "mu_pris_param": np.arange(36.0)[None],
        "cov_pris_param": np.eye(36),
        "gaussian_window": np.full((7, 7), 1 / 49),
    }


def test_read_niqe_model(tmp_path):
    """BasicSR's file, as it is."""
    np.savez(tmp_path / "niqe.npz", **_arrays())
    model = metrics.read_niqe_model(tmp_path / "niqe.npz")
    assert [array.shape for array in model] == [(36,), (36, 36), (7, 7)] and model.mean[35] == 35


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mu_pris_param": np.zeros(35)}, r"'mu_pris_param': \(35,\)"),
        ({"mu": np.zeros(36)}, "'mu'"),
        ({"gaussian_window": np.full((7, 7), np.nan)}, "finite"),
        ({"cov_pris_param": np.array([None])}, "allow_pickle"),
    ],
)
def test_read_niqe_model_refuses_other_arrays(tmp_path, change, message):
    """A wrong file is named with what is wrong in it; nothing is unpickled."""
    np.savez(tmp_path / "niqe.npz", **{**_arrays(), **change})
    with pytest.raises(ValueError, match=message):
        metrics.read_niqe_model(tmp_path / "niqe.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"text"])
def test_read_niqe_model_refuses_other_files(tmp_path, content):
    """One line with the path, whatever the file is."""
    (tmp_path / "niqe.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"niqe\.npz: expected an \.npz file"):
        metrics.read_niqe_model(tmp_path / "niqe.npz")
    with pytest.raises(ValueError, match=r"expected an \.npz file"):
        metrics.read_niqe_model(tmp_path / "missing.npz")
