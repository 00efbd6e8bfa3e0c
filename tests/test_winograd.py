"""Winograd's convolution against the definition in float64, its transpose against its adjoint, and
through `conv`'s gradients."""

import functools
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsr.nets import convolution, winograd

# X, outputs, padding: sizes that tiles do not divide, borders of all widths, more rows and more
# samples than one block holds.
CASES = [
    ((2, 16, 16, 8), 4, ((1, 1), (1, 1))),
    ((1, 9, 13, 3), 5, ((0, 2), (1, 0))),
    ((3, 5, 6, 2), 2, ((2, 2), (0, 0))),
    ((1, 200, 300, 2), 3, ((1, 1), (1, 1))),
    ((6, 64, 64, 2), 2, ((1, 1), (1, 1))),
]


def _normal(seed: int, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


def _direct(x: jax.Array, kernel: jax.Array, padding: winograd.Padding) -> np.ndarray:
    """The definition, tap by tap, in float64."""
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), *padding, (0, 0)))
    height, width = padded.shape[1] - 2, padded.shape[2] - 2
    taps = np.asarray(kernel, np.float64)
    return sum(
        (padded[:, i : i + height, j : j + width] @ taps[i, j] for i in range(3) for j in range(3)),
        np.zeros(()),
    )


def test_transforms_correlate_exactly():
    """Interpolation that is wrong by a sign or an order gives other numbers than the correlation,
    in float64 too."""
    samples, taps, back = winograd.transforms()
    d, g = np.random.default_rng(0).normal(size=6), np.random.default_rng(1).normal(size=3)
    np.testing.assert_allclose(
        back @ ((taps @ g) * (samples @ d)), np.correlate(d, g, "valid"), atol=1e-12
    )


def test_turned_taps_are_the_same_in_another_order():
    """Gradients, which use the forward pass's transform of the kernel, would be those of another
    kernel."""
    _, taps, _ = winograd.transforms()
    np.testing.assert_allclose(taps[:, ::-1], taps[winograd.TURN], atol=1e-12)


def test_a_gradient_transforms_its_kernel_once():
    """A tenth of a wide generator's gradient is this transform; the compiler merges the two while
    both passes ask for the same one."""
    x, kernel = _normal(0, (1, 32, 32, 64)), _normal(1, (3, 3, 64, 80))
    step = jax.jit(jax.grad(lambda x, k: jnp.sum(convolution.conv(x, k, ((1, 1), (1, 1))) ** 2)))
    program = step.lower(x, kernel).compile().as_text()
    made = re.findall(r"= f32\[36,5120\]\S* dot\(", program)
    assert len(made) == 1


class Results(NamedTuple):
    """Of one case: what goes in, the three functions, and the definition."""

    x: jax.Array
    kernel: jax.Array
    y: jax.Array
    image: np.ndarray
    convolved: jax.Array
    transposed: jax.Array
    by_kernel: jax.Array


@functools.cache
def results(shape: tuple[int, ...], outputs: int, padding: winograd.Padding) -> Results:
    x, kernel = _normal(0, shape), _normal(1, (3, 3, shape[3], outputs))
    image = _direct(x, kernel, padding)
    y = _normal(2, image.shape)

    @jax.jit
    def all_three(x, kernel, y):
        return (
            winograd.convolved(x, kernel, padding),
            winograd.transposed(y, kernel, padding),
            winograd.by_kernel(x, y, padding),
        )

    return Results(x, kernel, y, image, *all_three(x, kernel, y))


def _is_adjoint(case: Results, back: jax.Array, point: jax.Array):
    assert back.shape == point.shape
    y, back = np.asarray(case.y), np.asarray(back, np.float64)
    scale = np.linalg.norm(case.image) * np.linalg.norm(y)
    assert abs(np.sum(y * case.image) - np.sum(back * np.asarray(point))) < 1e-6 * scale


each_case = pytest.mark.parametrize(("shape", "outputs", "padding"), CASES)


@each_case
def test_equals_the_definition(shape: tuple[int, ...], outputs: int, padding: winograd.Padding):
    """Generated images change with the size of the map: a lost border, a tile in the wrong
    place."""
    case = results(shape, outputs, padding)
    np.testing.assert_allclose(case.convolved, case.image, atol=5e-5)


@each_case
def test_transposed_is_the_adjoint(shape: tuple[int, ...], outputs: int, padding: winograd.Padding):
    """Searches descend along a wrong gradient where <y, C x> and <C^T y, x> differ."""
    case = results(shape, outputs, padding)
    _is_adjoint(case, case.transposed, case.x)


@each_case
def test_by_kernel_is_the_adjoint_in_the_kernel(
    shape: tuple[int, ...], outputs: int, padding: winograd.Padding
):
    """Trainings descend along a wrong gradient where <y, C k> and <C^T y, k> differ."""
    case = results(shape, outputs, padding)
    _is_adjoint(case, case.by_kernel, case.kernel)


convolved = jax.jit(winograd.convolved, static_argnums=2)


@pytest.mark.parametrize(("channels", "most"), [(64, 1.2e-6), (256, 2.2e-6)])
def test_rounding_stays_what_the_text_says(channels: int, most: float):
    """Points of large error (the usual ones: 1.7e-6 and 3.2e-6) would move every image of a big
    generator."""
    x, kernel = (
        _normal(0, (1, 32, 32, channels)),
        _normal(1, (3, 3, channels, 64)) / np.sqrt(9 * channels),
    )
    error = np.asarray(convolved(x, kernel, ((1, 1), (1, 1)))) - _direct(
        x, kernel, ((1, 1), (1, 1))
    )
    assert np.sqrt(np.mean(error**2)) < most


def test_a_sample_is_the_same_in_any_batch():
    """A photo's result would depend on its neighbours in the batch."""
    x, kernel = _normal(0, (8, 32, 32, 64)), _normal(1, (3, 3, 64, 64))
    together = convolved(x, kernel, ((1, 1), (1, 1)))
    alone = jnp.concatenate([convolved(x[i : i + 1], kernel, ((1, 1), (1, 1))) for i in range(8)])
    np.testing.assert_allclose(together, alone, atol=5e-5)


@pytest.mark.parametrize(
    ("shape", "uses"),
    [
        ((1, 32, 32, 64), True),
        ((1, 8, 8, 64), False),
        ((1, 32, 32, 32), True),
        ((1, 32, 32, 24), False),
    ],
)
def test_conv_and_its_gradients_agree_with_the_direct_ones(shape: tuple[int, ...], uses: bool):
    """A layer wide and large enough to take this way would differ from the small ones that other
    tests check, in any derivative."""
    padding = ((1, 1), (1, 1))
    x, kernel, y = (
        _normal(0, shape),
        _normal(1, (3, 3, shape[3], 64)) / 24,
        _normal(2, (*shape[:3], 64)),
    )
    program = jax.jit(lambda x, k: convolution.conv(x, k, padding)).lower(x, kernel).as_text()
    assert ("stablehlo.convolution" not in program) is uses

    def value(conv, x: jax.Array, kernel: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sin(conv(x, kernel)) * y)

    ours, plain = (
        jax.jit(jax.value_and_grad(lambda x, k, conv=conv: value(conv, x, k), (0, 1)))(x, kernel)
        for conv in (
            lambda x, k: convolution.conv(x, k, padding),
            lambda x, k: convolution._plain(x, k, padding=padding),
        )
    )
    for got, want in zip(jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-4 * float(jnp.abs(want).max()))
