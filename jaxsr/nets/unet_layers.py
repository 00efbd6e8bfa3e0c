"""Layers of the U-Net, for one map [h, w, c]: what parameters they have and what they compute."""

import math
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from jaxsr.nets import convolution
from jaxsr.types import Params, PRNGKey

FAMILIES = ("ddpm", "adm")
# Of the group normalisation, which both compute in float32.
EPS = {"ddpm": 1e-6, "adm": 1e-5}
LONGEST = 10_000.0  # steps, over 2 pi: the longest wave of the sinusoidal embedding


@runtime_checkable
class Sizes(Protocol):
    """What the layers read of `unet.Config`."""

    @property
    def family(self) -> str: ...
    @property
    def groups(self) -> int: ...

    def heads_of(self, channels: int) -> int: ...


class Leaf(NamedTuple):
    """An array of the parameters: its shape, and the deviation that it begins with, 0 for
    `value`."""

    shape: tuple[int, ...]
    deviation: float = 0.0
    value: float = 0.0


def is_leaf(tree: Any) -> bool:
    """Whether this is one array's `Leaf`."""
    return isinstance(tree, Leaf)


def drawn(key: PRNGKey, leaf: Leaf) -> jax.Array:
    """A fresh array."""
    if not leaf.deviation:
        return jnp.full(leaf.shape, leaf.value, jnp.float32)
    return leaf.deviation * jax.random.normal(key, leaf.shape)


# The trees of their parameters


def dense(inputs: int, outputs: int, scale: float = 1.0) -> dict[str, Leaf]:
    """A dense layer, or a 1 x 1 convolution; the variance is Glorot's (DDPM's) times `scale`^2."""
    deviation = scale * math.sqrt(2 / (inputs + outputs))
    return {"kernel": Leaf((inputs, outputs), deviation), "bias": Leaf((outputs,))}


def conv3(inputs: int, outputs: int, scale: float = 1.0) -> dict[str, Leaf]:
    """A 3 x 3 convolution, begun as `dense` is."""
    deviation = scale * math.sqrt(2 / (9 * (inputs + outputs)))
    return {"kernel": Leaf((3, 3, inputs, outputs), deviation), "bias": Leaf((outputs,))}


def norm(channels: int) -> dict[str, Leaf]:
    """A group normalisation."""
    return {"scale": Leaf((channels,), value=1.0), "bias": Leaf((channels,))}


def residual(family: str, inputs: int, outputs: int, embedding: int) -> dict[str, Any]:
    """A residual block; it has a "skip" where it changes the number of channels."""
    tree = {
        "norm1": norm(inputs),
        "conv1": conv3(inputs, outputs),
        "time": dense(embedding, outputs if family == "ddpm" else 2 * outputs),
        "norm2": norm(outputs),
        "conv2": conv3(outputs, outputs, 0.0),
    }
    return tree if inputs == outputs else tree | {"skip": dense(inputs, outputs)}


def attention(channels: int) -> dict[str, Any]:
    """Attention of a map to itself; channels of a head lie side by side."""
    tree: dict[str, Any] = {name: dense(channels, channels) for name in ("query", "key", "value")}
    return tree | {"norm": norm(channels), "out": dense(channels, channels, 0.0)}


def resampling(family: str, channels: int, embedding: int) -> dict[str, Any]:
    """What halves or doubles a map: a convolution, in ADM a residual block."""
    if family == "ddpm":
        return conv3(channels, channels)
    return residual(family, channels, channels, embedding)


# What they compute


def swish(x: jax.Array) -> jax.Array:
    """x sigmoid(x)."""
    return jax.nn.silu(x)


def multiplied(params: Params, x: jax.Array) -> jax.Array:
    """A dense layer over the last axis."""
    return x @ params["kernel"] + params["bias"]


def convolved(params: Params, x: jax.Array) -> jax.Array:
    """A 3 x 3 convolution with a bias, zeros around the map."""
    kernel = params["kernel"]
    return convolution.conv(x[None], kernel, convolution.same(kernel))[0] + params["bias"]


def embedded(family: str, width: int, params: Params, step: jax.Array) -> jax.Array:
    """The embedding [4 width] of a step: waves, then two dense layers. DDPM has sines first and its
    longest wave last; ADM has cosines first, and ends just before."""
    half = width // 2
    last = half - 1 if family == "ddpm" else half
    angles = step * jnp.exp(-math.log(LONGEST) * jnp.arange(half) / last)
    waves = [jnp.sin(angles), jnp.cos(angles)]
    emb = jnp.concatenate(waves if family == "ddpm" else waves[::-1])
    return multiplied(params["dense1"], swish(multiplied(params["dense0"], emb)))


def normed(config: Sizes, params: Params, x: jax.Array) -> jax.Array:
    """Group normalisation: each group of channels, over the whole map, has mean 0 and variance 1
    before scale and bias."""
    channels = x.shape[-1]
    groups = min(config.groups, channels)

    def grouped(means: jax.Array) -> jax.Array:  # of each channel -> of its group
        mean = means.reshape(groups, -1).mean(-1, keepdims=True)
        return jnp.broadcast_to(mean, (groups, channels // groups)).reshape(channels)

    centred = x - grouped(x.mean((0, 1)))
    variance = grouped((centred**2).mean((0, 1)))
    gain = params["scale"] * jax.lax.rsqrt(variance + EPS[config.family])
    return centred * gain + params["bias"]


def mapped(config: Sizes, params: Params, x: jax.Array, emb: jax.Array) -> jax.Array:
    """A residual block; [h, w, inputs] -> [h, w, outputs]."""
    h = swish(normed(config, params["norm1"], x))
    return _skipped(params, x) + _stepped(config, params, h, emb)


def _skipped(params: Params, x: jax.Array) -> jax.Array:
    return multiplied(params["skip"], x) if "skip" in params else x


def _stepped(config: Sizes, params: Params, h: jax.Array, emb: jax.Array) -> jax.Array:
    """The second half of a block, which the step moves: DDPM adds to the maps, ADM scales and
    shifts them once they are normalised."""
    h, moved = convolved(params["conv1"], h), multiplied(params["time"], swish(emb))
    if config.family == "ddpm":
        h = normed(config, params["norm2"], h + moved)
    else:
        scale, shift = jnp.split(moved, 2)
        h = normed(config, params["norm2"], h) * (1 + scale) + shift
    return convolved(params["conv2"], swish(h))


def attended(config: Sizes, params: Params, x: jax.Array) -> jax.Array:
    """x plus what its pixels take of each other; [h, w, c] -> [h, w, c]."""
    height, width, channels = x.shape
    heads = config.heads_of(channels)
    rows = normed(config, params["norm"], x).reshape(height * width, channels)
    query, key, value = (
        multiplied(params[name], rows).reshape(-1, heads, channels // heads)
        for name in ("query", "key", "value")
    )
    logits = jnp.einsum("qhd,khd->hqk", query, key) * (channels // heads) ** -0.5
    taken = jnp.einsum("hqk,khd->qhd", jax.nn.softmax(logits), value)
    return x + multiplied(params["out"], taken.reshape(rows.shape)).reshape(x.shape)


def halved(config: Sizes, params: Params, x: jax.Array, emb: jax.Array) -> jax.Array:
    """[h, w, c] -> [h / 2, w / 2, c]. DDPM's convolution of stride 2 has zeros below and to the
    right alone; ADM takes means of 2 x 2 pixels inside of a residual block."""
    if config.family == "ddpm":
        kernel = jnp.pad(params["kernel"], ((0, 1), (0, 1), (0, 0), (0, 0)))
        c, d = kernel.shape[2:]
        kernel = kernel.reshape(2, 2, 2, 2, c, d).swapaxes(1, 2).reshape(2, 2, 4 * c, d)
        blocks = space_to_depth(x, 2)[None]
        return convolution.conv(blocks, kernel, ((0, 1), (0, 1)))[0] + params["bias"]
    h = _mean2(swish(normed(config, params["norm1"], x)))
    return _mean2(x) + _stepped(config, params, h, emb)


def doubled(config: Sizes, params: Params, x: jax.Array, emb: jax.Array) -> jax.Array:
    """[h, w, c] -> [2 h, 2 w, c], each pixel repeated: before DDPM's convolution, inside of ADM's
    residual block."""
    if config.family == "ddpm":
        return convolved(params, _repeated(x))
    h = _repeated(swish(normed(config, params["norm1"], x)))
    return _repeated(x) + _stepped(config, params, h, emb)


def _mean2(x: jax.Array) -> jax.Array:
    height, width, channels = x.shape
    return x.reshape(height // 2, 2, width // 2, 2, channels).mean((1, 3))


def _repeated(x: jax.Array) -> jax.Array:
    height, width, channels = x.shape
    pairs = jnp.broadcast_to(x[:, None, :, None], (height, 2, width, 2, channels))
    return pairs.reshape(2 * height, 2 * width, channels)


def space_to_depth(x: jax.Array, side: int) -> jax.Array:
    """[h, w, c] -> [h / side, w / side, side^2 c]: blocks of pixels as channels, row by row."""
    height, width, channels = x.shape
    blocks = x.reshape(height // side, side, width // side, side, channels).swapaxes(1, 2)
    return blocks.reshape(height // side, width // side, side**2 * channels)


def depth_to_space(x: jax.Array, side: int) -> jax.Array:
    """The inverse of `space_to_depth`."""
    height, width, channels = x.shape
    blocks = x.reshape(height, width, side, side, channels // side**2).swapaxes(1, 2)
    return blocks.reshape(height * side, width * side, channels // side**2)
