"""The baselines without a prior, as methods."""

import jax
import numpy as np
import pytest
import toy
from method_cases import INTERPOLATIONS
from PIL import Image

import jaxsr
from jaxsr import operators
from jaxsr.methods import METHODS, Interpolation

each_kernel = pytest.mark.parametrize("name", INTERPOLATIONS)


def restored(name, operator, ys):
    return jaxsr.restore(
        METHODS[name].make(toy.prior(), operator), toy.params(jax.random.key(0)), ys, progress=False
    )


@each_kernel
def test_equals_pillow(name):
    """The kernel, its borders or the order of the photos is another one."""
    ys = np.random.default_rng(0).random((3, 4, 4, 3), np.float32)
    result = restored(name, toy.operator(), ys)
    for y, image in zip(ys, result.image, strict=True):
        for channel in range(3):
            expected = np.asarray(
                Image.fromarray(y[..., channel], "F").resize((16, 16), INTERPOLATIONS[name].pillow)
            )
            np.testing.assert_allclose(image[..., channel], expected, atol=2e-6)


@each_kernel
def test_result_keeps_the_contract(name):
    """Residual, feasibility or trace is not that of the image."""
    ys = np.stack([np.full((4, 4, 3), 0.5), np.random.default_rng(0).random((4, 4, 3))]).astype(
        np.float32
    )
    result = restored(name, toy.operator(), ys)
    expected = np.mean((jax.vmap(toy.operator())(result.image) - ys) ** 2, (1, 2, 3))
    np.testing.assert_allclose(result.residual, expected, atol=1e-7)
    np.testing.assert_allclose(result.trace["loss"][:, 0], expected, atol=1e-7)
    assert result.feasible[0] and result.latent == {}
    assert bool(result.feasible[1]) == (name == "nearest")  # whose block means are y itself


@each_kernel
def test_mismatches_are_one_line(name):
    with pytest.raises(
        ValueError, match=r"takes images \(32, 32, 3\), but prior 'toy' makes \(16, 16, 3\)"
    ):
        METHODS[name].make(toy.prior(), operators.downsample(4, image_shape=(32, 32, 3)))
    with pytest.raises(
        ValueError, match=r"y has shape \(3,\), but the operator measures \(4, 4, 3\)"
    ):
        METHODS[name].make(toy.prior(), toy.operator())(
            jax.random.key(0), {}, np.zeros(3, np.float32)
        )
    with pytest.raises(ValueError, match="preset must be one of paper"):
        jaxsr.settings.resolve(Interpolation(preset="code"), toy.operator())  # pyright: ignore[reportArgumentType]
