"""Instances of every operator, over which the laws of operators and of projections run. A new
operator is one row."""

from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr import operators, resample
from jaxsr.operators import Operator
from jaxsr.operators.blur import Boundary

SHAPE = (12, 8, 3)
KEY = jax.random.key(0)
MASK = np.random.default_rng(0).uniform(size=SHAPE[:2]) < 0.6
KERNEL = np.random.default_rng(1).uniform(size=(3, 5))
KERNEL[1, 2] = 16.0  # well conditioned
KERNEL /= KERNEL.sum()
HALF = operators.downsample(2, image_shape=SHAPE)
TURNED = np.array([[0.5, -0.3, 1.5], [0.3, 0.5, -0.5]])
MEAN = jnp.full((SHAPE[0], 1), 1 / SHAPE[0])

# name -> operator, tolerance of A pinv A = A relative to the largest value. A name begins with that
# in OPERATORS, where a command takes it.
TABLE: dict[str, tuple[Operator, float]] = {
    "identity": (operators.identity(SHAPE), 0.0),
    **{
        f"downsample {factor} {kernel}": (
            operators.downsample(factor, image_shape=SHAPE, kernel=cast(resample.Kernel, kernel)),
            1e-5,
        )
        for kernel in ["bicubic", "bicubic_matlab", "bicubic_pulse", "box", "bilinear"]
        for factor in [2, 4]
    },
    **{
        f"blur {boundary}": (operators.blur(KERNEL, SHAPE, cast(Boundary, boundary)), 1e-4)
        for boundary in ["reflect", "symmetric", "edge", "wrap", "constant"]
    },
    "gaussian_blur": (operators.gaussian_blur(0.8, image_shape=SHAPE), 2e-3),
    "motion_blur": (operators.motion_blur(5, 30.0, image_shape=SHAPE, direction=1.0), 5e-3),
    "inpainting": (operators.mask(MASK, SHAPE), 0.0),
    "grey": (operators.grey(SHAPE), 1e-5),
    "compressed_sensing": (operators.compressed_sensing(KEY, 60, SHAPE), 1e-5),
    "chroma_420": (operators.chroma_420(SHAPE), 1e-4),
    "downsample_420": (
        operators.compose(
            operators.downsample(2, image_shape=SHAPE), operators.chroma_420((6, 4, 3))
        ),
        1e-4,
    ),
    "compose": (
        operators.compose(operators.mask(MASK, SHAPE), HALF, operators.grey((6, 4, 3))),
        1e-4,
    ),
    "similarity": (operators.similarity(SHAPE, (6, 5, 3), TURNED), 1e-4),
    "optics": (
        operators.optics(2, 0.3, np.array([0.2, -0.4]), 0.9, image_shape=SHAPE),
        1e-4,
    ),
    "linear, rank deficient": (
        operators.linear(lambda x: jnp.concatenate([x, x[::-1]]) * MEAN[0], SHAPE),
        1e-5,
    ),
}
rows = pytest.mark.parametrize(("operator", "tolerance"), TABLE.values(), ids=TABLE)


def draw(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def dense(operator: Operator) -> np.ndarray:
    """The operator as a float64 matrix, column by column."""
    basis = jnp.eye(int(np.prod(operator.image_shape))).reshape(-1, *operator.image_shape)
    return np.asarray(jax.vmap(operator.apply)(basis), np.float64).reshape(len(basis), -1).T
