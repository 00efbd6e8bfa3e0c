"""nets/convolution against XLA's own convolution and a slow float64 one, in every way that the
library differentiates it."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks import weights
from jax import lax

from jaxsr.nets import convolution

# Kernel sides, padding, outputs of 4 inputs: what the synthesis, the phases of a strided
# convolution and their gradients use.
CASES = {
    "same 3x3": ((3, 3), ((1, 1), (1, 1)), 2),
    "valid 2x1": ((2, 1), ((0, 0), (0, 0)), 6),
    "wide 2x2": ((2, 2), ((1, 1), (1, 1)), 2),
    "mixed 1x2": ((1, 2), ((0, 0), (1, 1)), 4),
    "uneven 3x3": ((3, 3), ((2, 0), (0, 1)), 6),
}
each_case = pytest.mark.parametrize("name", CASES)


def instance(name: str, batch: int = 3):
    (kh, kw), padding, outputs = CASES[name]
    rng = np.random.default_rng(0)
    x, kernel = (
        rng.normal(size=(batch, 5, 6, 4)).astype(np.float32),
        rng.normal(size=(kh, kw, 4, outputs)).astype(np.float32),
    )
    return x, kernel, padding


def xla(x, kernel, padding):
    return lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def close(got, expected):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@each_case
def test_equals_the_sum_over_the_window(name):
    """The window is flipped, or the padding falls on the wrong side."""
    x, kernel, padding = instance(name)
    padded = np.pad(x.astype(np.float64), ((0, 0), *padding, (0, 0)))
    kh, kw = kernel.shape[:2]
    height, width = padded.shape[1] - kh + 1, padded.shape[2] - kw + 1
    expected = sum(
        padded[:, i : i + height, j : j + width] @ kernel[i, j]
        for i, j in itertools.product(range(kh), range(kw))
    )
    got = jax.jit(convolution.conv, static_argnums=2)(x, kernel, padding)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


WAYS = {
    "reverse": lambda f: jax.grad(f, (0, 1)),
    "forward": lambda f: lambda x, k: jax.jvp(f, (x, k), (jnp.cos(x), jnp.sin(k))),
    "gradient penalty": lambda f: jax.grad(lambda x, k: jnp.sum(jax.grad(f)(x, k) ** 2), (0, 1)),
    "kernel gradient twice": lambda f: jax.grad(
        lambda x, k: jnp.sum(jax.grad(f, 1)(x, k) ** 2), (0, 1)
    ),
    "forward over reverse": lambda f: (
        lambda x, k: jax.jvp(jax.grad(f, (0, 1)), (x, k), (jnp.cos(x), jnp.sin(k)))
    ),
    "vmap over images": lambda f: (
        lambda x, k: jax.vmap(lambda x: jax.grad(f, (0, 1))(x[None], k))(x)
    ),
    "vmap over kernels": lambda f: (
        lambda x, k: jax.vmap(lambda s: jax.grad(f, (0, 1))(x, s * k))(jnp.arange(1.0, 3.0))
    ),
    "vmap over both": lambda f: (
        lambda x, k: jax.vmap(lambda x, s: jax.grad(f, (0, 1))(x[None], s * k))(
            x, jnp.arange(1.0, 4.0)
        )
    ),
}


@functools.cache
def derivatives(name: str, conv):
    """Every way's, in one compilation."""
    x, kernel, padding = instance(name)

    def f(x, kernel):
        return jnp.sum(jnp.sin(conv(x, kernel, padding)))

    return jax.jit(lambda x, k: {way: make(f)(x, k) for way, make in WAYS.items()})(x, kernel)


@each_case
@pytest.mark.parametrize("way", WAYS)
def test_derivatives_equal_those_of_the_plain_convolution(name, way):
    """Training, R1, the refinement of RLS+ or e-GLASS would follow another gradient than that of
    the network."""
    close(derivatives(name, convolution.conv)[way], derivatives(name, xla)[way])


@functools.cache
def pulled_back(name: str):
    """(cotangent, what it is by the maps and by the kernel) of the plain convolution."""
    x, kernel, padding = instance(name)

    @jax.jit
    def both(x, kernel):
        y, back = jax.vjp(lambda x, k: xla(x, k, padding), x, kernel)
        return jnp.sin(y), back(jnp.sin(y))

    return both(x, kernel)


@each_case
@pytest.mark.parametrize(
    "way", [convolution.by_taps, convolution.by_turned_maps, convolution.by_turned_kernel]
)
def test_all_gradients_by_the_maps_agree(name, way):
    """Large maps, small ones or an accelerator would follow another gradient."""
    _, kernel, padding = instance(name)
    cotangent, (expected, _) = pulled_back(name)
    close(jax.jit(way, static_argnums=2)(cotangent, kernel, padding), expected)


@each_case
def test_both_kernel_gradients_agree(name):
    """An accelerator, which takes XLA's way, would train another network than a CPU."""
    x, kernel, padding = instance(name)
    cotangent, (_, expected) = pulled_back(name)
    products = jax.jit(convolution.patch_products, static_argnums=(2, 3))
    close(products(x, cotangent, kernel.shape, padding), expected)


RULES = {
    "grouped": convolution.GROUPED,
    "one by one": convolution.ONE_BY_ONE,
    "patches": weights.PATCHES,
}


@pytest.mark.parametrize("name", RULES)
def test_weights_of_its_own_for_each_photo_give_the_same_gradient_under_every_rule(name):
    """Photos whose weights are tuned would be restored to other images on an accelerator, or the
    benchmark would compare unlike things."""
    rng = np.random.default_rng(0)
    x, target = (rng.normal(size=(3, 8, 8, c)).astype(np.float32) for c in (3, 2))
    weights = [
        0.3 * rng.normal(size=(3, *shape)).astype(np.float32)
        for shape in ((3, 3, 3, 4), (1, 2, 4, 4), (3, 3, 4, 2))
    ]

    def loss(weights, x, target, conv):
        for kernel in weights[:-1]:
            x = jnp.tanh(
                conv(x, kernel, ((1, 1), (1, 1)) if kernel.shape[0] == 3 else ((0, 0), (0, 1)))
            )
        return jnp.mean((conv(x, weights[-1], ((1, 1), (1, 1))) - target) ** 2)

    def gradients(conv):
        return jax.vmap(
            jax.value_and_grad(lambda w, x, t: loss(w, x[None], t[None], conv), (0, 1))
        )(weights, x, target)

    with convolution.one_rule(RULES[name]):
        got = jax.jit(gradients, static_argnums=0)(convolution.conv)
    expected = jax.jit(gradients, static_argnums=0)(xla)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("axes", [(None, 0), (0, 0), (1, 1), (None, 4)])
def test_rules_take_photos_along_any_axis(name, axes):
    """A batch that lies along another axis would be convolved with another photo's kernel."""
    x, kernel, padding = instance("uneven 3x3")
    scales = np.arange(1.0, 4.0, dtype=np.float32)
    xs = x if axes[0] is None else np.stack([x * s for s in scales], axes[0])
    kernels = np.stack([kernel * np.sin(s) for s in scales], axes[1])

    @jax.jit
    def both(xs, kernels):
        return tuple(
            jax.vmap(lambda x, k, conv=conv: conv(x, k, padding), axes)(xs, kernels)
            for conv in (convolution.conv, xla)
        )

    with convolution.one_rule(RULES[name]):
        got, expected = both(xs, kernels)
    close(got, expected)


def test_a_measured_rule_leaves_the_table_as_it_was():
    """A benchmark, or a test that fails, would change how everything after it is convolved."""
    before = dict(convolution.RULES)

    def fail():
        with convolution.one_rule(convolution.GROUPED):
            assert list(convolution.RULES.values()) == [convolution.GROUPED]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert before == convolution.RULES


def test_derivatives_hold_inside_a_shard_map():
    """Training on several devices takes them there."""
    x, kernel, padding = instance("same 3x3")
    grads = jax.grad(
        lambda x, kernel: jnp.sum(jnp.sin(convolution.conv(x, kernel, padding))), (0, 1)
    )
    mesh, split = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("batch",)), jax.P("batch")
    mapped = jax.shard_map(
        grads, mesh=mesh, in_specs=(split, jax.P()), out_specs=(split, jax.P()), check_vma=False
    )
    close(jax.jit(mapped)(x, kernel), grads(x, kernel))


def test_half_precision_accumulates_in_single():
    """The gradient by the kernel sums thousands of products: in bfloat16 most of them would
    vanish."""
    x, kernel, padding = jnp.ones((4, 16, 16, 1)), jnp.ones((1, 1, 1, 1)), ((0, 0), (0, 0))
    grad = jax.grad(
        lambda k: convolution.conv(x.astype(jnp.bfloat16), k, padding).astype(jnp.float32).sum()
    )(kernel)
    assert float(grad.sum()) == 1024


def test_a_batch_of_none_has_gradients():
    """The last, empty share of a folder would end a run."""
    x, kernel = jnp.zeros((0, 6, 6, 3)), jnp.ones((3, 3, 3, 2))
    by_x, by_kernel = jax.jit(
        jax.grad(lambda x, k: jnp.sum(convolution.conv(x, k, ((1, 1), (1, 1)))), (0, 1))
    )(x, kernel)
    assert by_x.shape == x.shape
    np.testing.assert_array_equal(by_kernel, np.zeros(kernel.shape))


def test_large_maps_have_the_same_gradients():
    """A CPU takes another way for maps of many pixels, which the small instances above do not
    reach."""
    rng = np.random.default_rng(0)
    x, kernel = (
        rng.normal(size=(1, 32, 32, 3)).astype(np.float32),
        rng.normal(size=(3, 3, 3, 4)).astype(np.float32),
    )
    assert x.shape[1] * x.shape[2] > convolution.FEW_PIXELS
    ours, plain = (
        lambda x, k, conv=conv: jnp.mean(jnp.sin(conv(x, k, ((1, 1), (1, 1)))))
        for conv in (convolution.conv, xla)
    )
    ours, plain = (jax.jit(jax.grad(f, (0, 1))) for f in (ours, plain))
    close(ours(x, kernel), plain(x, kernel))
