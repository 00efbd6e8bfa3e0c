"""Metrics: identity, symmetry, order, and the values of scikit-image and of slow references."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr import metrics, resample

REF = np.random.default_rng(0).uniform(size=(32, 40, 3)).astype(np.float32)
SMOOTH = np.clip(np.asarray(resample.upsample(REF[:8, :10], 4)), 0, 1)


def _noisy(ref: np.ndarray, sigma: float) -> np.ndarray:
    return np.clip(ref + np.random.default_rng(1).normal(0, sigma, ref.shape), 0, 1).astype(np.float32)


PAIRS = [(_noisy(ref, sigma), ref) for ref in (REF, SMOOTH, np.ones_like(REF)) for sigma in (0.003, 0.05, 0.3)]


@pytest.mark.parametrize(("x", "ref"), PAIRS)
def test_psnr_and_ssim_equal_scikit_image(x, ref):
    """Numbers in a table must be comparable with other people's."""
    skimage = pytest.importorskip("skimage.metrics")
    psnr = skimage.peak_signal_noise_ratio(ref, x, data_range=1)
    ssim = skimage.structural_similarity(
        x, ref, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1, channel_axis=-1
    )
    np.testing.assert_allclose(metrics.psnr(x, ref), psnr, atol=1e-3)
    np.testing.assert_allclose(metrics.ssim(x, ref), ssim, atol=1e-4)


@pytest.mark.parametrize("metric", [metrics.psnr, metrics.ssim])
def test_image_metrics_are_ordered_symmetric_and_mappable(metric):
    """More noise scores worse; the two images may be exchanged; a batch gives what a loop gives."""
    noisy = [_noisy(REF, sigma) for sigma in (0.01, 0.05, 0.2)]
    scores = [float(metric(x, REF)) for x in noisy]
    assert scores[0] > scores[1] > scores[2]
    np.testing.assert_allclose(metric(REF, noisy[1]), scores[1], rtol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.vmap(metric, in_axes=(0, None)))(np.stack(noisy), REF), scores, rtol=1e-5)


def test_image_metrics_of_equal_images():
    """The upper ends of both scales."""
    assert metrics.psnr(REF, REF) == jnp.inf
    np.testing.assert_allclose(metrics.ssim(REF, REF), 1.0, atol=1e-6)


def test_image_metrics_clip():
    """A result is scored as its file would be."""
    over = np.where(REF > 0.5, 1.2, -0.1).astype(np.float32)
    for metric in (metrics.psnr, metrics.ssim):
        np.testing.assert_allclose(metric(over, REF), metric(np.clip(over, 0, 1), REF), rtol=1e-6)


@pytest.mark.parametrize(("metric", "x"), [(metrics.psnr, REF[:, :1]), (metrics.ssim, REF[:, :20]), (metrics.ssim, None)])
def test_image_metrics_refuse_other_shapes(metric, x):
    """Broadcasting would give a number that means nothing; a window must fit."""
    with pytest.raises(ValueError, match="expected two images of one shape"):
        metric(REF[:8] if x is None else x, REF[:8] if x is None else REF)


def test_frechet_distance_of_known_gaussians():
    """Diagonal covariances have a closed form: |m|^2 + sum (s - t)^2."""
    random = np.random.default_rng(0)
    white, _ = np.linalg.qr(random.normal(size=(500, 6)) - 0.0)
    white = (white - white.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(white.T)).T)
    s, t, shift = random.uniform(0.1, 2, 6), random.uniform(0.1, 2, 6), random.normal(size=6)
    expected = np.sum(shift**2) + np.sum((s - t) ** 2)
    np.testing.assert_allclose(metrics.frechet_distance(white * s + shift, white * t), expected, rtol=1e-10)
    assert metrics.frechet_distance(white * s, white * s) < 1e-12


def test_frechet_distance_equals_the_matrix_root():
    """The definition, by scipy's sqrtm, for correlated features; symmetric."""
    linalg = pytest.importorskip("scipy.linalg")
    random = np.random.default_rng(1)
    f, g = random.normal(size=(300, 8)) @ random.normal(size=(8, 8)), random.normal(size=(200, 8)) @ random.normal(size=(8, 8)) + 0.3
    cov_f, cov_g = np.cov(f.T), np.cov(g.T)
    expected = np.sum((f.mean(0) - g.mean(0)) ** 2) + np.trace(cov_f + cov_g - 2 * linalg.sqrtm(cov_f @ cov_g).real)
    np.testing.assert_allclose(metrics.frechet_distance(f, g), expected, rtol=1e-9)
    np.testing.assert_allclose(metrics.frechet_distance(g, f), expected, rtol=1e-9)


def test_frechet_distance_warns_of_too_few_rows():
    """A singular covariance is measured as it is, and said; enough rows are silent."""
    few = np.random.default_rng(2).normal(size=(10, 16))
    with pytest.warns(RuntimeWarning, match="10 rows for 16 features"):
        assert metrics.frechet_distance(few, few) < 1e-10
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics.frechet_distance(few.T[:, :4], few.T[:, :4])


@pytest.mark.parametrize(
    ("f", "g", "message"),
    [
        (np.zeros((9, 2)), np.zeros((9, 3)), "of one d"),
        (np.zeros((1, 2)), np.zeros((9, 2)), "n >= 2"),
        (np.full((9, 2), np.nan), np.zeros((9, 2)), "finite"),
    ],
)
def test_frechet_distance_refuses_bad_features(f, g, message):
    """Otherwise a NaN appears in a results table hours later."""
    with pytest.raises(ValueError, match=message):
        metrics.frechet_distance(f, g)


def _wave(frequency: float, size: int = 64) -> np.ndarray:
    row = 0.5 + 0.25 * np.cos(2 * np.pi * frequency * np.arange(size))
    return np.broadcast_to(row[None, :, None], (size, size, 3)).astype(np.float32)


def test_top_octave_power_hears_only_the_top_octave():
    """A wave above a quarter of the sampling rate counts, with the square of its amplitude; one below, or a ramp, does not."""
    high = float(metrics.top_octave_power(_wave(0.35)))
    np.testing.assert_allclose(metrics.top_octave_power(0.5 * _wave(0.35)), high / 4, rtol=1e-4)
    ramp = np.broadcast_to(np.linspace(0, 1, 64, dtype=np.float32)[:, None, None], (64, 64, 3))
    for low in (_wave(0.1), _wave(0.2), ramp, np.ones((64, 64, 3), np.float32)):
        assert metrics.top_octave_power(low) < 1e-4 * high


def test_top_octave_power_of_white_noise_and_its_enlargement():
    """White noise of variance v has power v at every frequency; a bicubic enlargement has next to none up there."""
    noise = np.random.default_rng(3).normal(0.5, 0.1, (8, 128, 128, 1)).astype(np.float32).repeat(3, axis=3)
    np.testing.assert_allclose(np.mean([metrics.top_octave_power(x) for x in noise]), 0.01, rtol=0.05)
    assert metrics.top_octave_power(resample.upsample(noise[0, :16, :16], 8)) < 1e-3 * 0.01


def test_top_octave_power_is_mappable():
    """A folder of results is one call."""
    pair = jnp.stack([REF, SMOOTH])
    expected = [metrics.top_octave_power(x) for x in pair]
    np.testing.assert_allclose(jax.jit(jax.vmap(metrics.top_octave_power))(pair), expected, rtol=1e-3)
