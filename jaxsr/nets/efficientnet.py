"""EfficientNet-Lite0 without its classifier: frozen features that are cheap on a CPU, as is their
gradient by the picture.

Tan and Le, arXiv:1905.11946. "Lite" is the TensorFlow authors' own release, without
squeeze-and-excitation and with ReLU6. Its batch normalisations are folded into the convolutions.
Padding is TensorFlow's "SAME": an odd pixel goes to the end. The weights that `metrics.networks`
knows were converted and published by ML Illustrated, not by the network's authors.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxsr.nets.layers import Padding, conv, random_conv, random_kernel
from jaxsr.types import Image, Params, PRNGKey


class Block(NamedTuple):
    """Expand by 1 x 1, filter each channel by its own kernel, project by 1 x 1.

    Attributes:
        kernel: side of the channels' kernels.
        stride: their stride.
        expansion: how often the inputs are multiplied before; 1: they are not.
        inputs: channels that come in.
        width: channels that go out.
    """

    kernel: int
    stride: int
    expansion: int
    inputs: int
    width: int


STEM, SMALLEST = 32, 32
# (kernel, stride of the first block, expansion, width, blocks)
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
# From stride 4 on, the last block before each halving of the side, and the last of all.
TAPS = (2, 4, 10, 15)


def _blocks() -> tuple[Block, ...]:
    blocks, inputs = [], STEM
    for kernel, stride, expansion, width, repeats in STAGES:
        for i in range(repeats):
            blocks.append(Block(kernel, 1 if i else stride, expansion, inputs, width))
            inputs = width
    return tuple(blocks)


BLOCKS = _blocks()


def init(key: PRNGKey) -> Params:
    """Random parameters, 2.9 M numbers: {"stem": {"kernel", "bias"}, "blocks": [{"expand",
    "depthwise", "project": the same}, ...]}.

    Kernels are [3, 3, 3, 32] of the stem, [k, k, c] of "depthwise" and [c, d] of the others. The
    first block has no "expand".
    """
    first, *keys = jax.random.split(key, len(BLOCKS) + 1)
    blocks = [_random_block(key, block) for key, block in zip(keys, BLOCKS, strict=True)]
    return {"stem": random_conv(first, (3, 3, 3, STEM)), "blocks": blocks}


def _random_block(key: PRNGKey, block: Block) -> dict[str, dict[str, jax.Array]]:
    inner, side = block.inputs * block.expansion, block.kernel
    shapes = {
        "expand": (block.inputs, inner),
        "depthwise": (side, side, 1, inner),
        "project": (inner, block.width),
    }
    layers = {
        name: random_kernel(key, shape)
        for key, (name, shape) in zip(jax.random.split(key, 3), shapes.items(), strict=True)
    }
    layers["depthwise"]["kernel"] = layers["depthwise"]["kernel"][:, :, 0]
    return {
        name: layer | {"bias": jnp.zeros(layer["kernel"].shape[-1])}
        for name, layer in layers.items()
        if name != "expand" or block.expansion > 1
    }


def maps(params: Params, image: Image) -> list[jax.Array]:
    """Four maps [r, r', c] of an image [h, w, 3] in [0, 1]: of stride 4, 8, 16, 32 (rounded up)
    with 24, 40, 112, 320 channels.

    Differentiable in reverse mode alone.

    Raises:
        ValueError: not [h, w, 3], or a side below 32 pixels, the stride of the last map.
    """
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < SMALLEST:
        raise ValueError(
            f"expected an image [h, w, 3] of at least {SMALLEST} pixels a side, got "
            f"{list(image.shape)}"
        )
    x = 2.0 * jnp.asarray(image) - 1.0
    x = jax.nn.relu6(conv(params["stem"], x, 2, _same(x.shape, 3, 2)))
    after = []
    for block, layers in zip(BLOCKS, params["blocks"], strict=True):
        x = _run(block, layers, x)
        after.append(x)
    return [after[i] for i in TAPS]


def vector(params: Params, image: Image) -> jax.Array:
    """The mean [320] of the last map over its pixels, for Frechet distances.

    With the other maps' means, 496 numbers, blurred photos of 64 px stood out less from what two
    sets of untouched ones differ by (32 times that, against 42; 2,000 photos a set), though noisy
    ones more (18 times, against 14), and a set would need half as many photos again.

    Raises:
        ValueError: as `maps`.
    """
    return jnp.mean(maps(params, image)[-1], (0, 1))


def _run(block: Block, params: Params, x: jax.Array) -> jax.Array:
    """One block on x [h, w, c]; x is added where the block keeps its shape."""
    y = jax.nn.relu6(_pointwise(params["expand"], x)) if block.expansion > 1 else x
    y = jax.nn.relu6(
        depthwise(y, params["depthwise"]["kernel"], block.stride) + params["depthwise"]["bias"]
    )
    y = _pointwise(params["project"], y)
    return x + y if block.stride == 1 and block.inputs == block.width else y


def _pointwise(params: Params, x: jax.Array) -> jax.Array:
    """A 1 x 1 convolution; as a product, which on a CPU makes the network's gradient up to a fifth
    faster than `conv`."""
    return jnp.dot(x, params["kernel"], precision="highest") + params["bias"]


def _same(shape: tuple[int, ...], side: int, stride: int) -> Padding:
    """TensorFlow's padding of a map [h, w, ...]: ceil(side / stride) places for the kernel, and an
    odd pixel at the end."""
    sizes = (max((-(-n // stride) - 1) * stride + side - n, 0) for n in shape[:2])
    rows, columns = ((n // 2, n - n // 2) for n in sizes)
    return rows, columns


def _sums(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Each channel of x [h, w, c] correlated with its kernel of [k, k, c], without padding, as a
    sum of shifted maps."""
    side = len(kernel)
    rows, columns = (n - side + 1 for n in x.shape[:2])
    taps = (
        x[i : i + rows : stride, j : j + columns : stride] * kernel[i, j]
        for i in range(side)
        for j in range(side)
    )
    return sum(taps, jnp.float32(0))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Each channel of x [h, w, c] correlated with its kernel of [k, k, c], padding "SAME".

    As sums of shifted maps, XLA's CPU backend runs the network 5 to 18 times as fast as with
    grouped convolutions. The own derivative, sums too, makes a gradient by the picture up to 1.7
    times as fast.
    """
    return _sums(_padded(x, kernel, stride), kernel, stride)


def _padded(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    return jnp.pad(x, (*_same(x.shape, len(kernel), stride), (0, 0)))


def _backward(
    stride: int, kept: tuple[jax.Array, jax.Array], cotangent: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """By x: the same sums with the kernel turned round, of the cotangents with zeros between them
    where the stride left pixels out."""
    x, kernel = kept
    sides = zip(x.shape, cotangent.shape, _same(x.shape, len(kernel), stride), strict=False)
    widths = [
        (len(kernel) - 1 - before, n + before - stride * (m - 1) - 1, stride - 1)
        for n, m, (before, _) in sides
    ]
    spread = lax.pad(cotangent, jnp.zeros((), cotangent.dtype), (*widths, (0, 0, 0)))
    # Jit drops it where it is not used.
    _, by_kernel = jax.vjp(lambda kernel: _sums(_padded(x, kernel, stride), kernel, stride), kernel)
    return _sums(spread, kernel[::-1, ::-1], 1), *by_kernel(cotangent)


depthwise.defvjp(lambda x, kernel, stride: (depthwise(x, kernel, stride), (x, kernel)), _backward)
