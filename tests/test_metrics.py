"""Metrics: identity, symmetry, order, and the values of scikit-image and of slow references."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference_networks

from jaxsr import metrics, operators, resample
from jaxsr.metrics import METRICS, features, networks
from jaxsr.metrics._checks import check_pair
from jaxsr.nets import alexnet

REF = np.random.default_rng(0).uniform(size=(32, 40, 3)).astype(np.float32)
SMOOTH = np.clip(np.asarray(resample.upsample(REF[:8, :10], 4)), 0, 1)


def _noisy(ref: np.ndarray, sigma: float) -> np.ndarray:
    return np.clip(ref + np.random.default_rng(1).normal(0, sigma, ref.shape), 0, 1).astype(
        np.float32
    )


PAIRS = [
    (_noisy(ref, sigma), ref)
    for ref in (REF, SMOOTH, np.ones_like(REF))
    for sigma in (0.003, 0.05, 0.3)
]


@pytest.mark.parametrize(("x", "ref"), PAIRS)
def test_psnr_and_ssim_equal_scikit_image(x, ref):
    """Numbers in a table must be comparable with other people's."""
    skimage = pytest.importorskip("skimage.metrics")
    psnr = skimage.peak_signal_noise_ratio(ref, x, data_range=1)
    ssim = skimage.structural_similarity(
        x,
        ref,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=-1,
    )
    np.testing.assert_allclose(metrics.psnr(x, ref), psnr, atol=1e-3)
    np.testing.assert_allclose(metrics.ssim(x, ref), ssim, atol=1e-4)


class Row(NamedTuple):
    """What the laws of METRICS need of one; a new metric is one row.

    Attributes:
        equal: the score of an image and itself.
        symmetric: whether the two images may be exchanged.
        weights: in place of published ones, name in `networks.SOURCES` -> params.
        laws: where they are, for a metric that has no reference.
    """

    equal: float = math.nan
    symmetric: bool = True
    weights: dict[str, Callable] | None = None
    laws: str = ""


ALEX = {
    "alexnet": lambda: reference_networks.small(alexnet.init),
    "lpips_alex": lambda: [np.ones(width, np.float32) for width in (4, 12, 24, 16, 16)],
}
ROWS = {
    "psnr": Row(math.inf),
    "ssim": Row(1.0),
    "ms_ssim": Row(1.0),
    "lpips_alex": Row(0.0, weights=ALEX),
    "identity": Row(1.0, weights={"ir101": reference_networks.shallow}),
    "niqe": Row(laws="test_metrics_scales.py"),
    "feature_distance": Row(0.0),
    "top_octave_share": Row(1.0, symmetric=False),
}
PAIRED = [name for name, row in ROWS.items() if not row.laws]


def test_every_metric_has_its_row():
    """A metric of METRICS obeys no law that a test knows of."""
    assert set(METRICS) == set(ROWS), "METRICS and ROWS of tests/test_metrics.py differ"
    for name, row in ROWS.items():
        text = Path(__file__).with_name(row.laws).read_text() if row.laws else ""
        assert not row.laws or f"metrics.{name}" in text


def _scored(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Callable, str, np.ndarray]:
    """A metric, the direction in which it is better, and an image that is large enough."""
    if name == "psnr_y":
        return metrics.psnr_y, "higher", REF
    made = ROWS[name].weights or {}
    monkeypatch.setattr(networks, "load", lambda source: made[source]())
    row, side = METRICS[name], max(32, METRICS[name].least_side)
    ref = np.random.default_rng(0).uniform(size=(side, side + 8, 3)).astype(np.float32)
    return row.make(features.DEFAULT), row.better, ref


@pytest.mark.parametrize("name", [*PAIRED, "psnr_y"])
def test_image_metrics_are_ordered_symmetric_and_mappable(name, monkeypatch):
    """More noise scores worse; the two images may be exchanged; a batch gives what a loop gives."""
    score, better, ref = _scored(name, monkeypatch)
    noisy = [_noisy(ref, sigma) for sigma in (0.01, 0.05, 0.2)]
    scores = [float(score(x, ref)) for x in noisy]
    if better:
        assert sorted(scores, reverse=better == "higher") == scores
        assert len(set(scores)) == 3
    if name not in ROWS or ROWS[name].symmetric:
        np.testing.assert_allclose(score(ref, noisy[1]), scores[1], rtol=1e-5)
    many = jax.jit(jax.vmap(score, in_axes=(0, None)))(np.stack(noisy), ref)
    np.testing.assert_allclose(many, scores, rtol=1e-4)


@pytest.mark.parametrize("name", PAIRED)
def test_image_metrics_of_equal_images(name, monkeypatch):
    """The end of the scale."""
    score, _, ref = _scored(name, monkeypatch)
    np.testing.assert_allclose(score(ref, ref), ROWS[name].equal, atol=1e-6)


def test_psnr_y_of_equal_images():
    assert metrics.psnr_y(REF, REF) == jnp.inf


def test_image_metrics_clip():
    """A result is scored as its file would be."""
    over = np.where(REF > 0.5, 1.2, -0.1).astype(np.float32)
    for metric in (metrics.psnr, metrics.psnr_y, metrics.ssim):
        np.testing.assert_allclose(metric(over, REF), metric(np.clip(over, 0, 1), REF), rtol=1e-6)


@pytest.mark.parametrize(
    ("metric", "x"),
    [
        (metrics.psnr, REF[:, :1]),
        (metrics.psnr_y, REF[:, :1]),
        (metrics.ssim, REF[:, :20]),
        (metrics.ssim, None),
    ],
)
def test_image_metrics_refuse_other_shapes(metric, x):
    """Broadcasting would give a number that means nothing; a window must fit."""
    with pytest.raises(ValueError, match=r"expected two images of one shape|at least 11 pixels"):
        metric(REF[:8] if x is None else x, REF[:8] if x is None else REF)


@pytest.mark.parametrize(("x", "ref"), PAIRS[:6])
def test_psnr_y_equals_the_definition(x, ref):
    """MATLAB's luma with peak 255: most papers' PSNR, 1 to 3 dB from that of RGB."""
    y, y_ref = (16 + image.astype(np.float64) @ [65.481, 128.553, 24.966] for image in (x, ref))
    np.testing.assert_allclose(
        metrics.psnr_y(x, ref),
        20 * np.log10(255) - 10 * np.log10(np.mean((y - y_ref) ** 2)),
        atol=1e-4,
    )


def _wave(frequency: float, size: int = 64) -> np.ndarray:
    row = 0.5 + 0.25 * np.cos(2 * np.pi * frequency * np.arange(size))
    return np.broadcast_to(row[None, :, None], (size, size, 3)).astype(np.float32)


def test_top_octave_power_hears_only_the_top_octave():
    """A wave above a quarter of the sampling rate counts, with the square of its amplitude; one
    below, or a ramp, does not."""
    high = float(metrics.top_octave_power(_wave(0.35)))
    np.testing.assert_allclose(metrics.top_octave_power(0.5 * _wave(0.35)), high / 4, rtol=1e-4)
    ramp = np.broadcast_to(np.linspace(0, 1, 64, dtype=np.float32)[:, None, None], (64, 64, 3))
    for low in (_wave(0.1), _wave(0.2), ramp, np.ones((64, 64, 3), np.float32)):
        assert metrics.top_octave_power(low) < 1e-4 * high


def test_top_octave_power_of_white_noise_and_its_enlargement():
    """White noise of variance v has power v at every frequency; a bicubic enlargement has next to
    none up there."""
    noise = (
        np.random.default_rng(3)
        .normal(0.5, 0.1, (8, 128, 128, 1))
        .astype(np.float32)
        .repeat(3, axis=3)
    )
    np.testing.assert_allclose(
        np.mean([metrics.top_octave_power(x) for x in noise]), 0.01, rtol=0.05
    )
    assert metrics.top_octave_power(resample.upsample(noise[0, :16, :16], 8)) < 1e-3 * 0.01


def test_top_octave_power_is_mappable():
    """A folder of results is one call."""
    pair = jnp.stack([REF, SMOOTH])
    expected = [metrics.top_octave_power(x) for x in pair]
    np.testing.assert_allclose(
        jax.jit(jax.vmap(metrics.top_octave_power))(pair), expected, rtol=1e-3
    )


SHRINK = operators.downsample(4, image_shape=REF.shape, kernel="box")


def test_lr_consistency():
    """0 for the image that was measured; the square of a constant error; clipping is what a file
    does to an image."""
    y = SHRINK(REF)
    np.testing.assert_allclose(metrics.lr_consistency(SHRINK, REF, y), 0.0, atol=1e-12)
    np.testing.assert_allclose(metrics.lr_consistency(SHRINK, REF, y - 0.1), 0.01, rtol=1e-4)
    given, clipped = metrics.lr_consistency(SHRINK, np.full_like(REF, 1.5), np.ones_like(y))
    np.testing.assert_allclose([given, clipped], [0.25, 0.0], atol=1e-6)


def test_lr_psnr():
    """Of the clipped image, in dB; a batch gives what a loop gives."""
    y = np.asarray(SHRINK(REF))
    np.testing.assert_allclose(metrics.lr_psnr(SHRINK, REF, y + 0.01), 40.0, atol=1e-2)
    images = np.stack([REF, _noisy(REF, 0.1), 3.0 * REF])
    expected = [metrics.lr_psnr(SHRINK, x, y + 0.01) for x in images]
    np.testing.assert_allclose(
        jax.jit(jax.vmap(lambda x: metrics.lr_psnr(SHRINK, x, y + 0.01)))(images),
        expected,
        atol=1e-2,
    )


def test_lr_consistency_refuses_other_shapes():
    """Broadcasting would give a number that means nothing."""
    with pytest.raises(ValueError, match="expected a measurement of shape"):
        metrics.lr_consistency(SHRINK, REF, SHRINK(REF)[:1])
    with pytest.raises(ValueError, match="shape"):
        metrics.lr_consistency(SHRINK, REF[:16], SHRINK(REF))


@pytest.mark.parametrize(
    ("x", "ref", "message"),
    [
        (REF, REF[:8], r"x \[32, 40, 3\] and ref \[8, 40, 3\]"),
        (REF[..., 0], REF[..., 0], r"one shape \[h, w, 3\]"),
        (np.where(REF < 0.5, REF, np.nan), REF, "infinities in x"),
        (REF, np.where(REF < 0.5, REF, np.inf), "infinities in ref"),
        (REF, 2 * REF, "got ref in"),
        (REF - 0.5, REF, "got x in"),
    ],
)
def test_check_pair_names_the_image(x, ref, message):
    """A table of results must not hold a number of a broken image."""
    with pytest.raises(ValueError, match=message):
        check_pair(x, ref)


def test_check_pair_accepts_the_ends():
    """Black and white are values."""
    check_pair(np.zeros_like(REF), np.ones_like(REF))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (REF * 255, r"expected finite values in \[0, 1\]"),
        (REF * 2 - 1, r"expected finite values in \[0, 1\]"),
        (np.where(REF < 0.5, REF, np.nan), r"expected finite values in \[0, 1\]"),
        ((REF * 255).astype(np.uint8), r"expected floats in \[0, 1\], got uint8"),
        (REF[..., 0], "one shape"),
    ],
    ids=["0..255", "-1..1", "nan", "uint8", "grey"],
)
@pytest.mark.parametrize("metric", [metrics.psnr, metrics.psnr_y, metrics.ssim])
def test_images_of_another_range_are_refused(metric, broken, words):
    """psnr(255 x, 255 ref) would be a number, and a wrong one. Under jit there are no values to
    look at."""
    with pytest.raises(ValueError, match=words):
        metric(broken, REF)
    with pytest.raises(ValueError, match="one shape" if broken.ndim == 2 else words):
        metric(REF, broken)
