"""Every method takes every linear operator."""

import jax
import numpy as np
import pytest
import toy
from method_cases import INTERPOLATIONS, SEARCHES, given

import jaxsr
from jaxsr import operators
from jaxsr.methods import METHODS, RLSE

SHAPE = (16, 16, 3)
# Those of a command, and some that none of it is like.
OPERATORS = {name: operators.make(name, 16, factor=4) for name in operators.OPERATORS} | {
    "grey and small": operators.compose(
        operators.grey(SHAPE), operators.downsample(4, image_shape=(16, 16, 1), kernel="box")
    ),
    # Whose pseudo-inverse is found by conjugate gradients, inside the objective.
    "rows": operators.linear(lambda x: x.mean(1), SHAPE),
    "two channels": operators.linear(lambda x: x[..., :2], SHAPE),
    "sensed and small": operators.compose(
        operators.downsample(2, image_shape=SHAPE),
        operators.compressed_sensing(jax.random.key(0), 40, (8, 8, 3)),
    ),
}


@pytest.mark.parametrize("what", OPERATORS)
@pytest.mark.parametrize("name", SEARCHES)
def test_every_search_takes_every_linear_operator(name, what):
    """A method assumes that a measurement is a small colour image, or the gradient of what stands
    for it as an image does not exist."""
    operator = OPERATORS[what]
    solve = METHODS[name].make(toy.prior(), operator, SEARCHES[name].config)
    y = jax.ShapeDtypeStruct(operator.measurement_shape, np.float32)
    result = jax.eval_shape(solve, jax.random.key(0), given().params[0], y)
    assert result.image.shape == SHAPE and result.residual.shape == ()


@pytest.mark.parametrize("what", OPERATORS)
@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_every_interpolation_takes_every_linear_operator(name, what):
    """A measurement that is no small colour image fails."""
    operator = OPERATORS[what]
    x = np.random.default_rng(0).random(SHAPE, np.float32)
    solve = METHODS[name].make(toy.prior(), operator)
    result = jaxsr.restore(solve, given().params[0], np.asarray(operator(x))[None], progress=False)
    assert result.image.shape == (1, *SHAPE) and np.isfinite(result.image).all()
    if what == "inpainting":
        np.testing.assert_array_equal(result.image[0], operator(x))
    if what == "compressed_sensing":
        assert result.feasible[0]


def test_rlse_says_how_else_a_measurement_enters_the_discriminator():
    with pytest.raises(
        ValueError, match=r'needs measurements \[h, w, 1 or 3\], got \(76,\): use entry="pinv"'
    ):
        METHODS["rlse"].make(toy.prior(), OPERATORS["compressed_sensing"], RLSE(entry="resize"))
