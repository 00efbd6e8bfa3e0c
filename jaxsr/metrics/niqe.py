"""NIQE: how far the local statistics of an image lie from those of natural photos (Mittal,
Soundararajan and Bovik 2013)."""

import functools
import itertools
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsr import weights
from jaxsr.metrics._checks import require_images
from jaxsr.metrics._luma import BLACK, studio_luma
from jaxsr.resample import downsample_matrix
from jaxsr.types import AnyArray, AnyImage, Scalar

_BLOCK, _FEATURES = 96, 36
SHAPES = {
    "mu_pris_param": (1, _FEATURES),
    "cov_pris_param": (_FEATURES, _FEATURES),
    "gaussian_window": (7, 7),
}
# A block of a pristine photo counts when its sharpness is more than this share of the sharpest
# block's; section II-C.
_SHARP = 0.75


class NIQEModel(NamedTuple):
    """The statistics of natural photos.

    Attributes:
        mean: [36], of the features of their sharp blocks, of the full size first.
        covariance: [36, 36], of the same; it must be regular.
        window: [7, 7], symmetric weights of the local mean and deviation, sum 1.
    """

    mean: AnyArray
    covariance: AnyArray
    window: AnyArray


def read_niqe_model(path: str | Path) -> NIQEModel:
    """The published model, float64, from BasicSR's `niqe_pris_params.npz` or a folder that
    ports/convert.py wrote.

    Raises:
        ValueError: something that cannot be read, or whose arrays are not the expected ones.
    """
    if Path(path).is_dir():
        return _model(path, weights.load_stored(path)[0])
    try:
        # Opened here, because NumPy leaves a file open that it cannot read.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: expected an .npz file of a NIQE model, got {error}") from error
    return _model(path, arrays)


def _model(path: str | Path, arrays: dict[str, np.ndarray]) -> NIQEModel:
    got = {name: array.shape for name, array in arrays.items()}
    if got != SHAPES:
        raise ValueError(f"{path}: expected the arrays {SHAPES}, got {got}")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError(f"{path}: expected finite values, got NaN or infinity")
    return NIQEModel(
        arrays["mu_pris_param"][0], arrays["cov_pris_param"], arrays["gaussian_window"]
    )


@functools.cache
def _table() -> tuple[np.ndarray, ...]:
    """For the shapes a = 0.2, 0.201 ... 10: a, G(2/a)^2 / (G(1/a) G(3/a)), which grows, sqrt(G(1/a)
    / G(3/a)) and G(2/a) / G(1/a)."""
    shapes = np.arange(200, 10001) / 1000
    first, second, third = (np.array([math.gamma(k / a) for a in shapes]) for k in (1, 2, 3))
    return shapes, second**2 / (first * third), np.sqrt(first / third), second / first


def _nearest(values: jax.Array) -> jax.Array:
    """Where the ratio of moments in the table is nearest to each value; 0 for NaN, as the minimum
    search of the MATLAB release has it."""
    middles = _table()[1]
    middles = (middles[1:] + middles[:-1]) / 2
    return jnp.where(
        jnp.isnan(values), 0, jnp.searchsorted(jnp.asarray(middles, jnp.float32), values)
    )


def _rms(values: jax.Array, where: jax.Array) -> jax.Array:
    """The root mean square of each block [n, m] over the places named; NaN where there are none."""
    return jnp.sqrt(jnp.sum(jnp.where(where, values**2, 0.0), 1) / jnp.sum(where, 1))


def _asymmetric_gaussian(values: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Shape, mean, left and right scale [n] of the asymmetric generalised Gaussian of each block
    [n, m], by moments (eqs. 6 to 8)."""
    left, right = _rms(values, values < 0), _rms(values, values > 0)
    ratio = left / right
    moments = jnp.mean(jnp.abs(values), 1) ** 2 / jnp.mean(values**2, 1)
    index = _nearest(moments * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2)
    shape, _, spread, mean = (jnp.asarray(column, jnp.float32)[index] for column in _table())
    left, right = left * spread, right * spread
    return shape, (right - left) * mean, left, right


def _block_features(blocks: jax.Array) -> jax.Array:
    """The 18 features of each block [n, b, b] of normalised luminance: of its values and of the
    products of four kinds of neighbours."""

    def fit(values: jax.Array) -> tuple[jax.Array, ...]:
        return _asymmetric_gaussian(values.reshape(len(values), -1))

    shape, _, left, right = fit(blocks)
    columns = [shape, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        columns.extend(fit(blocks * jnp.roll(blocks, shift, (1, 2))))
    return jnp.stack(columns, 1)


def _normalised(luma: jax.Array, window: AnyArray) -> tuple[jax.Array, jax.Array]:
    """Luminance [h, w] less its local mean, divided by its local deviation + 1 (eqs. 1 to 3), and
    that deviation."""
    height, width = luma.shape
    padded, window = jnp.pad(luma, 3, mode="edge"), jnp.asarray(window, jnp.float32)
    shift, square = jnp.zeros_like(luma), jnp.zeros_like(luma)
    # Differences from the centre are exactly 0 where the image is flat. Rounding in place of these
    # zeros would count as texture.
    for i, j in itertools.product(range(7), range(7)):
        difference = padded[i : i + height, j : j + width] - luma
        shift, square = shift + window[i, j] * difference, square + window[i, j] * difference**2
    deviation = jnp.sqrt(jnp.maximum(square - shift**2, 0.0))
    # The mean is rounded to float32, as in BasicSR, which makes 0 of differences that only rounding
    # keeps from it.
    return (luma - (luma + shift)) / (deviation + 1.0), deviation


def _blocks(field: jax.Array, size: int) -> jax.Array:
    """[n, size, size] from [h, w]."""
    height, width = field.shape
    return (
        field.reshape(height // size, size, width // size, size)
        .swapaxes(1, 2)
        .reshape(-1, size, size)
    )


def _features(x: AnyImage, window: AnyArray) -> tuple[jax.Array, jax.Array]:
    """The features [n, 36] and the sharpness [n] of the 96 x 96 blocks that fit into an image, from
    its upper left corner."""
    height, width = (side // _BLOCK * _BLOCK for side in x.shape[:2])
    # 8-bit luminance, as the MATLAB release reads it.
    luma = jnp.round(BLACK + studio_luma(jnp.clip(x[:height, :width], 0.0, 1.0)))
    field, deviation = _normalised(luma, window)
    rows, columns = (
        jnp.asarray(downsample_matrix(side, 2, "bicubic_matlab"), jnp.float32)
        for side in luma.shape
    )
    half, _ = _normalised(
        jnp.einsum("ij,jk,lk->il", rows, luma, columns, precision="highest"), window
    )
    features = [
        _block_features(_blocks(field, _BLOCK)),
        _block_features(_blocks(half, _BLOCK // 2)),
    ]
    return jnp.concatenate(features, 1), _blocks(deviation, _BLOCK).mean((1, 2))


def _check_size(shape: tuple[int, ...], blocks: int) -> None:
    if len(shape) != 3 or shape[2] != 3 or (shape[0] // _BLOCK) * (shape[1] // _BLOCK) < blocks:
        raise ValueError(
            f"expected an image [h, w, 3] with at least {blocks} blocks of {_BLOCK} x "
            f"{_BLOCK} pixels ({_BLOCK} x {blocks * _BLOCK} px or more), got {list(shape)}"
        )


def _distance(difference: jax.Array, covariance: jax.Array) -> jax.Array:
    """sqrt(d C^-1 d), with C scaled to a diagonal of ones, which is 100 times better
    conditioned."""
    scale = jnp.sqrt(jnp.diagonal(covariance))
    root = jnp.linalg.cholesky(covariance / jnp.outer(scale, scale))
    return jnp.linalg.norm(jax.scipy.linalg.solve_triangular(root, difference / scale, lower=True))


def niqe(x: AnyImage, model: NIQEModel) -> Scalar:
    """The distance of an image's statistics from a model's (eq. 10): lower is more natural; no
    reference image is needed.

    With the published model it is what BasicSR's `calculate_niqe(image, crop_border=0)` and the
    MATLAB release compute, mostly to 0.03 % and to 0.2 % at worst: shapes are searched on a grid of
    step 0.001, where rounding decides between neighbours. The image [h, w, 3] is clipped to [0, 1];
    its luminance (MATLAB's y) is rounded to 8 bits. Blocks of 96 x 96 pixels that do not fit are
    left out, a block without texture counts as the release counts it, and NaN comes back where
    fewer than two blocks have any. Numbers of images of different sizes, or of few blocks, are
    hardly comparable: print the reference photos' NIQE beside.

    Raises:
        ValueError: not [h, w, 3] with at least two such blocks.
    """
    _check_size(x.shape, 2)
    require_images(x)
    features, _ = _features(x, model.window)
    valid = ~jnp.isnan(features).any(1, keepdims=True)
    count = jnp.sum(valid)
    centred = jnp.where(valid, features, 0.0)
    centred = jnp.where(valid, centred - jnp.sum(centred, 0) / count, 0.0)
    covariance = jnp.einsum("ni,nj->ij", centred, centred, precision="highest") / (count - 1)
    difference = jnp.asarray(model.mean, jnp.float32) - jnp.nanmean(features, 0)
    return _distance(difference, (jnp.asarray(model.covariance, jnp.float32) + covariance) / 2)


def fit_niqe_model(images: Sequence[AnyImage]) -> NIQEModel:
    """A model of one's own photos [h, w, 3] in [0, 1], float64: for a domain that the published
    model does not describe.

    Numbers by it are NOT comparable with numbers by the published model; name the model wherever
    they are printed. Of each photo the blocks count whose sharpness, the mean local deviation, is
    more than 0.75 of its sharpest block's (section II-C). Photos may differ in size, but each size
    compiles anew.

    Raises:
        ValueError: a photo without a block of 96 x 96 pixels, or too few sharp blocks for a regular
            covariance.
    """
    profile = np.exp(-0.5 * (np.arange(-3, 4) / (7 / 6)) ** 2)
    window = np.outer(profile, profile) / profile.sum() ** 2
    describe = jax.jit(_features)
    rows = [np.zeros((0, _FEATURES))]
    for image in images:
        _check_size(image.shape, 1)
        features, sharpness = (np.asarray(array, np.float64) for array in describe(image, window))
        rows.append(features[(sharpness > _SHARP * sharpness.max()) & np.isfinite(features).all(1)])
    features = np.concatenate(rows)
    if len(features) <= _FEATURES:
        raise ValueError(
            f"expected photos with more than {_FEATURES} sharp blocks together, got {len(features)}"
        )
    return NIQEModel(features.mean(0), np.cov(features, rowvar=False), window)
