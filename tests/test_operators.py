"""Laws that every operator keeps, over the instances of operator_table.py."""

from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from operator_table import HALF, KERNEL, KEY, MASK, SHAPE, TABLE, dense, draw, rows

from jaxsr import operators, resample
from jaxsr.operators.blur import Boundary
from jaxsr.operators.linear import Shape


def test_every_operator_has_its_row():
    """An operator of OPERATORS obeys no law that a test knows of."""
    without = set(operators.OPERATORS) - {name.split()[0] for name in TABLE}
    assert not without, f"operators without a row in TABLE of tests/operator_table.py: {without}"


@rows
def test_shapes_and_call(operator, tolerance):
    """What a method reads before it draws anything."""
    x = draw(0, operator.image_shape)
    assert operator(x).shape == operator.measurement_shape
    assert operator(x).dtype == jnp.float32
    assert (
        operator.adjoint(operator(x)).shape
        == operator.pinv(operator(x)).shape
        == operator.image_shape
    )
    np.testing.assert_array_equal(operator(x), operator.apply(x))


@rows
def test_linear(operator, tolerance):
    """A search's gradient is wrong without it."""
    x, z = draw(1, operator.image_shape), draw(2, operator.image_shape)
    np.testing.assert_allclose(
        operator(2.0 * x - 3.0 * z), 2.0 * operator(x) - 3.0 * operator(z), atol=2e-5
    )


@rows
def test_adjoint(operator, tolerance):
    """<A x, y> = <x, A* y>, scaled by norms since the products themselves may be near zero."""
    x, y = draw(3, operator.image_shape), draw(4, operator.measurement_shape)
    ax, aty = np.asarray(operator(x), np.float64), np.asarray(operator.adjoint(y), np.float64)
    assert abs(np.vdot(ax, y) - np.vdot(x, aty)) <= 1e-5 * np.linalg.norm(ax) * np.linalg.norm(y)


@rows
def test_pinv_explains_what_can_be_explained(operator, tolerance):
    """A pinv A = A: the image that comes back gives the measurement again."""
    y = operator(draw(5, operator.image_shape))
    np.testing.assert_allclose(
        operator(operator.pinv(y)), y, atol=tolerance * float(jnp.abs(y).max())
    )


@pytest.mark.parametrize(
    "name",
    [
        "downsample 4 bicubic",
        "inpainting",
        "grey",
        "compressed_sensing",
        "compose",
        "blur wrap",
        "linear, rank deficient",
    ],
)
def test_pinv_equals_the_dense_one(name):
    """Of all images that explain a measurement it is the smallest; and the best one where none
    does."""
    operator, _ = TABLE[name]
    y = draw(6, operator.measurement_shape)
    expected = np.linalg.pinv(dense(operator), rcond=1e-6) @ y.reshape(-1)
    np.testing.assert_allclose(
        np.asarray(operator.pinv(y)).reshape(-1), expected, atol=1e-4 * np.abs(expected).max()
    )


@rows
def test_vmap_and_jit_equal_a_loop(operator, tolerance):
    """A photo's result must not depend on its neighbours in the batch."""
    ys = jnp.stack([operator(draw(seed, operator.image_shape)) for seed in (7, 8, 9)])
    for function in (operator.adjoint, operator.pinv):
        expected = jnp.stack([function(y) for y in ys])
        np.testing.assert_allclose(
            jax.jit(jax.vmap(function))(ys),
            expected,
            atol=max(2e-4, tolerance) * float(jnp.abs(expected).max()),
        )


@rows
def test_other_shapes_are_refused(operator, tolerance):
    """A grey image or a batch would broadcast silently."""
    wrong = np.zeros((1, *operator.image_shape), np.float32)
    for function in (operator.apply, operator.adjoint, operator.pinv):
        with pytest.raises(ValueError, match=r"expected an array of shape \("):
            function(wrong)


@pytest.mark.parametrize(
    "kernel", ["bicubic", "bicubic_matlab", "bicubic_pulse", "box", "bilinear"]
)
@pytest.mark.parametrize(("size", "factor"), [(1024, 2), (1024, 64), (256, 8), (128, 64), (48, 3)])
def test_downsample_pinv_is_exact(kernel, size, factor):
    """A(pinv(y)) = y to 1e-5 at every size a prior has."""
    operator = operators.downsample(factor, image_shape=(size, size, 3), kernel=kernel)
    y = np.random.default_rng(0).uniform(size=operator.measurement_shape).astype(np.float32)
    np.testing.assert_allclose(operator(operator.pinv(y)), y, atol=1e-5)


@pytest.mark.parametrize(
    "kernel", ["bicubic", "bicubic_matlab", "bicubic_pulse", "box", "bilinear"]
)
def test_downsample_is_the_kronecker_product(kernel):
    """Rows and columns are not exchanged, channels not mixed: the dense matrix at 8 x 12."""
    operator = operators.downsample(4, image_shape=(8, 12, 3), kernel=kernel)
    columns = resample.downsample_matrix(12, 4, kernel)
    expected = np.kron(np.kron(resample.downsample_matrix(8, 4, kernel), columns), np.eye(3))
    np.testing.assert_allclose(dense(operator), expected, atol=1e-6)


@pytest.mark.parametrize("boundary", ["reflect", "symmetric", "edge", "wrap", "constant"])
def test_blur_is_a_convolution(boundary):
    """Not a correlation: a point spreads into the kernel, the right way round; borders as
    numpy.pad's."""
    image = draw(0, SHAPE)
    padded = np.pad(image, ((1, 1), (2, 2), (0, 0)), mode=boundary)
    expected = sum(
        KERNEL[2 - i, 4 - j] * padded[i : i + 12, j : j + 8] for i in range(3) for j in range(5)
    )
    np.testing.assert_allclose(operators.blur(KERNEL, SHAPE, boundary)(image), expected, atol=1e-5)


def test_gaussian_blur_has_its_width():
    """sigma is the standard deviation in pixels."""
    point = np.zeros((41, 41, 3), np.float32)
    point[20, 20] = 1.0
    profile = np.asarray(operators.gaussian_blur(2.5, image_shape=point.shape)(point))[..., 0].sum(
        0
    )
    offsets = np.arange(41) - 20
    assert abs(profile.sum() - 1.0) < 1e-5
    assert abs(np.sqrt(np.sum(profile * offsets**2)) - 2.5) < 0.02


def test_motion_kernel_points_up_and_right_at_45_degrees():
    """Angle anticlockwise as seen, the heavy end in front; length 49, angle 45, direction 1 is
    RLS's test."""
    kernel = operators.motion_kernel(49, 45.0, 1.0)
    grid = np.arange(49) - 24
    assert abs(kernel.sum() - 1.0) < 1e-12
    assert kernel.min() >= 0.0
    row, column = np.sum(kernel * grid[:, None]), np.sum(kernel * grid[None])
    assert row < -4
    assert column > 4
    assert abs(row + column) < 1e-9
    np.testing.assert_allclose(operators.motion_kernel(5, 0.0)[[0, 1, 3, 4]], 0.0, atol=1e-12)


def test_compressed_sensing_rows_are_orthonormal():
    """A A* = I, so that its pseudo-inverse may be its adjoint; another key gives other rows."""
    matrix = dense(operators.compressed_sensing(KEY, 60, (8, 4, 3)))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(60), atol=1e-5)
    assert (
        np.abs(matrix - dense(operators.compressed_sensing(jax.random.key(1), 60, (8, 4, 3)))).max()
        > 0.1
    )


def test_compose_applies_left_to_right():
    """And takes nothing that does not fit."""
    first, second = operators.downsample(2, image_shape=SHAPE), operators.grey((6, 4, 3))
    x = draw(0, SHAPE)
    np.testing.assert_allclose(operators.compose(first, second)(x), second(first(x)), atol=1e-6)
    with pytest.raises(ValueError, match="expected an input of shape"):
        operators.compose(second, first)


def test_pinv_of_nothing_is_nothing():
    """Conjugate gradients must not divide by zero."""
    operator, _ = TABLE["compose"]
    np.testing.assert_array_equal(
        operator.pinv(np.zeros(operator.measurement_shape, np.float32)), 0.0
    )


def test_the_pseudo_inverse_by_conjugate_gradients_has_its_transpose_as_derivative():
    """A search whose objective looks at the least-norm image goes another way than downhill."""
    operator = operators.linear(lambda x: x[:, ::2].mean(0), (4, 6, 3))
    size = np.prod(operator.measurement_shape)
    units = np.eye(size, dtype=np.float32).reshape(size, *operator.measurement_shape)
    columns = jax.vmap(operator.pinv)(units).reshape(size, -1)
    cotangents = np.random.default_rng(0).normal(size=(3, 4, 6, 3)).astype(np.float32)
    gradients = jax.vmap(jax.grad(lambda y, c: jnp.vdot(operator.pinv(y), c)))(
        units[:3], cotangents
    )
    np.testing.assert_allclose(
        gradients.reshape(3, -1), cotangents.reshape(3, -1) @ columns.T, atol=1e-5
    )


@pytest.mark.parametrize(
    "operator",
    [TABLE["inpainting"][0], operators.compose(HALF, operators.mask(MASK[::2, ::2], (6, 4, 3)))],
)
def test_onto_range_leaves_what_an_image_can_give_and_nothing_else(operator):
    """Breaks when a photo whose hidden pixels hold anything is restored differently from one where
    they are black."""
    y = np.asarray(operator(draw(0, operator.image_shape)))
    np.testing.assert_array_equal(operator.onto_range(y), y)
    anything = np.where(np.asarray(operator(np.ones(operator.image_shape))) == 0, np.nan, y)
    assert np.isnan(anything).any()
    np.testing.assert_array_equal(operator.onto_range(anything), y)


BAD = {
    "factor": (lambda: operators.downsample(5, image_shape=SHAPE), "factor 5 and side 12"),
    "kernel sides": (lambda: operators.blur(np.ones((2, 3)), SHAPE), "odd sides"),
    "kernel values": (lambda: operators.blur(np.full((3, 3), np.nan), SHAPE), "finite"),
    "kernel size": (lambda: operators.blur(np.ones((25, 3)), SHAPE), "less than twice"),
    "sigma": (lambda: operators.gaussian_blur(0.0, image_shape=SHAPE), "sigma > 0"),
    "motion": (lambda: operators.motion_kernel(4, 0.0), "odd length"),
    "boundary": (
        lambda: operators.blur(KERNEL, SHAPE, cast(Boundary, "refl")),
        "unknown boundary 'refl': expected one of reflect",
    ),
    "endless sigma": (
        lambda: operators.gaussian_blur(np.inf, image_shape=SHAPE),
        "finite sigma > 0",
    ),
    "mask": (lambda: operators.mask(MASK.T, SHAPE), "mask of shape"),
    "8-bit mask": (
        lambda: operators.mask(255 * np.asarray(MASK, np.uint8), SHAPE),
        r"0 \(hidden\) and 1 \(seen\), got 255",
    ),
    "mask of NaN": (
        lambda: operators.mask(np.nan * np.ones(np.shape(MASK)), SHAPE),
        "and 1 .*, got nan",
    ),
    "measurements": (lambda: operators.compressed_sensing(KEY, 0, SHAPE), "between 1 and 288"),
    "compose": (lambda: operators.compose(), "at least one"),
    "affine": (
        lambda: operators.linear(lambda x: x + 1, SHAPE),
        "linear function, got one that makes 1 of an image of zeros",
    ),
    "square": (
        lambda: operators.linear(lambda x: x**2, SHAPE),
        "linear function, got one without a transpose",
    ),
    "clipped": (
        lambda: operators.linear(lambda x: jnp.maximum(x, 0), SHAPE),
        "linear function, got one without a transpose",
    ),
    "two arrays": (
        lambda: operators.linear(lambda x: (x, x), SHAPE),
        "returns one array, got tuple",
    ),
    "shape of linear": (
        lambda: operators.linear(lambda x: x, cast(Shape, 8)),
        "image_shape such as .*, got 8",
    ),
    "grey of grey": (lambda: operators.grey((8, 8, 1)), "3 channels to make grey, got 1"),
    "shape of grey": (
        lambda: operators.grey((8, 8)),
        r"image_shape \(height, width, channels\), got \(8, 8\)",
    ),
    "shape of downsample": (
        lambda: operators.downsample(2, image_shape=(8, 8)),
        r"\(height, width, channels\), got \(8, 8\)",
    ),
    "key": (
        lambda: operators.compressed_sensing(cast(jax.Array, 0), 10, SHAPE),
        "key of jax.random.key, got 0",
    ),
    "length": (lambda: operators.motion_kernel(cast(int, 5.0), 0.0), "odd length"),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD)
def test_bad_settings_are_one_clear_line(call, message):
    """Before anything is compiled."""
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
