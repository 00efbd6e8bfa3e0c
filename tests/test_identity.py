"""Aligned crops of faces: the turn, the scale and the shift, against answers in closed form."""

import numpy as np
import pytest

from jaxsr import metrics
from jaxsr.metrics.identity import CROP, TEMPLATE


def plane(height, width, x=0.003, y=0.002):
    """A picture that is linear in its coordinates, which bilinear sampling reads exactly."""
    rows, columns = np.mgrid[:height, :width]
    grey = 0.1 + x * columns + y * rows
    return np.stack([grey, grey / 2, 1 - grey], -1).astype(np.float32)


def fitted(landmarks):
    """The nearest turn and scale, and shift, of TEMPLATE by regression of complex numbers."""
    z, w = (points @ [1, 1j] for points in (TEMPLATE, landmarks))
    turn = np.vdot(z - z.mean(), w - w.mean()) / np.vdot(z - z.mean(), z - z.mean()).real
    return turn, w.mean() - turn * z.mean()


@pytest.mark.parametrize("angle", [0.0, 0.3, -1.0])
@pytest.mark.parametrize("scale", [0.4, 1.0, 1.3])
@pytest.mark.parametrize("wobble", [0.0, 2.0])
def test_a_crop_shows_what_its_landmarks_say(angle, scale, wobble):
    """The face is turned the other way, mirrored or moved, and identity is of something else."""
    turn = scale * np.exp(1j * angle)
    centre = TEMPLATE.mean(0) @ [1, 1j]
    points = turn * (TEMPLATE @ [1, 1j] - centre) + (90 + 85j)
    landmarks = np.stack([points.real, points.imag], -1)
    landmarks += np.random.default_rng(0).normal(0, wobble, landmarks.shape)
    found = np.asarray(metrics.aligned_face(plane(170, 180), landmarks))
    turn, shift = fitted(landmarks)
    at = turn * (np.arange(CROP) + 1j * np.arange(CROP)[:, None]) + shift
    inside = (at.real >= 0) & (at.real <= 179) & (at.imag >= 0) & (at.imag <= 169)
    expected = 0.1 + 0.003 * at.real + 0.002 * at.imag
    assert found.shape == (CROP, CROP, 3) and inside.mean() > 0.5
    np.testing.assert_allclose(found[..., 0][inside], expected[inside], atol=2e-5)
    np.testing.assert_allclose(found[..., 2][inside], 1 - expected[inside], atol=2e-5)


def test_a_face_that_lies_as_the_template_is_left_as_it_is():
    """Aligning what is aligned blurs or moves it."""
    image = np.random.default_rng(1).uniform(size=(CROP, CROP, 3)).astype(np.float32)
    np.testing.assert_allclose(metrics.aligned_face(image, TEMPLATE), image, atol=1e-4)


def test_beyond_the_picture_is_black():
    """A border that is repeated would be taken for hair."""
    crop = np.asarray(metrics.aligned_face(np.ones((60, CROP, 3), np.float32), TEMPLATE))
    assert crop[:59].min() > 0.999 and crop[61:].max() == 0


@pytest.mark.parametrize(
    ("landmarks", "words"),
    [
        (TEMPLATE[:4], "expected landmarks"),
        (np.full((5, 2), np.nan), "of finite numbers"),
        (np.ones((5, 2)), "five different landmarks, got \\[1.0, 1.0\\] alone"),
    ],
)
def test_landmarks_that_are_none_are_refused(landmarks, words):
    """A crop of a single pixel gets an identity like any other."""
    with pytest.raises(ValueError, match=words):
        metrics.aligned_face(plane(20, 20), landmarks)
