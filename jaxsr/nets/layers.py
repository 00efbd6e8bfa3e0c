"""Layers of the fixed feature networks (AlexNet, VGG-16, SqueezeNet, Inception, IR-101), for one
map [h, w, c].

Products are in full float32 on every platform: with an accelerator's shorter default a distance
would differ between machines by more than the methods that it compares.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxsr.types import Image, Params, PRNGKey

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NO_PADDING = ((0, 0), (0, 0))
Padding = tuple[tuple[int, int], tuple[int, int]]


def imagenet(image: Image, smallest: int) -> jax.Array:
    """An image [h, w, 3] in [0, 1] with ImageNet's mean of each channel taken off and divided by
    its deviation, torchvision's input.

    This is LPIPS's "scaling layer" too: (2 image - 1 - shift) / scale with its constants is the
    same map.

    Raises:
        ValueError: an image of another shape, or with a side below `smallest`, whose last map would
            be empty.
    """
    if image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < smallest:
        raise ValueError(
            f"expected an image [h, w, 3] of at least {smallest} pixels a side, got "
            f"{list(image.shape)}"
        )
    return (jnp.asarray(image) - jnp.asarray(IMAGENET_MEAN)) / jnp.asarray(IMAGENET_STD)


def conv(params: Params, x: jax.Array, stride: int = 1, padding: Padding = NO_PADDING) -> jax.Array:
    """Correlation of x [h, w, c] with `kernel` [kh, kw, c, d], plus `bias` [d] where there is one;
    zeros are added around x."""
    numbers = ("NHWC", "HWIO", "NHWC")
    y = lax.conv_general_dilated(
        x[None],
        params["kernel"],
        (stride, stride),
        padding,
        dimension_numbers=numbers,
        precision="highest",
    )[0]
    return y + params["bias"] if "bias" in params else y


def around(pixels: int) -> Padding:
    """Padding by one width on all four sides."""
    return (pixels, pixels), (pixels, pixels)


def max_pool(x: jax.Array, window: int, stride: int, padding: Padding = NO_PADDING) -> jax.Array:
    """Maximum over the windows of x [h, w, c]; what is added around x never wins, and a last window
    that does not fit is dropped."""
    return lax.reduce_window(
        x, -jnp.inf, lax.max, (window, window, 1), (stride, stride, 1), (*padding, (0, 0))
    )


def mean_pool(x: jax.Array) -> jax.Array:
    """Mean of x [h, w, c] over 3 x 3 windows of stride 1; at the border, over the pixels that there
    are (TensorFlow's average pool)."""
    window, padding = (3, 3, 1), ((1, 1), (1, 1), (0, 0))
    sums = lax.reduce_window(x, 0.0, lax.add, window, (1, 1, 1), padding)
    rows, columns = (
        np.convolve(np.ones(side, np.float32), np.ones(3, np.float32), "same")
        for side in x.shape[:2]
    )
    return sums / (rows[:, None] * columns[None])[..., None]


def batch_norm(params: Params, x: jax.Array, eps: float) -> jax.Array:
    """Normalises the last axis of x by the running `mean` and `var`, then `scale` and `bias`, each
    [c]."""
    gain = params["scale"] * lax.rsqrt(params["var"] + eps)
    return x * gain + (params["bias"] - params["mean"] * gain)


def random_kernel(key: PRNGKey, shape: tuple[int, ...]) -> dict[str, jax.Array]:
    """A kernel of variance 2 / inputs, `shape` [..., inputs, outputs]."""
    return {"kernel": jax.random.normal(key, shape) * float(np.sqrt(2 / np.prod(shape[:-1])))}


def random_conv(key: PRNGKey, shape: tuple[int, int, int, int]) -> dict[str, jax.Array]:
    """A random kernel `shape` [kh, kw, c, d] and a bias of zeros."""
    return random_kernel(key, shape) | {"bias": jnp.zeros(shape[-1])}


def fresh_norm(width: int) -> dict[str, jax.Array]:
    """A batch normalisation that changes nothing (but for eps)."""
    return {
        "scale": jnp.ones(width),
        "bias": jnp.zeros(width),
        "mean": jnp.zeros(width),
        "var": jnp.ones(width),
    }
