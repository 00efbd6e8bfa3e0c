"""The stride-1 convolution of every network here, with a gradient by the kernel that is fast on a CPU.

XLA's CPU backend computes that gradient as a convolution whose window is the whole map: 3 to 20 GFLOP/s where the forward pass reaches 50.
As one matrix product a sample, patches times cotangents, it reaches the forward pass's rate. The rule has to hold for forward mode (e-GLASS
linearizes a generator) and twice over (R1 differentiates a gradient), which no `custom_vjp` allows, so this is a bilinear primitive.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

Padding = tuple[tuple[int, int], tuple[int, int]]


def conv(x: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    """Correlation of [n, h, w, c] with [kh, kw, c, d], zeros added as ((top, bottom), (left, right)), each below the kernel's side.

    The kernel is cast to x's dtype. Differentiable any number of times, in both modes; inside a `shard_map` that takes check_vma=False.
    """
    (top, bottom), (left, right) = padding
    return _conv_p.bind(x, kernel.astype(x.dtype), padding=((top, bottom), (left, right)))


def same(kernel: jax.Array) -> Padding:
    """The padding that keeps a map's size under an odd kernel [kh, kw, c, d]."""
    kh, kw = kernel.shape[:2]
    return (kh // 2, kh // 2), (kw // 2, kw // 2)


def pad(x: jax.Array, axis: int, before: int, after: int) -> jax.Array:
    """Zeros around one axis."""
    widths = [(0, 0)] * x.ndim
    widths[axis] = (before, after)
    return jnp.pad(x, widths)


def cut(x: jax.Array, axis: int, start: int, size: int, stride: int = 1) -> jax.Array:
    """`size` samples of one axis from `start` on, every `stride`-th."""
    return lax.slice_in_dim(x, start, start + stride * (size - 1) + 1, stride, axis)


def interleave(even: jax.Array, odd: jax.Array, axis: int) -> jax.Array:
    """A signal from its even and its odd samples."""
    shape = list(even.shape)
    shape[axis] *= 2
    return jnp.stack([even, odd], axis + 1).reshape(shape)


def _plain(x: jax.Array, kernel: jax.Array, *, padding: Padding) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _by_input(cotangent: jax.Array, x: Any, kernel: jax.Array, *, padding: Padding) -> jax.Array:
    """The transpose in x: a correlation with the flipped kernel, its channels exchanged."""
    del x
    kh, kw = kernel.shape[:2]
    (top, bottom), (left, right) = padding
    transposed = ((kh - 1 - top, kh - 1 - bottom), (kw - 1 - left, kw - 1 - right))
    return conv(cotangent, kernel[::-1, ::-1].swapaxes(2, 3), transposed)


def _by_kernel(cotangent: jax.Array, x: jax.Array, kernel: Any, *, padding: Padding) -> jax.Array:
    """The transpose in the kernel [kh, kw, c, d], by whichever way is fast on the platform."""
    shape = kernel.aval.shape

    def transposed(x: jax.Array, cotangent: jax.Array) -> jax.Array:
        return jax.linear_transpose(lambda k: _plain(x, k, padding=padding), jnp.zeros(shape, x.dtype))(cotangent)[0]

    def patches(x: jax.Array, cotangent: jax.Array) -> jax.Array:
        return patch_products(x, cotangent, shape, padding)

    return lax.platform_dependent(x, cotangent, cpu=patches, default=transposed)


def patch_products(x: jax.Array, cotangent: jax.Array, shape: tuple[int, int, int, int], padding: Padding) -> jax.Array:
    """Sum over samples and pixels of patch [kh kw c] times cotangent [d]; x [n, h, w, c], cotangent [n, ho, wo, d] -> `shape`.

    Samples one after the other, because the patches of one fit into the cache and those of a batch do not.
    """
    kh, kw, c, d = shape
    height, width = cotangent.shape[1:3]
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    wide = jnp.promote_types(x.dtype, jnp.float32)

    def one(total: jax.Array, sample: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        image, out = sample
        taps = [image[i : i + height, j : j + width] for i in range(kh) for j in range(kw)]
        patches = jnp.concatenate(taps, -1).reshape(height * width, kh * kw * c)
        return total + jnp.matmul(patches.T, out.reshape(height * width, d), preferred_element_type=wide), None

    total, _ = lax.scan(one, jnp.zeros((kh * kw * c, d), wide), (padded, cotangent))
    return total.reshape(shape).astype(x.dtype)


def _batched(args: tuple[jax.Array, jax.Array], axes: tuple[int | None, int | None], *, padding: Padding) -> tuple[jax.Array, int]:
    """vmap over images alone folds them into the batch, so it stays one convolution; over kernels too, it is XLA's grouped convolution."""
    x, kernel = args
    if axes[1] is not None:
        return jax.vmap(lambda x, k: _plain(x, k, padding=padding), axes)(x, kernel), 0
    x = jnp.moveaxis(x, axes[0] or 0, 0)
    y = conv(x.reshape(-1, *x.shape[2:]), kernel, padding)
    return y.reshape(*x.shape[:2], *y.shape[1:]), 0


_conv_p = Primitive("jaxsr_conv")
_conv_p.def_impl(jax.jit(_plain, static_argnames="padding"))
_conv_p.def_abstract_eval(lambda x, kernel, *, padding: jax.typeof(jax.eval_shape(lambda x, k: _plain(x, k, padding=padding), x, kernel)))
mlir.register_lowering(_conv_p, mlir.lower_fun(_plain, multiple_results=False))
ad.defbilinear(_conv_p, _by_input, _by_kernel)
batching.primitive_batchers[_conv_p] = _batched
