"""IR-101, the face recognition network of CurricularFace (Huang et al., arXiv:2004.00288), after
ArcFace's IResNet (arXiv:1801.07698).

The layout is that of the published `CurricularFace_Backbone.pth`, which pSp's identity score loads
too (Richardson et al., arXiv:2008.00951): units of batch norm, 3 x 3 convolution, PReLU, 3 x 3
convolution (with the stride) and batch norm, WITHOUT the batch norm that other releases put between
the first convolution and its PReLU; the head is batch norm, a linear layer with bias and a batch
norm without scale and bias.
"""

import jax
import jax.numpy as jnp
from jax import lax

from jaxsr.nets.layers import around, batch_norm, conv, fresh_norm, random_kernel
from jaxsr.types import Image, Params, PRNGKey

# (width, units) of each stage; the first unit of each halves the map
STAGES = ((64, 3), (128, 13), (256, 30), (512, 3))
EPS, SIDE, EMBEDDING = 1e-5, 112, 512


def init(key: PRNGKey) -> Params:
    """Random parameters, 65.2 M numbers.

    {"input": {"kernel", the norm's "scale", "bias", "mean", "var", "slope"}, "stages": a list of
    four lists of units {"norm1", "conv1": {"kernel", "slope"}, "conv2": {"kernel"} and its norm,
    "shortcut": the same, where the width changes}, "output": {"norm", "kernel" [7, 7, 512, 512],
    "bias", "mean", "var"}}.
    """
    first, last, *keys = jax.random.split(key, 2 + len(STAGES))
    widths = [64, *(width for width, _ in STAGES)]
    stages = []
    for key, before, (width, units) in zip(keys, widths[:-1], STAGES, strict=True):
        inputs = [before] + [width] * (units - 1)
        stages.append(
            [
                _random_unit(key, c, width)
                for key, c in zip(jax.random.split(key, units), inputs, strict=True)
            ]
        )
    side = SIDE // 2 ** len(STAGES)
    head = random_kernel(last, (side, side, widths[-1], EMBEDDING)) | {"bias": jnp.zeros(EMBEDDING)}
    statistics = {"mean": jnp.zeros(EMBEDDING), "var": jnp.ones(EMBEDDING)}
    stem = random_kernel(first, (3, 3, 3, 64)) | fresh_norm(64) | {"slope": jnp.full(64, 0.25)}
    return {
        "input": stem,
        "stages": stages,
        "output": {"norm": fresh_norm(widths[-1])} | head | statistics,
    }


def _random_unit(key: PRNGKey, c: int, d: int) -> dict[str, dict[str, jax.Array]]:
    keys = jax.random.split(key, 3)
    unit = {
        "norm1": fresh_norm(c),
        "conv1": random_kernel(keys[0], (3, 3, c, d)) | {"slope": jnp.full(d, 0.25)},
        "conv2": random_kernel(keys[1], (3, 3, d, d)) | fresh_norm(d),
    }
    return (
        unit
        if c == d
        else unit | {"shortcut": random_kernel(keys[2], (1, 1, c, d)) | fresh_norm(d)}
    )


def _kernel(layer: Params) -> Params:
    """The layer without its norm's bias, which is not the convolution's."""
    return {"kernel": layer["kernel"]}


def _prelu(layer: Params, x: jax.Array) -> jax.Array:
    return jnp.where(x >= 0, x, layer["slope"] * x)


def _unit(unit: Params, x: jax.Array, stride: int) -> jax.Array:
    y = _prelu(
        unit["conv1"], conv(_kernel(unit["conv1"]), batch_norm(unit["norm1"], x, EPS), 1, around(1))
    )
    y = batch_norm(unit["conv2"], conv(_kernel(unit["conv2"]), y, stride, around(1)), EPS)
    if "shortcut" not in unit:
        return y + x[::stride, ::stride]
    return y + batch_norm(unit["shortcut"], conv(_kernel(unit["shortcut"]), x, stride), EPS)


def embed(params: Params, image: Image) -> jax.Array:
    """The embedding of a face, [512] of length 1, from an image [h, w, 3] in [0, 1].

    The network was trained on faces aligned and cropped to 112 x 112, and its numbers mean little
    on others: crop and align beforehand. An image of another size is brought to 112 x 112 by
    antialiased bilinear resampling, and then to [-1, 1].

    Raises:
        ValueError: not [h, w, 3].
    """
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected an image [h, w, 3], got {list(image.shape)}")
    x = 2.0 * jax.image.resize(image, (SIDE, SIDE, 3), "bilinear") - 1.0
    stem = params["input"]
    x = _prelu(stem, batch_norm(stem, conv(_kernel(stem), x, 1, around(1)), EPS))
    for stage in params["stages"]:
        for i, unit in enumerate(stage):
            x = _unit(unit, x, 2 if i == 0 else 1)
    head = params["output"]
    x = (
        jnp.tensordot(batch_norm(head["norm"], x, EPS), head["kernel"], 3, precision="highest")
        + head["bias"]
    )
    x = (x - head["mean"]) * lax.rsqrt(head["var"] + EPS)
    return x / jnp.linalg.norm(x)
