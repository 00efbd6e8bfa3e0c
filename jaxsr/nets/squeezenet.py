"""SqueezeNet 1.1 without its classifier, in torchvision's numerics (Iandola et al.,
arXiv:1602.07360; 1.1 is its authors' release)."""

import jax
import jax.numpy as jnp

from jaxsr.nets.layers import around, conv, imagenet, max_pool, random_conv
from jaxsr.types import Image, Params, PRNGKey

# name: (inputs, squeezed, expanded by each of the two kernels, max-pooled before)
FIRES = {
    "fire2": (64, 16, 64, True),
    "fire3": (128, 16, 64, False),
    "fire4": (128, 32, 128, True),
    "fire5": (256, 32, 128, False),
    "fire6": (256, 48, 192, True),
    "fire7": (384, 48, 192, False),
    "fire8": (384, 64, 256, False),
    "fire9": (512, 64, 256, False),
}
TAPS = ("conv1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9")
SMALLEST = 17


def init(key: PRNGKey) -> Params:
    """Random parameters, 0.7 M numbers: {"conv1": {"kernel", "bias"}, "fire2": {"squeeze",
    "expand1", "expand3": the same}, ...}."""
    first, *keys = jax.random.split(key, len(FIRES) + 1)
    fires = {
        name: _random_fire(key, *sizes[:3])
        for key, (name, sizes) in zip(keys, FIRES.items(), strict=True)
    }
    return {"conv1": random_conv(first, (3, 3, 3, 64))} | fires


def _random_fire(
    key: PRNGKey, inputs: int, squeezed: int, expanded: int
) -> dict[str, dict[str, jax.Array]]:
    shapes = {
        "squeeze": (1, 1, inputs, squeezed),
        "expand1": (1, 1, squeezed, expanded),
        "expand3": (3, 3, squeezed, expanded),
    }
    return {
        name: random_conv(key, shape)
        for key, (name, shape) in zip(jax.random.split(key, 3), shapes.items(), strict=True)
    }


def _fire(params: Params, x: jax.Array) -> jax.Array:
    x = jax.nn.relu(conv(params["squeeze"], x))
    return jax.nn.relu(
        jnp.concatenate([conv(params["expand1"], x), conv(params["expand3"], x, 1, around(1))], -1)
    )


def _pool(x: jax.Array) -> jax.Array:
    """The maximum over 3 x 3 windows of stride 2; a last window that reaches beyond the border
    counts ("ceil mode")."""
    rows, columns = ((0, (side + 1) % 2) for side in x.shape[:2])
    return max_pool(x, 3, 2, (rows, columns))


def features(params: Params, image: Image) -> list[jax.Array]:
    """The seven maps [r, r', c] that LPIPS compares (after the first ReLU and fires 3, 5, 6, 7, 8,
    9) of an image [h, w, 3] in [0, 1].

    Raises:
        ValueError: not [h, w, 3], or a side below 17 pixels.
    """
    x = imagenet(image, SMALLEST)
    x = jax.nn.relu(conv(params["conv1"], x, 2))
    maps = {"conv1": x}
    for name, (*_, pooled) in FIRES.items():
        x = _fire(params[name], _pool(x) if pooled else x)
        maps[name] = x
    return [maps[name] for name in TAPS]
