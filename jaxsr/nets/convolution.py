"""The stride-1 convolution of every network here, with gradients that are fast on a CPU.

XLA's CPU backend computes that gradient as a convolution whose window is the whole map: 3 to 20
GFLOP/s where the forward pass reaches 50. As matrix products of a few samples each, patches times
cotangents, it reaches the forward pass's rate. The rule has to hold for forward mode (e-GLASS
linearizes a generator) and twice over (R1 differentiates a gradient), which no `custom_vjp` allows,
so the convolution and its two gradients are bilinear primitives, which are each other's transposes.

Photos with kernels of their own (the weights that RLSE, RLS+ and IAGAN tune, under vmap) go through
`RULES`, by platform.
"""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxsr.nets import winograd
from jaxsr.nets.winograd import Padding

Axes = tuple[int | None, int | None]
PIXELS = 8192  # of the maps whose patches are multiplied at once
# Of a batch of maps: up to as many, or with kernels of up to `FEW_TAPS`, the gradient by x is one
# product, which.
FEW_PIXELS = 512
# Copies neither kernel nor maps: the fastest way at 59 of 72 shapes, 24 to 512 channels, 4 to 128
# px, 1 and 8 photos.
FEW_TAPS = 4


class Rule(NamedTuple):
    """How b photos with kernels of their own are convolved, x [b, n, h, w, c] and kernel [b, kh,
    kw, c, d] -> [b, n, ho, wo, d].

    Attributes:
        forward: (x, kernel, padding) -> the convolution.
        by_input: (cotangent [b, n, ho, wo, d], kernel, padding) -> the gradient by x.
        by_kernel: (x, cotangent, padding) -> the gradient by the kernel.
    """

    forward: Callable[[jax.Array, jax.Array, Padding], jax.Array]
    by_input: Callable[[jax.Array, jax.Array, Padding], jax.Array]
    by_kernel: Callable[[jax.Array, jax.Array, Padding], jax.Array]


def conv(x: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    """Correlation of [n, h, w, c] with [kh, kw, c, d], zeros added as ((top, bottom), (left,
    right)), from 0 to below the kernel's side.

    The kernel is cast to x's dtype. Differentiable any number of times, in both modes; inside a
    `shard_map` that takes check_vma=False.
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


def deinterleave(x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """The even and the odd samples of a signal of even length. Its gradient is `interleave`, where
    that of strided slices adds two maps filled up with zeros, which takes two to three times as
    long."""
    shape = list(x.shape)
    shape[axis : axis + 1] = [shape[axis] // 2, 2]
    even, odd = lax.split(x.reshape(shape), (1, 1), axis + 1)
    return even.squeeze(axis + 1), odd.squeeze(axis + 1)


def _plain(x: jax.Array, kernel: jax.Array, *, padding: Padding) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _forward(x: jax.Array, kernel: jax.Array, *, padding: Padding) -> jax.Array:
    """The convolution, by whichever way is fast on the platform."""
    if not winograd.pays(x, kernel.shape):
        return _plain(x, kernel, padding=padding)
    return _by_platform({"cpu": winograd.convolved, "default": _plain}, x, kernel, padding)


def _by_platform(
    ways: dict[str, Callable], a: jax.Array, b: jax.Array, padding: Padding
) -> jax.Array:
    return lax.platform_dependent(
        a, b, **{name: functools.partial(way, padding=padding) for name, way in ways.items()}
    )


def turned(kernel: jax.Array, padding: Padding) -> tuple[jax.Array, Padding]:
    """Kernel [..., kh, kw, d, c] and padding of the convolution that is the transpose, in x, of
    that with `kernel` [..., kh, kw, c, d]."""
    return jnp.flip(kernel, (-4, -3)).swapaxes(-2, -1), _mirrored(padding, kernel.shape[-4:-2])


def _mirrored(padding: Padding, sides: tuple[int, ...]) -> Padding:
    """The padding of the transpose, in x, of a convolution with a kernel of these sides."""
    (top, bottom), (left, right) = padding
    return (sides[0] - 1 - top, sides[0] - 1 - bottom), (sides[1] - 1 - left, sides[1] - 1 - right)


def by_turned_kernel(cotangent: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    """The gradient by x as a convolution with the turned kernel."""
    kernel, padding = turned(kernel, padding)
    return _plain(cotangent, kernel, padding=padding)


def by_turned_maps(cotangent: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    """The gradient by x as a convolution of flipped maps. The kernel only exchanges its channels,
    which XLA's CPU backend does twice as fast as exchanging and flipping."""
    (top, bottom), (left, right) = _mirrored(padding, kernel.shape[:2])
    y = _plain(
        cotangent[:, ::-1, ::-1], kernel.swapaxes(2, 3), padding=((bottom, top), (right, left))
    )
    return y[:, ::-1, ::-1]


def by_taps(cotangent: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    """The gradient by x as one product of all cotangents [d] with the kernel as it lies. What each
    tap gives is added where it belongs."""
    (kh, kw, c, d), (n, height, width) = kernel.shape, cotangent.shape[:3]
    wide = jnp.promote_types(cotangent.dtype, jnp.float32)
    rows, columns = cotangent.reshape(-1, d), kernel.reshape(-1, d)
    taps = lax.dot_general(
        rows, columns, (((1,), (1,)), ((), ())), preferred_element_type=wide
    ).reshape(n, height, width, kh, kw, c)
    placed = [
        jnp.pad(taps[:, :, :, i, j], ((0, 0), (i, kh - 1 - i), (j, kw - 1 - j), (0, 0)))
        for i in range(kh)
        for j in range(kw)
    ]
    (top, bottom), (left, right) = padding
    total = functools.reduce(jnp.add, placed)
    return total[:, top : total.shape[1] - bottom, left : total.shape[2] - right].astype(
        cotangent.dtype
    )


def _plain_by_input(cotangent: jax.Array, kernel: jax.Array, *, padding: Padding) -> jax.Array:
    """The gradient by x, by whichever way is fast on the platform."""
    few = math.prod(cotangent.shape[:3]) <= FEW_PIXELS or math.prod(kernel.shape[:2]) <= FEW_TAPS
    many = winograd.transposed if winograd.pays(cotangent, kernel.shape) else by_turned_maps
    return _by_platform(
        {"cpu": by_taps if few else many, "default": by_turned_kernel}, cotangent, kernel, padding
    )


def _plain_by_kernel(x: jax.Array, cotangent: jax.Array, *, padding: Padding) -> jax.Array:
    """The gradient by the kernel, by whichever way is fast on the platform."""
    kh, kw = (x.shape[axis] + sum(padding[axis - 1]) - cotangent.shape[axis] + 1 for axis in (1, 2))
    shape = (kh, kw, x.shape[3], cotangent.shape[3])

    def transposed(x: jax.Array, cotangent: jax.Array) -> jax.Array:
        return jax.linear_transpose(
            lambda k: _plain(x, k, padding=padding), jnp.zeros(shape, x.dtype)
        )(cotangent)[0]

    def patches(x: jax.Array, cotangent: jax.Array) -> jax.Array:
        return patch_products(x, cotangent, shape, padding)

    fast = (
        functools.partial(winograd.by_kernel, padding=padding)
        if winograd.pays(cotangent, shape)
        else patches
    )
    return lax.platform_dependent(x, cotangent, cpu=fast, default=transposed)


def patch_products(
    x: jax.Array, cotangent: jax.Array, shape: tuple[int, int, int, int], padding: Padding
) -> jax.Array:
    """Sum over samples and pixels of patch [kh kw c] times cotangent [d]; x [n, h, w, c], cotangent
    [n, ho, wo, d] -> `shape`.

    Of x and the cotangents those with fewer channels are copied once a tap, and the product keeps
    these on its right: the other way round takes up to three times as long. As many samples at a
    time as have `PIXELS` pixels, which bounds the copies.
    """
    n, height, width = cotangent.shape[:3]
    group = max(
        (g for g in range(1, n + 1) if n % g == 0 and (g == 1 or g * height * width <= PIXELS)),
        default=1,
    )
    few = _cotangent_patches if shape[3] < shape[2] else _map_patches
    wide = jnp.promote_types(x.dtype, jnp.float32)

    def some(total: jax.Array, samples: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        return total + few(*samples, shape, padding, wide), None

    maps, outs = (a.reshape(n // group, group, *a.shape[1:]) for a in (x, cotangent))
    total = jnp.zeros(shape, wide)
    total = (
        some(total, (maps[0], outs[0]))[0] if group == n else lax.scan(some, total, (maps, outs))[0]
    )
    return total.astype(x.dtype)


def _map_patches(
    x: jax.Array, cotangent: jax.Array, shape: tuple[int, ...], padding: Padding, wide: np.dtype
) -> jax.Array:
    kh, kw, c, d = shape
    height, width = cotangent.shape[1:3]
    padded = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    taps = [padded[:, i : i + height, j : j + width] for i in range(kh) for j in range(kw)]
    return _summed(cotangent, taps, wide).reshape(d, kh, kw, c).transpose(1, 2, 3, 0)


def _cotangent_patches(
    x: jax.Array, cotangent: jax.Array, shape: tuple[int, ...], padding: Padding, wide: np.dtype
) -> jax.Array:
    kh, kw, c, d = shape
    height, width = x.shape[1:3]
    padded = jnp.pad(cotangent, ((0, 0), *_mirrored(padding, (kh, kw)), (0, 0)))
    taps = [
        padded[:, i : i + height, j : j + width]
        for i in reversed(range(kh))
        for j in reversed(range(kw))
    ]
    return _summed(x, taps, wide).reshape(c, kh, kw, d).transpose(1, 2, 0, 3)


def _summed(one: jax.Array, taps: list[jax.Array], wide: np.dtype) -> jax.Array:
    """Over samples and pixels: one [n, h, w, a] times all taps [n, h, w, b] -> [a, taps b]."""
    right = jnp.concatenate(taps, -1)
    left = one.reshape(-1, one.shape[-1])
    return lax.dot_general(
        left,
        right.reshape(-1, right.shape[-1]),
        (((0,), (0,)), ((), ())),
        preferred_element_type=wide,
    )


def _at_once(plain: Callable) -> Callable:
    return lambda a, b, padding: jax.vmap(lambda a, b: plain(a, b, padding=padding))(a, b)


def _in_turn(primitive: Primitive) -> Callable:
    return lambda a, b, padding: lax.map(
        lambda photo: primitive.bind(*photo, padding=padding), (a, b)
    )


@contextlib.contextmanager
def one_rule(rule: Rule) -> Iterator[None]:
    """Within, `rule` serves every platform: to measure it and to test it. Everything compiled is
    forgotten, before and after."""
    kept = dict(RULES)
    try:
        RULES.clear()
        RULES["default"] = rule
        jax.clear_caches()
        yield
    finally:
        RULES.clear()
        RULES.update(kept)
        jax.clear_caches()


def _batched(
    args: tuple[jax.Array, jax.Array], axes: Axes, *, padding: Padding
) -> tuple[jax.Array, int]:
    return _folded(_conv_p, "forward", args, axes, padding), 0


def _batched_by_input(
    args: tuple[jax.Array, jax.Array], axes: Axes, *, padding: Padding
) -> tuple[jax.Array, int]:
    return _folded(_input_p, "by_input", args, axes, padding), 0


def _batched_by_kernel(
    args: tuple[jax.Array, jax.Array], axes: Axes, *, padding: Padding
) -> tuple[jax.Array, int]:
    return _by_rule(_kernel_p, "by_kernel", args, axes, padding), 0


def _folded(
    primitive: Primitive, part: str, args: tuple[jax.Array, jax.Array], axes: Axes, padding: Padding
) -> jax.Array:
    """vmap over images alone folds them into the batch, so it stays one convolution; over kernels
    too, it is up to `RULES`."""
    if axes[1] is not None:
        return _by_rule(primitive, part, args, axes, padding)
    x = jnp.moveaxis(args[0], axes[0] or 0, 0)
    y = primitive.bind(x.reshape(-1, *x.shape[2:]), args[1], padding=padding)
    return y.reshape(*x.shape[:2], *y.shape[1:])


def _by_rule(
    primitive: Primitive, part: str, args: tuple[jax.Array, jax.Array], axes: Axes, padding: Padding
) -> jax.Array:
    """The platform's part of a rule, for two arguments of which at least one has an axis of photos;
    a photo alone needs no rule."""
    pairs = list(zip(args, axes, strict=True))
    photos = next(arg.shape[axis] for arg, axis in pairs if axis is not None)
    full = [
        jnp.broadcast_to(arg, (photos, *arg.shape)) if axis is None else jnp.moveaxis(arg, axis, 0)
        for arg, axis in pairs
    ]
    if photos == 1:
        return primitive.bind(*(arg[0] for arg in full), padding=padding)[None]
    return _by_platform(
        {name: getattr(rule, part) for name, rule in RULES.items()}, full[0], full[1], padding
    )


def _primitive(name: str, plain: Callable, batched: Callable) -> Primitive:
    """A bilinear primitive (a, b, *, padding) that computes `plain`."""
    made = Primitive(name)
    made.def_impl(jax.jit(plain, static_argnames="padding"))
    made.def_abstract_eval(
        lambda a, b, *, padding: jax.typeof(
            jax.eval_shape(lambda a, b: plain(a, b, padding=padding), a, b)
        )
    )
    mlir.register_lowering(made, mlir.lower_fun(plain, multiple_results=False))
    batching.primitive_batchers[made] = batched
    return made


_conv_p = _primitive("jaxsr_conv", _forward, _batched)
_input_p = _primitive("jaxsr_conv_by_input", _plain_by_input, _batched_by_input)
_kernel_p = _primitive("jaxsr_conv_by_kernel", _plain_by_kernel, _batched_by_kernel)

# <cotangent, conv(x, kernel)> is linear in each of the three; a primitive is its gradient by one of
# them, given the other two.
ad.defbilinear(
    _conv_p,
    lambda cotangent, x, kernel, *, padding: _input_p.bind(cotangent, kernel, padding=padding),
    lambda cotangent, x, kernel, *, padding: _kernel_p.bind(x, cotangent, padding=padding),
)
ad.defbilinear(
    _input_p,
    lambda x, cotangent, kernel, *, padding: _conv_p.bind(x, kernel, padding=padding),
    lambda x, cotangent, kernel, *, padding: _kernel_p.bind(x, cotangent, padding=padding),
)
ad.defbilinear(
    _kernel_p,
    lambda kernel, x, cotangent, *, padding: _input_p.bind(cotangent, kernel, padding=padding),
    lambda kernel, x, cotangent, *, padding: _conv_p.bind(x, kernel, padding=padding),
)

# XLA's grouped convolution.
GROUPED = Rule(_at_once(_plain), _at_once(_plain_by_input), _at_once(_plain_by_kernel))
# Inside each layer one photo after the other.
ONE_BY_ONE = Rule(_in_turn(_conv_p), _in_turn(_input_p), _in_turn(_kernel_p))

# By platform, as `benchmark.py --tables=weights` measured it: XLA's CPU backend runs the grouped
# convolution of 8 photos at a third of the rate at which it runs the photos' own.
RULES: dict[str, Rule] = {"cpu": ONE_BY_ONE, "default": GROUPED}
