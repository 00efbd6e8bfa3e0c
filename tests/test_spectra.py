"""operators/spectra: every operator's singular value decomposition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from operator_table import SHAPE, dense, draw, rows

from jaxsr import operators
from jaxsr.operators import spectra


@rows
def test_it_decomposes_the_operator(operator, tolerance):
    """A direction is missing or counted twice, a value is another's, or U is not that of V."""
    whole = operators.spectrum(operator)
    expected = np.linalg.svd(dense(operator), compute_uv=False)
    values = np.broadcast_to(whole.values, np.shape(whole.into(jnp.zeros(SHAPE))))
    found = np.sort(values[values > 0])[::-1]
    least = found[-1] * (1 - 1e-4)
    np.testing.assert_allclose(found, expected[expected > least], rtol=1e-3, atol=1e-5)
    # What is left out is below what counts.
    left = expected[expected <= least]
    assert (left < spectra.LEAST_OF_AXIS * expected[0]).all()
    x, c = draw(0, SHAPE), draw(1, values.shape)
    seen = values > 0
    np.testing.assert_allclose(
        np.where(seen, whole.measured(operator(x)), 0), values * whole.into(x), atol=2e-4
    )
    again = whole.into(whole.back(jnp.where(seen, c, 0)))
    np.testing.assert_allclose(np.where(seen, again, 0), np.where(seen, c, 0), atol=2e-4)


@rows
def test_it_gives_the_pseudo_inverse(operator, tolerance):
    """`measured` and `back` are not of one decomposition."""
    whole, y = operators.spectrum(operator), operator(draw(2, SHAPE))
    values = np.asarray(whole.values)
    ratio = jnp.where(values > 0, whole.measured(y) / np.where(values > 0, values, 1), 0)
    # Blurs leave out what the pseudo-inverse keeps of weak directions: both explain y.
    explained = operator(whole.back(ratio))
    np.testing.assert_allclose(explained, y, atol=0.05 if "blur" in operator.name else 1e-3)
    if "blur" not in operator.name:
        np.testing.assert_allclose(whole.back(ratio), operator.pinv(y), atol=2e-3)


def test_blur_of_lines_goes_by_its_factors():
    """A Gaussian blur of 64 px takes minutes, or differs from the decomposition of its matrix."""
    operator = operators.gaussian_blur(0.8, image_shape=SHAPE)
    whole = operators.spectrum(operator)
    assert whole.values.shape == SHAPE
    matrix = spectra.of_matrix(operator)
    large = matrix.values[matrix.values > 0.1]
    np.testing.assert_allclose(
        np.sort(large), np.sort(whole.values[whole.values > 0.1].ravel()), atol=1e-4
    )


def test_too_large_a_matrix_is_refused():
    """Hours, and all memory, before the first photo; a closed form is refused as well."""
    shape = (128, 128, 3)
    assert operators.spectrum(operators.gaussian_blur(2.0, image_shape=shape)).values.max() < 1.1
    with pytest.raises(ValueError, match="blur: no singular value decomposition is") as caught:
        operators.spectrum(operators.motion_blur(9, 30.0, image_shape=shape))
    assert "\n" not in str(caught.value)


def test_it_works_under_vmap_and_jit():
    """Photos in a batch share coefficients."""
    operator = operators.downsample(4, image_shape=SHAPE)
    whole, x = operators.spectrum(operator), draw(0, (3, *SHAPE))
    found = jax.jit(jax.vmap(whole.into))(x)
    np.testing.assert_allclose(found[1], whole.into(x[1]), atol=1e-5)
