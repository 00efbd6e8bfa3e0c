"""Inception-V3 as FID measures it: the TensorFlow graph of 2015-12-05 (Szegedy et al.,
arXiv:1512.00567; Heusel et al., arXiv:1706.08500).

That graph is not torchvision's Inception-V3. Its average pools leave the padding out of the mean,
and its last block (mixed_7c) pools by the maximum, most likely by mistake; distances are only
comparable with both kept. Names are torchvision's, in lower case.
"""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxsr.nets.layers import (
    NO_PADDING,
    around,
    batch_norm,
    conv,
    fresh_norm,
    max_pool,
    mean_pool,
    random_kernel,
)
from jaxsr.types import Image, Params, PRNGKey

EPS, SIDE = 1e-3, 299


class Conv(NamedTuple):
    """A convolution without bias, batch normalisation and ReLU. Zeros keep the size of the map
    unless `valid`."""

    name: str
    width: int
    rows: int
    columns: int
    stride: int = 1
    valid: bool = False


class Branches(NamedTuple):
    """Sequences of steps on one input, their outputs joined; the parameters lie under `name`, or
    beside the others if it is empty."""

    name: str
    paths: tuple[tuple["Step", ...], ...]


Step = Conv | Branches | Callable[[jax.Array], jax.Array]


def _shrink(x: jax.Array) -> jax.Array:
    return max_pool(x, 3, 2)


def _max(x: jax.Array) -> jax.Array:
    return max_pool(x, 3, 1, around(1))


def _mixed_5(name: str, pooled: int) -> Branches:
    five = (Conv("branch5x5_1", 48, 1, 1), Conv("branch5x5_2", 64, 5, 5))
    three = (
        Conv("branch3x3dbl_1", 64, 1, 1),
        Conv("branch3x3dbl_2", 96, 3, 3),
        Conv("branch3x3dbl_3", 96, 3, 3),
    )
    return Branches(
        name,
        (
            (Conv("branch1x1", 64, 1, 1),),
            five,
            three,
            (mean_pool, Conv("branch_pool", pooled, 1, 1)),
        ),
    )


def _mixed_6(name: str, inner: int) -> Branches:
    seven = (
        Conv("branch7x7_1", inner, 1, 1),
        Conv("branch7x7_2", inner, 1, 7),
        Conv("branch7x7_3", 192, 7, 1),
    )
    names = [f"branch7x7dbl_{i}" for i in range(1, 6)]
    sizes = ((inner, 1, 1), (inner, 7, 1), (inner, 1, 7), (inner, 7, 1), (192, 1, 7))
    double = tuple(Conv(name, *size) for name, size in zip(names, sizes, strict=True))
    return Branches(
        name,
        (
            (Conv("branch1x1", 192, 1, 1),),
            seven,
            double,
            (mean_pool, Conv("branch_pool", 192, 1, 1)),
        ),
    )


def _mixed_7(name: str, pool: Callable[[jax.Array], jax.Array]) -> Branches:
    def split(prefix: str) -> Branches:
        return Branches("", ((Conv(f"{prefix}a", 384, 1, 3),), (Conv(f"{prefix}b", 384, 3, 1),)))

    three = (Conv("branch3x3_1", 384, 1, 1), split("branch3x3_2"))
    double = (
        Conv("branch3x3dbl_1", 448, 1, 1),
        Conv("branch3x3dbl_2", 384, 3, 3),
        split("branch3x3dbl_3"),
    )
    return Branches(
        name,
        ((Conv("branch1x1", 320, 1, 1),), three, double, (pool, Conv("branch_pool", 192, 1, 1))),
    )


_MIXED_6A = Branches(
    "mixed_6a",
    (
        (Conv("branch3x3", 384, 3, 3, 2, True),),
        (
            Conv("branch3x3dbl_1", 64, 1, 1),
            Conv("branch3x3dbl_2", 96, 3, 3),
            Conv("branch3x3dbl_3", 96, 3, 3, 2, True),
        ),
        (_shrink,),
    ),
)
_MIXED_7A = Branches(
    "mixed_7a",
    (
        (Conv("branch3x3_1", 192, 1, 1), Conv("branch3x3_2", 320, 3, 3, 2, True)),
        (
            Conv("branch7x7x3_1", 192, 1, 1),
            Conv("branch7x7x3_2", 192, 1, 7),
            Conv("branch7x7x3_3", 192, 7, 1),
            Conv("branch7x7x3_4", 192, 3, 3, 2, True),
        ),
        (_shrink,),
    ),
)
STEPS: tuple[Step, ...] = (
    Conv("conv2d_1a_3x3", 32, 3, 3, 2, True),
    Conv("conv2d_2a_3x3", 32, 3, 3, 1, True),
    Conv("conv2d_2b_3x3", 64, 3, 3),
    _shrink,
    Conv("conv2d_3b_1x1", 80, 1, 1),
    Conv("conv2d_4a_3x3", 192, 3, 3, 1, True),
    _shrink,
    _mixed_5("mixed_5b", 32),
    _mixed_5("mixed_5c", 64),
    _mixed_5("mixed_5d", 64),
    _MIXED_6A,
    _mixed_6("mixed_6b", 128),
    _mixed_6("mixed_6c", 160),
    _mixed_6("mixed_6d", 160),
    _mixed_6("mixed_6e", 192),
    _MIXED_7A,
    _mixed_7("mixed_7b", mean_pool),
    _mixed_7("mixed_7c", _max),
)


def init(key: PRNGKey) -> Params:
    """Random parameters, 21.8 M numbers: {"conv2d_1a_3x3": {"kernel", "scale", "bias", "mean",
    "var"}, ..., "mixed_5b": {"branch1x1": the same, ...}, ...}; no classifier."""
    params, _ = _fresh(key, STEPS, 3)
    return params


def _fresh(key: PRNGKey, steps: tuple[Step, ...], width: int) -> tuple[dict, int]:
    """Parameters of a sequence that starts from `width` channels, and the channels at its end."""
    params = {}
    for step_key, step in zip(jax.random.split(key, len(steps)), steps, strict=True):
        if isinstance(step, Conv):
            params[step.name] = random_kernel(
                step_key, (step.rows, step.columns, width, step.width)
            ) | fresh_norm(step.width)
            width = step.width
        elif isinstance(step, Branches):
            keys = jax.random.split(step_key, len(step.paths))
            paths = [
                _fresh(path_key, path, width)
                for path_key, path in zip(keys, step.paths, strict=True)
            ]
            joined = {name: value for inner, _ in paths for name, value in inner.items()}
            params |= {step.name: joined} if step.name else joined
            width = sum(end for _, end in paths)
    return params, width


def _run(params: Params, step: Step, x: jax.Array) -> jax.Array:
    if isinstance(step, Conv):
        layer, (rows, columns) = params[step.name], (step.rows // 2, step.columns // 2)
        padding = NO_PADDING if step.valid else ((rows, rows), (columns, columns))
        return jax.nn.relu(
            batch_norm(layer, conv({"kernel": layer["kernel"]}, x, step.stride, padding), EPS)
        )
    if isinstance(step, Branches):
        inner = params[step.name] if step.name else params
        return jnp.concatenate(
            [reduce(lambda x, step: _run(inner, step, x), path, x) for path in step.paths], -1
        )
    return step(x)


def features(params: Params, image: Image) -> jax.Array:
    """The pool features [2048] that FID and KID compare, of an image [h, w, 3] in [0, 1] of any
    size.

    The image is brought to 299 x 299 as pytorch-fid does it: bilinear between pixel centres,
    WITHOUT antialiasing, so that shrinking a large image aliases (Parmar et al., arXiv:2104.11222),
    and then to [-1, 1]. The TensorFlow original aligns pixel corners instead. Shrink by another
    kernel beforehand for other protocols; an image of 299 x 299 is taken as it is.

    Raises:
        ValueError: not [h, w, 3].
    """
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected an image [h, w, 3], got {list(image.shape)}")
    x = 2.0 * jax.image.resize(image, (SIDE, SIDE, 3), "bilinear", antialias=False) - 1.0
    return jnp.mean(reduce(lambda x, step: _run(params, step, x), STEPS, x), (0, 1))
