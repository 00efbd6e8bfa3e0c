"""Operators with parameters: the similarity of a face in its photo, a camera's blur, shift and
gain, and what may be asked of both while a program runs."""

import itertools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr import operators, resample
from jaxsr.operators import Family, cameras, similarities, similarity
from jaxsr.operators.similarity import KERNELS

SHAPE, PHOTO = (12, 10, 3), (7, 6, 3)
X = np.random.default_rng(0).uniform(size=SHAPE).astype(np.float32)
kernels = pytest.mark.parametrize("kernel", KERNELS)


def turned(degrees: float, scale: float, x: float, y: float) -> np.ndarray:
    a, b = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return np.array([[a, -b, x], [b, a, y]], np.float32)


MATRICES = {
    "aligned": turned(0, 0.5, -0.25, -0.25),
    "smaller, turned": turned(25, 0.4, 1.5, 0.2),
    "beyond the border": turned(-70, 0.6, -1.0, 6.0),
    "larger than the prior": turned(10, 1.7, -4.0, -5.0),
}
matrices = pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)


def profile(kernel: str, distance: float, scale: float) -> float:
    """k of one distance, written out."""
    d, pixel = abs(distance) / max(scale, 1.0), min(scale, 1.0)
    if kernel == "box":  # the share of a prior's pixel that lies in the photo's
        return max(0.0, min(d + pixel / 2, 0.5) - max(d - pixel / 2, -0.5)) / pixel
    if kernel == "bilinear":
        return max(0.0, 1 - d)
    if d < 1:
        return 1.5 * d**3 - 2.5 * d**2 + 1
    return -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0


def slow(x: np.ndarray, photo: tuple, matrix: np.ndarray, kernel: str) -> np.ndarray:
    """The measurement, pixel by pixel in float64; NaN where it is not measured."""
    matrix, y = matrix.astype(np.float64), np.full(photo, np.nan)
    scale = np.sqrt(np.linalg.det(matrix[:, :2]))
    for row, column in itertools.product(*map(range, photo[:2])):
        corners = np.array([(column + i, row + j) for i in (-0.5, 0.5) for j in (-0.5, 0.5)])
        back = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
        if (back < -0.501).any() or (back > np.array([x.shape[1], x.shape[0]]) - 0.499).any():
            continue
        total, colour = 0.0, np.zeros(3)
        for j, i in itertools.product(*map(range, x.shape[:2])):
            u, v = matrix @ (i, j, 1)
            weight = profile(kernel, u - column, scale) * profile(kernel, v - row, scale)
            total, colour = total + weight, colour + weight * x[j, i]
        y[row, column] = colour / total
    return y


@kernels
@matrices
def test_the_similarity_is_what_its_docstring_says(matrix, kernel):
    """A face is restored from pixels that are not where the operator says, or that nobody saw."""
    expected = slow(X, PHOTO, matrix, kernel)
    found = similarity(SHAPE, PHOTO, matrix, kernel=kernel)
    seen = ~np.isnan(expected)
    assert seen.sum() >= 5 * 3
    np.testing.assert_allclose(found(X), np.where(seen, expected, 0.0), atol=2e-5)
    np.testing.assert_array_equal(found.onto_range(jnp.full(PHOTO, 2.0)), np.where(seen, 2.0, 0.0))


@kernels
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_an_aligned_similarity_is_downsample(factor, kernel):
    """A photo aligned by hand and one cut out give two results."""
    x = np.random.default_rng(1).uniform(size=(16, 8, 3)).astype(np.float32)
    offset = (1 / factor - 1) / 2
    photo = (16 // factor, 8 // factor, 3)
    found = similarity(x.shape, photo, turned(0, 1 / factor, offset, offset), kernel=kernel)
    expected = operators.downsample(factor, image_shape=x.shape, kernel=kernel)
    np.testing.assert_allclose(found(x), expected(x), atol=1e-5)


@kernels
def test_a_photo_turned_is_the_measurement_turned(kernel):
    """x and y, or the sense of a turn, are exchanged."""
    matrix = MATRICES["smaller, turned"]
    y = similarity(SHAPE, PHOTO, matrix, kernel=kernel)(X)
    quarter = np.array([[0, -1, PHOTO[0] - 1], [1, 0, 0]])  # clockwise: (x, y) -> (h - 1 - y, x)
    there = quarter[:, :2] @ matrix + np.array([[0, 0, 1]]) * quarter[:, 2:]
    photo = (PHOTO[1], PHOTO[0], 3)
    found = similarity(SHAPE, photo, there, kernel=kernel)(X)
    np.testing.assert_allclose(found, np.rot90(y, -1), atol=1e-5)


def test_what_is_not_the_photos_is_not_measured():
    """The canvas around a photo is restored as if it were one."""
    seen = np.ones(PHOTO[:2])
    seen[:, 3:] = 0
    matrix = MATRICES["smaller, turned"]
    whole, part = (similarity(SHAPE, PHOTO, matrix, seen=each) for each in (None, seen))
    np.testing.assert_array_equal(part(X), whole(X) * seen[..., None])
    assert (np.asarray(whole(X)) != np.asarray(part(X))).any()


def test_a_picture_in_blocks_is_the_same(monkeypatch):
    """Priors of 1024 px go through some rows at a time."""
    expected = similarity(SHAPE, PHOTO, MATRICES["smaller, turned"])
    module = sys.modules["jaxsr.operators.similarity"]  # the name in the package is the function
    monkeypatch.setattr(module, "BLOCK", 2 * 10 * 3 * 6)
    found = similarity(SHAPE, PHOTO, MATRICES["smaller, turned"])
    np.testing.assert_allclose(found(X), expected(X), atol=1e-6)
    np.testing.assert_allclose(found.adjoint(found(X)), expected.adjoint(expected(X)), atol=1e-5)


BAD = {
    "mirrored": (np.array([[1.0, 0, 0], [0, -1, 0]]), {}, "turns and scales"),
    "sheared": (np.array([[1.0, 0.5, 0], [0, 1, 0]]), {}, "turns and scales"),
    "not finite": (turned(0, np.nan, 0, 0), {}, "finite"),
    "a vector": (np.ones(6), {}, "matrix [2, 3], got shape (6,)"),
    "kernel": (turned(0, 1, 0, 0), {"kernel": "bicubic_pulse"}, "bicubic, box, bilinear"),
    "seen": (turned(0, 1, 0, 0), {"seen": np.ones((2, 2))}, "of shape (7, 6), got (2, 2)"),
}


@pytest.mark.parametrize(("matrix", "settings", "words"), BAD.values(), ids=BAD)
def test_mistakes_are_told(matrix, settings, words):
    """A picture mirrored, or a canvas of another photo, is searched for an hour."""
    with pytest.raises(ValueError, match=r"^similarity") as error:
        similarity(SHAPE, PHOTO, matrix, **settings)
    assert words in str(error.value)


# Cameras


@pytest.mark.parametrize("kernel", ["bicubic", "bicubic_matlab", "bicubic_pulse", "box"])
def test_a_camera_that_does_nothing_is_downsample(kernel):
    """A search of the shift alone begins at another operator than that of the photo."""
    x = np.random.default_rng(2).uniform(size=(16, 32, 3)).astype(np.float32)
    family = cameras(2, image_shape=x.shape, kernel=kernel)
    expected = operators.downsample(2, image_shape=x.shape, kernel=kernel)
    np.testing.assert_allclose(family.make(family.start)(x), expected(x), atol=2e-6)


def test_a_camera_is_a_gaussian_moved_then_made_small():
    """The numbers in the table are no low-resolution pixels, or left is right."""
    x = np.random.default_rng(3).uniform(size=(32, 32, 3))
    factor, blur, (right, down), gain = 8, 0.6, (0.3, -0.2), 0.95

    def line(by: float) -> np.ndarray:
        taps = np.arange(-30, 31)
        weights = np.exp(-0.5 * ((taps - factor * by) / (factor * blur)) ** 2)
        return weights / weights.sum()

    padded = np.pad(x, [(32, 32), (32, 32), (0, 0)], "symmetric")
    for axis, by in ((0, down), (1, right)):
        padded = np.apply_along_axis(
            lambda v, by=by: np.convolve(v, line(by), "same"), axis, padded
        )
    shrink = resample.downsample_matrix(32, factor)
    expected = gain * np.einsum("ph,qw,hwc->pqc", shrink, shrink, padded[32:64, 32:64])
    found = operators.optics(factor, blur, np.array([right, down]), gain, image_shape=x.shape)(x)
    np.testing.assert_allclose(found, expected, atol=1e-3)


# While a program runs

FREE = {"move": np.array([0.2, -0.1]), "turn": 0.05, "zoom": -0.04}
FAMILIES: dict[str, tuple[Family, dict]] = {
    "similarities": (
        similarities(SHAPE, PHOTO, free=tuple(FREE)),
        {"matrix": MATRICES["smaller, turned"], "seen": np.ones(PHOTO[:2]), **FREE},
    ),
    "cameras": (
        cameras(2, image_shape=SHAPE, free=("blur", "shift", "gain")),
        {"blur": 0.4, "shift": np.array([0.3, -0.2]), "gain": 0.9},
    ),
}
families = pytest.mark.parametrize(("family", "theta"), FAMILIES.values(), ids=FAMILIES)


def floats(theta: dict) -> dict:
    return {name: jnp.asarray(value, jnp.float32) for name, value in theta.items()}


@families
def test_traced_parameters_give_the_operator_of_given_ones(family, theta):
    """Photos of one program are restored with each other's operators."""
    one, other = floats(theta), floats(family.start)
    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), one, other)

    def measured(theta):
        operator = family.make(theta)
        return operator(X), operator.pinv(operator(X)), operator.adjoint(operator(X))

    found = jax.jit(jax.vmap(measured))(both)
    for i, each in enumerate((one, other)):
        expected = family.make(each)
        y = expected(X)
        for got, want in zip(found, (y, expected.pinv(y), expected.adjoint(y)), strict=True):
            np.testing.assert_allclose(got[i], want, atol=2e-4)


@families
def test_derivatives_in_the_parameters(family, theta):
    """A free parameter walks away from the photo's."""
    theta = floats(theta)
    weights = np.random.default_rng(4).normal(size=family.make(theta).measurement_shape)

    def value(name, step):
        return jnp.vdot(family.make({**theta, name: theta[name] + step})(X), jnp.float32(weights))

    for name in family.bounds:
        direction = jnp.linspace(1.0, 2.0, theta[name].size).reshape(theta[name].shape)
        along = jax.jit(lambda h, name=name, d=direction: value(name, h * d))
        expected = (along(5e-3) - along(-5e-3)) / 1e-2
        found = jax.grad(along)(0.0)
        assert abs(expected) > 0.05
        np.testing.assert_allclose(found, expected, rtol=2e-2, atol=5e-3)


def test_a_small_move_is_about_the_pictures_centre():
    """A face that is turned by a degree leaves its place."""
    from_here, size = MATRICES["smaller, turned"], np.array([SHAPE[1] - 1, SHAPE[0] - 1, 2]) / 2
    by = floats({"move": np.array([0.5, -0.25]), "turn": 0.1, "zoom": 0.2})
    moved = np.asarray(operators.moved(jnp.asarray(from_here), by, SHAPE))
    np.testing.assert_allclose(moved @ size, from_here @ size + [0.5, -0.25], atol=1e-5)
    angle = np.arctan2(moved[1, 0], moved[0, 0]) - np.arctan2(from_here[1, 0], from_here[0, 0])
    scale = np.sqrt(np.linalg.det(moved[:, :2]) / np.linalg.det(from_here[:, :2]))
    np.testing.assert_allclose((angle, scale), (0.1, np.exp(0.2)), atol=1e-5)


def test_unknown_parameters_are_told():
    """A name misspelt leaves a camera as it is."""
    with pytest.raises(ValueError, match="expected some of blur, shift, gain"):
        cameras(2, image_shape=SHAPE, free=("blurr",))
    with pytest.raises(ValueError, match="each parameter once"):
        similarities(SHAPE, PHOTO, free=("turn", "turn"))
