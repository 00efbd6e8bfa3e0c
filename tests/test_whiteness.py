"""Whiteness of residuals against a slow reference from the definition, and what it tells apart."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr import metrics, operators


def reference(residual: np.ndarray) -> float:
    """Lanza et al., by the sums of the definition: every lag, wrapping around, in float64."""
    found = []
    for channel in np.moveaxis(residual.astype(np.float64), 2, 0):
        height, width = channel.shape
        energy = np.sum(channel**2)
        total = 0.0
        for down in range(height):
            for right in range(width):
                if down or right:
                    moved = np.roll(channel, (down, right), (0, 1))
                    total += (np.sum(channel * moved) / energy) ** 2
        found.append(total)
    return float(np.mean(found))


@pytest.mark.parametrize("shape", [(4, 4, 3), (8, 8, 3), (7, 5, 1), (16, 9, 3)])
@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_it_is_the_sum_over_lags(shape, scale):
    """Another number than the papers', or one that depends on how large the residual is."""
    residual = scale * np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(metrics.whiteness(residual), reference(residual), rtol=2e-4)


@pytest.mark.parametrize("side", [4, 8, 16, 32])
def test_white_noise_passes_in_19_of_20(side):
    """The limit is that of another size: noise is called structured, or structure noise."""
    draws = jax.random.normal(jax.random.key(side), (2000, side, side, 3))
    values = np.asarray(jax.jit(jax.vmap(metrics.whiteness))(draws))
    assert 0.92 < np.mean(values < metrics.white_limit((side, side, 3))) < 0.97
    assert np.mean(values) == pytest.approx(1.0, abs=0.03)


def test_structure_is_told():
    """What a wrong kernel or a wrong colour leaves passes for noise."""
    image = np.random.default_rng(1).uniform(size=(8, 8, 3)).repeat(8, 0).repeat(8, 1)
    image = jnp.asarray(image, jnp.float32)
    bicubic, box = (
        operators.make("downsample", 64, factor=4, kernel=kernel) for kernel in ("bicubic", "box")
    )
    limit = metrics.white_limit((16, 16, 3))
    assert metrics.whiteness(bicubic(image) - box(image)) > 1.5 * limit
    assert metrics.whiteness(jnp.full((16, 16, 3), 0.1)) > 10 * limit


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="expected a residual"):
        metrics.whiteness(np.zeros(48))
    with pytest.raises(ValueError, match="expected a residual"):
        metrics.whiteness(np.zeros((3, 3, 3)))
